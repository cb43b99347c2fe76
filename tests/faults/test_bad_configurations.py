"""A wrong configuration gives one line of error, exit code 2 and no run."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

from piecewise.errors import BadInput
from piecewise.planning.plan import plan_command_line
from piecewise.project import Project
from small_project import ROOT
from trials import Trials

GROUPS = {
    "data": ["line", "curve_1d", "binary_1d", "mnist1d", "mnist"],
    "model": ["linear", "shallow", "mlp", "cnn"],
    "loss": ["squared_error", "bernoulli", "categorical"],
    "optimizer": ["gd", "sgd", "momentum", "nesterov", "adam", "adamw"],
    "scheduler": ["none", "step", "cosine", "onecycle", "warmup"],
    "trainer": ["default", "cpu", "smoke", "overfit"],
}
# Options of the default groups, each with values that are refused.
BAD_VALUES = {
    "model.width": ["0", "-1", "2.5", "1e3", "true", "abc", "[]", "{a: 1}"],
    "optimizer.lr": ["-1", "nan", "inf", "-inf", "abc", "[0.1]", "{a: 1}", "true"],
    "batch_size": ["0", "-3", "2.5", "some", "1000000", "[4]", "null"],
    "seed": ["-1", "1.5", "abc", "[1]", "100000000000000000000", "null"],
    "trainer.max_epochs": ["0", "-1", "1.5", "abc", "null"],
    "data.val_fraction": ["0", "1", "-0.1", "1.5", "abc", "0.0000001", "nan"],
    "data.num_train": ["0", "-5", "2.5", "many"],
    "loss.sigma": ["0", "-1", "nan", "abc"],
    "select": ["worst", "3", "[]"],
    "early_stopping.patience": ["0", "-2", "soon", "1.5"],
    "early_stopping.min_delta": ["-1", "abc"],
    "log_every_n_steps": ["0", "-1", "abc"],
    "evaluate": ["perhaps", "3.5"],
    "model.activation": ["relo", "3", "[relu]"],
    "figures": ["al", "none,all", "3", "null"],
    "on_error": ["stop_after", "stop_after:0", "stop_after:x", "stop_after:-1", "halt"],
    "executor.slots": ["0", "-1", "1.5", "two", "true"],
    "executor.gpu_fraction": ["0", "2", "-0.5", "half", "nan"],
    "executor.timeout": ["0", "-1", "nan", "soon", "null"],
    "tracking.uri": ["file:./mlruns", "mlruns", "https://a:b@c", "3"],
}
GADGETS = [
    "os.system",
    "builtins.eval",
    "torch.load",
    "subprocess.Popen",
    "torch.hub.load",
    "functools.partial",
    "x",
    "",
]
KNOWN = {
    *BAD_VALUES,
    *GROUPS,
    *(
        "trainer.precision",
        "trainer.devices",
        "data.noise",
        "optimizer.eps",
        "optimizer.betas",
        "data.seed",
        "data.folder",
    ),
}


def typo(word: str, rng: Random) -> str:
    """The word with one letter removed, doubled or replaced by q, x, z or j."""
    index = rng.randrange(len(word))
    return word[:index] + rng.choice(["", word[index] * 2, rng.choice("qxzj")]) + word[index + 1 :]


@st.composite
def bad_overrides(draw: st.DrawFn) -> list[str]:
    """Command-line overrides with one or two errors, for the default data, model and loss."""
    keys = st.sampled_from(sorted(BAD_VALUES))
    several = draw(st.lists(keys, min_size=2, max_size=2, unique=True)) if draw(st.integers(0, 4)) == 0 else []
    if several:
        return [f"{key}={draw(st.sampled_from(BAD_VALUES[key]))}" for key in several]
    rng = Random(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["value", "option", "key", "added", "target", "fit", "deleted"]))
    if kind == "value":
        key = draw(keys)
        return [f"{key}={draw(st.sampled_from(BAD_VALUES[key]))}"]
    if kind == "option":
        group = draw(st.sampled_from(sorted(GROUPS)))
        option = typo(draw(st.sampled_from(GROUPS[group])), rng)
        assume(not (ROOT / "conf" / group / f"{option}.yaml").exists())  # for example, sgd without its s is gd
        return [f"{group}={option}"]
    if kind in ("key", "added"):
        key = draw(st.sampled_from(sorted(key for key in KNOWN if "." in key)))
        group, _, leaf = key.partition(".")
        plus = "+" if kind == "added" else ""
        return [f"{plus}{group}.{typo(leaf, rng)}={rng.choice([1, 0.5, 'abc'])}"]
    if kind == "target":
        group = draw(st.sampled_from(["data", "model", "loss", "optimizer", "trainer"]))
        return [f"{group}._target_={draw(st.sampled_from(GADGETS))}"]
    if kind == "deleted":
        return [f"~{draw(st.sampled_from(['data._target_', 'model._target_', 'trainer.max_epochs']))}"]
    loss = draw(st.sampled_from(["bernoulli", "categorical"]))
    return [f"data={draw(st.sampled_from(['line', 'curve_1d']))}", f"loss={loss}"]


def words(override: str) -> list[str]:
    """The last part of the override's key, and its value."""
    key, _, value = override.lstrip("+~").partition("=")
    return [word for word in (key.rpartition(".")[2], value) if word]


def test_bad_configurations_are_refused_and_named(project: Project, trials: Trials) -> None:
    """Runs, in this process, everything that `piecewise train` does before it starts a job."""
    before = sorted(project.root.rglob("*"))

    @seed(trials.seed)
    @settings(
        max_examples=trials.count(1000),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(bad_overrides())
    def refuse(overrides: list[str]) -> None:
        trials.note("bad configurations refused, in process", kept=0, tried=1)
        with pytest.raises(BadInput) as refused:
            plan_command_line(project / "conf", overrides)
        message = str(refused.value)
        assert message.strip()
        assert "\n" not in message
        assert any(word in message for override in overrides for word in words(override)), (overrides, message)
        assert sorted(project.root.rglob("*")) == before
        trials.note("bad configurations refused, in process", kept=1, tried=0)

    refuse()


@pytest.mark.slow
def test_bad_configurations_end_the_command_with_exit_code_2(project: Project, trials: Trials) -> None:
    for rng in trials("bad configurations refused, as processes", 20):
        key = rng.choice(sorted(BAD_VALUES))
        override = f"{key}={rng.choice(BAD_VALUES[key])}"
        command = [sys.executable, "-m", "piecewise", "train", override]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 2, (override, done.stderr)
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stdout == ""
        assert not list(project.root.glob("runs/*/*"))
