"""List the experiments with their questions and expected results, or the options of a group.

  piecewise list
  piecewise list model

An option is chosen by GROUP=OPTION, as in piecewise train model=cnn.
"""

from pathlib import Path

from piecewise import terminal
from piecewise.commands.arguments import Arguments
from piecewise.errors import BadInput, nearest
from piecewise.jobs.about import experiments, first_comment, groups, options, read_about
from piecewise.jobs.expectations import expectations
from piecewise.journal.names import check_name
from piecewise.project import Project


def main(project: Project, arguments: Arguments) -> None:
    arguments.add_argument("group", nargs="?", metavar="GROUP", default="experiment", help="model, data, optimizer, …")
    asked = arguments.read()
    conf, group = project.conf, asked.group
    if group not in groups(conf):
        raise BadInput(f"there is no group {group!r}; {nearest(group, groups(conf))}")
    if group.partition("/")[0] == "experiment":
        names = [name for name in experiments(conf) if f"experiment/{name}".startswith(f"{group}/")]
        rows = [row for name in names for row in _experiment(conf, name)]
    else:
        rows = [(option, first_comment(conf, group, option)) for option in options(conf, group)]
    print(terminal.table([(terminal.paint(name, "bold"), text) for name, text in rows]))


def _experiment(conf: Path, name: str) -> list[tuple[str, str]]:
    """The rows of an experiment: its question, then its expected results; or the error in its file."""
    try:
        check_name(name, "conf/experiment")
        about = read_about(conf, name)
        return [
            (name, " ".join(str(about["question"]).split())),
            *(("", terminal.paint(str(expectation), "dim")) for expectation in expectations(about)),
        ]
    except BadInput as error:
        return [(name, terminal.paint(f"cannot be used: {error}", "red"))]
