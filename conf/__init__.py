"""The shipped configurations. Hydra's `pkg://piecewise.conf` needs this file; src/piecewise/conf is a link to here."""
