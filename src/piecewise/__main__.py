"""`python -m piecewise` is the `piecewise` command."""

from piecewise.cli import main

raise SystemExit(main())
