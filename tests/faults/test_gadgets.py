"""Configurations that name a gadget (a function that would run foreign code) are refused; nothing is called."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from typing import Any

import pytest
from pytorch_lightning import Trainer
from torch import nn
from torch.optim import Optimizer

from piecewise.data.spec import DataSource
from piecewise.errors import BadInput
from piecewise.execution.train import train
from piecewise.jobs.job import Job, read_job
from piecewise.jobs.targets import resolve
from piecewise.journal.run_folder import RunFolder
from piecewise.planning.plan import plan_command_line, plan_experiment
from piecewise.project import Project

Plan = Callable[..., list[Job]]

# Modules of gadgets that piecewise never needs, so importing one is an error.
FORBIDDEN_MODULES = [
    "antigravity",
    "this",
    "pip",
    "ensurepip",
    "idlelib",
    "turtledemo",
    "lib2to3",
    "xmlrpc",
    "nntplib",
    "telnetlib",
]
GADGETS = [
    *("os.system", "os.popen", "os.execv", "os.remove", "posix.system", "subprocess.run", "subprocess.Popen"),
    *(
        "subprocess.check_output",
        "shutil.rmtree",
        "builtins.eval",
        "builtins.exec",
        "builtins.__import__",
        "builtins.open",
    ),
    *(
        "builtins.compile",
        "builtins.getattr",
        "importlib.import_module",
        "runpy.run_path",
        "code.interact",
        "pty.spawn",
    ),
    *("pickle.loads", "marshal.loads", "shelve.open", "ctypes.CDLL", "webbrowser.open", "urllib.request.urlopen"),
    *("socket.socket", "functools.partial", "functools.reduce", "operator.attrgetter", "types.FunctionType"),
    *("torch.load", "torch.hub.load", "torch.jit.load", "torch.save", "torch.utils.cpp_extension.load"),
    *("torch.nn.functional.torch.hub.load", "torch.nn.modules.module.torch.load", "torch.optim.sgd.torch.load"),
    *(
        "torch.nn.Module.__init__",
        "torch.nn.Module.__subclasses__",
        "torch.nn.functional.relu",
        "torch.nn.init.normal_",
    ),
    *("pandas.read_pickle", "numpy.load", "joblib.load", "pip.main", "ensurepip.bootstrap", "antigravity.fly"),
    *("hydra.utils.get_method", "hydra.utils.instantiate", "mlflow.pyfunc.load_model", "omegaconf.OmegaConf.load"),
    *("piecewise.cli.main", "piecewise.durable.os.system", "piecewise.training.checkpoints.load_checkpoint"),
    *("piecewise.execution.ranks.subprocess.Popen", "pytorch_lightning.Trainer.fit", "pytorch_lightning.os.system"),
    *("turtledemo.__main__.main", "lib2to3.main.main", "xmlrpc.client.ServerProxy", "idlelib.run.main"),
]


class Watch(MetaPathFinder):
    """Records the top-level modules that any code tries to import."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        self.seen.add(name.partition(".")[0])


@pytest.fixture
def watch() -> Iterator[Watch]:
    finder = Watch()
    sys.meta_path.insert(0, finder)
    yield finder
    sys.meta_path.remove(finder)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace harmful functions. The list receives the names of those that are called."""
    import os
    import subprocess

    import torch

    calls: list[str] = []
    for owner, name in ((os, "system"), (os, "popen"), (torch, "load"), (torch.hub, "load"), (subprocess, "Popen")):
        monkeypatch.setattr(owner, name, lambda *_, name=name, **__: calls.append(name))
    return calls


def test_there_are_fifty_gadgets() -> None:
    assert len(set(GADGETS)) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["plain", "partial", "nested", "args", "list", "optimizer"])
def test_command_line_calls_no_gadget(plan: Plan, watch: Watch, called: list[str], shape: str) -> None:
    shapes = {
        "plain": "model._target_={0}",
        "partial": "model={{_target_: {0}, _partial_: true}}",
        "nested": "+model.inner={{_target_: {0}, command: echo}}",
        "args": "model={{_target_: piecewise.models.linear.Linear, _args_: [{{_target_: {0}}}]}}",
        "list": "+trainer.plugins=[{{_target_: {0}}}]",
        "optimizer": "optimizer={{_target_: {0}, lr: 1}}",
    }
    plan()  # planning imports its own modules, and its trial step loads its own checkpoint
    watch.seen.clear()
    called.clear()
    for gadget in GADGETS[::10]:
        with pytest.raises(BadInput):
            plan(shapes[shape].format(gadget))
    assert called == []
    assert watch.seen & set(FORBIDDEN_MODULES) == set()


@pytest.mark.parametrize("kind", [nn.Module, Optimizer, DataSource, Trainer])
def test_no_target_may_be_a_gadget(watch: Watch, called: list[str], kind: type) -> None:
    for gadget in GADGETS:
        with pytest.raises(BadInput, match=r"not allowed|does not exist|allowed: a subclass"):
            resolve(gadget, "model._target_", kind)
    assert called == []
    assert watch.seen & set(FORBIDDEN_MODULES) == set()


@pytest.mark.slow
def test_experiment_file_calls_no_gadget(project: Project, watch: Watch, called: list[str]) -> None:
    for gadget in GADGETS[::9]:
        text = f"# @package _global_\nabout: {{question: x}}\nmodel: {{_target_: {gadget}}}\n"
        (project / "conf" / "experiment" / "evil.yaml").write_text(text)
        with pytest.raises(BadInput, match=r"model\._target_"):
            plan_experiment(project / "conf", "evil")
    assert called == []
    assert watch.seen & set(FORBIDDEN_MODULES) == set()


@pytest.mark.slow
@pytest.mark.parametrize("group", ["data", "model", "loss", "optimizer", "trainer"])
def test_job_file_calls_no_gadget(tiny_job: Job, project: Project, watch: Watch, called: list[str], group: str) -> None:
    """The digest inside the job file is correct, as an attacker would make it."""
    for gadget in GADGETS[::9]:
        config = tiny_job.frozen | {group: {**tiny_job.frozen[group], "_target_": gadget}}
        path = project / "job.json"
        path.write_text(json.dumps(Job("x", (), config).as_dict()))
        with pytest.raises(BadInput, match=rf"{group}\._target_"):
            train(read_job(path), RunFolder.at(project / "runs" / "x"))
    assert called == []
    assert watch.seen & set(FORBIDDEN_MODULES) == set()


def test_overrides_cannot_read_the_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary-4711")
    for override in ("data.folder='${oc.env:SECRET}'", "+data.folder='${oc.decode:${oc.env:SECRET}}'"):
        with pytest.raises(BadInput) as refused:
            plan_command_line(project / "conf", [override])
        assert "canary" not in str(refused.value)
