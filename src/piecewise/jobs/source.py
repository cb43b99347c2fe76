"""What each stage of the pipeline runs: the source that its outs depend on, and a digest of it.

A stage runs its script in pipelines/, its module in `stages`, all that this imports, and the classes that its jobs
name. Imports are read from the source, also those inside functions, so that no option can run a file that is missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from piecewise import source
from piecewise.source import digest_code, files_of, reached

STAGES = ("fetch", "synthesise", "train", "evaluate", "report")  # `compose` depends on all of the source


class LeftOut(NamedTuple):
    """Files that stages import but that cannot change their outs, and with them all that only these files import."""

    files: str  # names below the package; a name that ends with a slash stands for a whole folder
    stages: str
    reason: str


ALL = " ".join(STAGES)
LEFT_OUT = (
    LeftOut("cli.py commands/ stages/run.py", ALL, "they start a stage, and print its error"),
    LeftOut("errors.py stopping.py processes.py locks.py", ALL, "they delay or end a stage, which then has no outs"),
    LeftOut("terminal.py", "fetch synthesise train evaluate", "messages; only the report has words of it"),
    LeftOut("process_settings.py", "report", "terminal.py asks it whether to be quiet"),
    LeftOut("project.py manifest.py", ALL, "names of folders and files; those of a stage are in dvc.yaml too"),
    LeftOut("source.py jobs/source.py jobs/provenance.py", ALL, "what they compute is a dependency itself, in build/"),
    LeftOut("tracking/", ALL, "it copies journals to MLflow, which is no out"),
    LeftOut("jobs/about.py jobs/config_folders.py jobs/expectations.py", "train", "an experiment says it to people"),
    LeftOut("training/progress.py training/quiet_lightning.py", ALL, "what a terminal shows of a training"),
    LeftOut("training/non_finite.py execution/blocked_releases.py", ALL, "they name the cause of a failure"),
    LeftOut("execution/resume.py execution/stage_key.py dvc_files.py", "train", "whether it goes on, to the same bits"),
    LeftOut("execution/trial.py data/made_up.py", "train", "a trial step refuses a job, or changes nothing"),
    LeftOut("journal/index.py", "train", "an index of journals for commands, which make it again from the journals"),
    LeftOut("journal/finished.py", "train", "what a sweep of `piecewise train` need not train again"),
    LeftOut("execution/ranks.py", "train", "it starts processes and watches them; execution/train.py is what they run"),
    LeftOut("execution/evaluate_and_draw.py", "train", "for `piecewise train`; a stage of its own evaluates"),
    LeftOut("execution/executors/ execution/listening.py", ALL, "where and when a job runs, and what is said of it"),
    LeftOut("execution/ledger.py", ALL, "which jobs of a sweep are done; a stage has none"),
    LeftOut("data/spec.py", "fetch", "the files are what their digests in data/idx.py say"),
)

LEFT_OUT_OF = {
    stage: {file for left in LEFT_OUT if stage in left.stages.split() for file in left.files.split()}
    for stage in STAGES
}
FOLDERS_LEFT_OUT_OF = {
    stage: tuple(file for file in files if file.endswith("/")) for stage, files in LEFT_OUT_OF.items()
}

# The folder whose files other than Python are read by a module.
READ_BY = {"report/page.py": "report"}


def source_digest(stage: str, *configs: Mapping[str, Any], script: Path | None = None) -> str:
    """SHA-256 of the code of a stage, with its `script` if that is given, for jobs with these configurations."""
    return _digest(source.PACKAGE, stage, frozenset(targets(list(configs))), script)


@cache  # the jobs of a sweep name the same classes
def _digest(package: Path, stage: str, named: frozenset[str], script: Path | None) -> str:
    paths = closure(stage, named)
    return digest_code(paths if script is None else [script, *paths])


def closure(stage: str, named: Iterable[str] = ()) -> list[Path]:
    """The files of the package that the outs of a stage depend on if its jobs have `named` these classes; sorted."""
    start = [path for name in (f"piecewise.stages.{stage}", *named) for path in files_of(name)]
    found = reached(start, lambda name: is_left_out(stage, name))
    for reader, folder in READ_BY.items():
        if source.PACKAGE / reader in found:
            found |= {path for path in (source.PACKAGE / folder).iterdir() if path.is_file() and path.suffix != ".py"}
    return sorted(found)


def targets(config: Any) -> Iterator[str]:
    """Every `_target_` in a configuration: the classes that its job names."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from [value] if key == "_target_" and isinstance(value, str) else targets(value)
    elif isinstance(config, list):
        for item in config:
            yield from targets(item)


def is_left_out(stage: str, name: str) -> bool:
    """Whether LEFT_OUT has the file `name` for this stage."""
    return name in LEFT_OUT_OF[stage] or name.startswith(FOLDERS_LEFT_OUT_OF[stage])
