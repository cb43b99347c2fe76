"""Completion as each shell requests it, and in the shells that are installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from piecewise.cli import VERBS, main
from piecewise.project import Project

Ask = Callable[..., list[str]]
BIN = Path(sys.executable).parent
CASES = {
    "piecewise tr": "train",
    "piecewise train model=c": "model=cnn",
    "piecewise train optimizer.l": "optimizer.lr=",
    "piecewise show loss=cat": "loss=categorical",
    "piecewise list mo": "model",
    "piecewise resume ": "last",
}


def needs(shell: str) -> pytest.MarkDecorator:
    missing = [name for name in (shell, str(BIN / "piecewise")) if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not installed")


@pytest.fixture
def ask(project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask(line)`: the candidates for its last word."""

    def candidates(line: str, shell: str = "bash") -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        assert main(["-sc", f"query={shell}"]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out.removesuffix("\n").split("\n" if shell == "fish" else " ") if printed.out else []

    return candidates


def run(shell: list[str], script: str, project: Project) -> list[str]:
    folder = project / "bin"  # whose path has a space in it
    folder.mkdir()
    (folder / "piecewise").symlink_to(Path(BIN) / "piecewise")
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(project)}
    done = subprocess.run([*shell, script], capture_output=True, text=True, cwd=project, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_the_same_candidates(ask: Ask, shell: str) -> None:
    assert [ask(line, shell) for line in CASES] == [[word] for word in CASES.values()]
    assert {"model=", "model."} == set(ask("piecewise train mod", shell))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("piecewise ", set(VERBS)),
        ("piecewise re", {"regions", "resume", "report"}),
        ("piecewise --quiet tr", {"train"}),
        (".venv/bin/piecewise  tr", {"train"}),
        ("piecewise train loss=categorical loss.label", {"loss.label_smoothing="}),  # depends on the words before
        ("piecewise train loss=squared_error loss.label", set()),
        ("piecewise train experiment=mnist_cnn loss.", {"loss._target_=", "loss.label_smoothing="}),
        ("piecewise train experiment=deep", {"experiment=deep_regression"}),
        ("piecewise train --dry-run -m model=mlp,shallow model=cn", {"model=cnn"}),
        ("piecewise show -m model.width=3,4 model.wi", {"model.width="}),
        ("piecewise train figures=", {"figures=auto", "figures=all", "figures=none"}),
        ("piecewise train on_error=s", {"on_error=stop"}),
        ("piecewise train executor=p", {"executor=pool"}),
        ("piecewise train executor=pool executor.s", {"executor.slots="}),
        ("piecewise list model ", set()),
        ("piecewise train train=", set()),
        ("piecewise sync ", set()),
        ("piecewise trian mod", set()),
    ],
)
def test_candidates_of_a_line(ask: Ask, line: str, wanted: set[str]) -> None:
    assert set(ask(line)) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("piecewise train exper", {"experiment="}),
        ("piecewise train experiment=ch", {"experiment=chapter/deep/fit", "experiment=chapter/fit"}),
        ("piecewise train experiment=chapter/f", {"experiment=chapter/fit"}),
        ("piecewise train experiment/", set()),
        ("piecewise train experiment=chapter/fit optimizer.l", {"optimizer.lr="}),
        ("piecewise list experiment/chapter/", {"experiment/chapter/deep"}),
    ],
)
def test_options_in_sub_folders_are_offered(ask: Ask, project: Project, line: str, wanted: set[str]) -> None:
    for name in ("fit", "deep/fit"):
        path = project.conf / "experiment" / "chapter" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# @package _global_\nseed: 1\n")
    assert set(ask(line)) == wanted


def test_paths_are_relative_to_the_project(ask: Ask, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "conf")
    assert ask("piecewise train data=idx data.path=./con") == ["data.path=./conf"]


def test_runs_are_offered_by_their_folders(ask: Ask, project: Project) -> None:
    for folder in ("20260102-b", "20260101-a", "20260101-a/0000", "20260101-a/0001", "20260103 $(touch x)"):
        (project / "runs" / folder).mkdir(parents=True)
        (project / "runs" / folder / "journal.jsonl").touch()
    (project / "runs" / ".hydra").mkdir()
    for verb in ("resume", "watch", "draw", "regions", "ui", "evaluate", "predict"):
        assert ask(f"piecewise {verb} ") == ["last", "20260102-b", "20260101-a"]
    assert ask("piecewise evaluate 20260101-a/0") == ["20260101-a/0001", "20260101-a/0000"]
    assert ask("piecewise predict 20260102-b ") == []


def test_errors_print_nothing(ask: Ask, project: Project) -> None:
    assert ask("piecewise train model=nope optimizer.l") == []
    assert ask("piecewise train ((( optimizer.l") == []
    (project / "conf" / "optimizer" / "adam.yaml").write_text("lr: [\n")
    assert ask("piecewise train optimizer.l") == []
    shutil.rmtree(project / "conf" / "data")
    assert ask("piecewise show optimizer.l") == []


def test_query_without_a_line_prints_nothing(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr() == ("", "")


def test_value_that_bash_would_run_is_not_offered(ask: Ask, project: Project) -> None:
    path = project / "conf" / "loss" / "squared_error.yaml"
    assert ask("piecewise train loss.sigma=") == ["loss.sigma=1.0"]
    for value in ("$(touch x)", "`touch x`", "a b", "*"):
        path.write_text(f"sigma: '{value}'\n")
        assert ask("piecewise train loss.sigma=") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["install=tcsh"], "allowed: bash, fish, zsh"),
        (["instal=bash"], "did you mean 'install'"),
        (["install"], "takes install=SHELL"),
        ([], "takes install=SHELL"),
    ],
)
def test_unknown_shell_or_command_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["--shell-completion", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_install_also_works_after_train_as_in_hydras_manual(capsys: pytest.CaptureFixture[str]) -> None:
    scripts = []
    for words in (["-sc"], ["train", "-sc"], ["train", "--shell-completion"]):
        assert main([*words, "install=bash"]) == 0
        scripts.append(capsys.readouterr().out)
    assert scripts == 3 * [scripts[0]] != 3 * [""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_completes_the_word_piecewise_in_every_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a .bashrc runs in any folder
    monkeypatch.setattr(sys, "argv", ["python"])
    assert main(["-sc", f"install={shell}"]) == 0
    (line,) = [
        line for line in capsys.readouterr().out.splitlines() if re.match(r"(COMP.* )?complete.*piecewise( |$)", line)
    ]
    assert f"hydra_{'fish' if shell == 'fish' else 'bash'}_completion" in line
    assert sys.argv == ["python"]


def test_query_needs_no_torch(project: Project) -> None:
    code = (
        "import sys; from piecewise.cli import main; main(['-sc', 'query=bash']);"
        "print({'torch', 'mlflow', 'pytorch_lightning'} & set(sys.modules), 'hydra' in sys.modules)"
    )
    environment = {**os.environ, "COMP_LINE": "piecewise train optimizer.l"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.stdout, done.stderr) == ("optimizer.lr=\nset() True\n", "")


@pytest.mark.slow
@needs("bash")
def test_bash_completes(project: Project) -> None:
    script = """
        eval "$(piecewise -sc install=bash)"; complete -p piecewise >/dev/null
        ask() { COMP_LINE=$1 COMP_CWORD=$2; hydra_bash_completion; echo "${COMPREPLY[@]}"; }
    """ + "\n".join(f"ask {shlex.quote(line)} {line.count(' ')}" for line in CASES)
    script += '\neval "$(piecewise -sc uninstall=bash)"; declare -F hydra_bash_completion || echo gone'
    assert run(["bash", "--norc", "-c"], script, project) == [*CASES.values(), "gone"]


@needs("zsh")
def test_zsh_accepts_the_script(project: Project) -> None:
    """Completion in zsh needs an interactive shell; the tests above cover its queries."""
    script = (
        "autoload -Uz compinit && compinit -u -D\n"
        'eval "$(piecewise -sc install=zsh)"\necho $_comps[piecewise]; whence -w hydra_bash_completion'
    )
    found = run(["zsh", "-f", "-c"], script, project)
    assert found == ["_bash_complete -o nospace -o default -F hydra_bash_completion", "hydra_bash_completion: function"]


@pytest.mark.slow
@needs("fish")
def test_fish_completes(project: Project) -> None:
    script = "piecewise -sc install=fish | source\n" + "\n".join(f"complete -C {shlex.quote(line)}" for line in CASES)
    assert run(["fish", "--no-config", "-c"], script, project) == list(CASES.values())
