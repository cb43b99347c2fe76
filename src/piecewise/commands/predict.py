"""What a run's model says about the examples in a file, as CSV on stdout or in --output.

The file holds inputs as the run's data has them: a table with a header line (the target's column may be missing),
or IDX images. One line per example: the most likely target, between which values it lies with 95 % probability, and
the parameters of the predicted distribution (for classes the probability of each).
"""

from __future__ import annotations

import sys
from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments, given_path
from piecewise.project import Project


def main(project: Project, started_in: Path, arguments: list[str]) -> int:
    parser = Arguments("predict", __doc__)
    parser.add_run()
    parser.add_argument("--input", required=True, metavar="FILE")
    parser.add_argument("--output", metavar="FILE.csv")
    asked = parser.read(arguments)
    if asked is None:
        return 0
    from piecewise.analysis.predict import predict
    from piecewise.durable import write_atomic
    from piecewise.errors import BadInput
    from piecewise.journal.find import find_run

    output = None if asked.output is None else given_path(asked.output, started_in)
    if output is not None and output.is_dir():
        raise BadInput(f"--output={output} is a folder; allowed: a file")
    text = predict(find_run(project, asked.run).folder, given_path(asked.input, started_in))
    if output is None:
        sys.stdout.write(text)
    else:
        write_atomic(output, text.encode())
        terminal.say(f"{output}: {text.count(chr(10)) - 1} predictions")
    return 0
