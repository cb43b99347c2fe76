"""A run that does not exist is refused at once, before a verb imports what takes seconds."""

from __future__ import annotations

import subprocess
import sys

from piecewise.project import Project


def test_verbs_refuse_an_unknown_run_before_they_import_torch(project: Project) -> None:
    code = (
        "import sys; from piecewise.cli import main\n"
        "for verb in ('animate', 'draw', 'evaluate', 'predict --input=x.csv', 'regions', 'resume'):\n"
        "    assert main([*verb.split(), 'nope']) == 2, verb\n"
        "    assert not {'torch', 'hydra', 'mlflow', 'matplotlib'} & set(sys.modules), verb\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, cwd=project.root
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("error: run 'nope': there are no runs below") == 6
