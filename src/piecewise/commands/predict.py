"""Print a run's predictions for the examples in a file as CSV, or write them to --output.

The file has the format of the run's data: a table with a header line (without the target's column, if you like), or
IDX images. Each line of the result has the most likely target, its 95 % interval, and the parameters of the predicted
distribution (for classes, their probabilities).
"""

import sys

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_run()
    arguments.add_argument("--input", required=True, metavar="FILE")
    arguments.add_argument("--output", metavar="FILE.csv")
    asked = arguments.read()
    from piecewise.errors import BadInput
    from piecewise.journal.find import find_single_run

    output = None if asked.output is None else arguments.path(asked.output)
    if output is not None and output.is_dir():
        raise BadInput(f"--output={output} is a folder; allowed: a file")
    run = find_single_run(project, asked.run)
    from piecewise.analysis.predict import predict  # imports torch, which takes seconds
    from piecewise.durable import write_atomic

    text = predict(run.folder, arguments.path(asked.input))
    if output is None:
        sys.stdout.write(text)
    else:
        write_atomic(output, text.encode())
        terminal.say(f"{output}: {text.count(chr(10)) - 1} predictions")
