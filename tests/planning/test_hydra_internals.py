"""The undocumented parts of Hydra and OmegaConf do what planning needs of them."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException
from omegaconf import II, MISSING, DictConfig, Node, OmegaConf

from piecewise.planning import plan
from piecewise.planning.hydra_internals import apply_overrides, copied, group_test, shared_config_store
from piecewise.planning.override_parser import parse
from piecewise.project import Project
from small_project import add_search_path


def test_the_store_is_shared_only_inside_the_block() -> None:
    store = ConfigStore.instance()
    with shared_config_store():
        assert copy.deepcopy(store) is store
    with pytest.raises(ZeroDivisionError), shared_config_store():
        raise ZeroDivisionError
    assert not hasattr(ConfigStore, "__deepcopy__")
    assert copy.deepcopy(store) is not store


def test_hydra_copies_the_store_when_it_composes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Hydra stops copying it, remove `shared_config_store`."""
    copied = []
    monkeypatch.setattr(ConfigStore, "__deepcopy__", lambda store, memo: copied.append(store) or store, raising=False)
    with initialize_config_dir(str(project.conf), version_base=None):
        plan._register_schema()
        compose("config")
    assert ConfigStore.instance() in copied


def _composed(project: Project, *overrides: str) -> DictConfig:
    """The composed configuration, by Hydra's public function."""
    with initialize_config_dir(str(project.conf), version_base=None):
        plan._register_schema()
        return compose("config", list(overrides))


@pytest.mark.parametrize("key", ["", "+", "++"])
def test_overrides_are_applied_as_hydra_does(project: Project, key: str) -> None:
    words = [f"{'' if key == '+' else key}optimizer.lr=0.5", f"{key or '++'}optimizer.eps=0.1", "~optimizer.betas"]
    config = _composed(project)
    apply_overrides([parse(word) for word in words], config)
    assert config == _composed(project, *words)
    assert (config.optimizer.lr, config.optimizer.eps, "betas" in config.optimizer) == (0.5, 0.1, False)


def test_an_unknown_key_is_refused_as_hydra_does(project: Project) -> None:
    with pytest.raises(ConfigCompositionException, match="Could not override 'sed'"):
        apply_overrides([parse("sed=3")], _composed(project))


def test_a_group_may_be_in_a_folder_of_the_search_path(project: Project) -> None:
    (project / "more" / "extra").mkdir(parents=True)
    add_search_path(project, "more")
    with plan.composing(project.conf) as loader:
        found = {key: group_test(loader)(key) for key in ("model", "extra", "seed", "optimizer.lr", "extra/none")}
    assert found == {"model": True, "extra": True, "seed": False, "optimizer.lr": False, "extra/none": False}


@dataclass
class Typed:
    both: int | str = 3
    numbers: list[int] = field(default_factory=lambda: [1, 2])
    missing: Any = MISSING
    nothing: Any = None
    refers: int = II("both")


def test_a_copy_equals_a_deep_copy_and_is_apart(project: Project) -> None:
    plain = {"of": OmegaConf.structured(Typed), "refers": "${of.numbers}", "list": [{"a": [None, "${of.both}"]}]}
    for config in (OmegaConf.create(plain), OmegaConf.create({"union": OmegaConf.structured(Typed)})):
        OmegaConf.set_struct(config, True)
        whole, before = copied(config), OmegaConf.to_yaml(config)
        assert _state(whole) == _state(copy.deepcopy(config))
        for key, value in (("of.both", "x"), ("list", [1]), ("union.numbers", [3])):
            if key.split(".")[0] in whole:
                OmegaConf.update(whole, key, value)
                assert OmegaConf.select(whole, key) == value
        OmegaConf.set_struct(whole, False)
        assert OmegaConf.is_struct(config)
        assert OmegaConf.to_yaml(config) == before


def _state(node: Node) -> Any:
    """All that a node is, with the nodes below it."""
    content = node.__dict__.get("_content", node.__dict__.get("_val"))
    if isinstance(content, Node):
        content = _state(content)
    elif isinstance(content, dict | list):
        below = content.values() if isinstance(content, dict) else content
        assert all(child._get_parent() is node for child in below)
        content = [_state(child) for child in below]
    return type(node), node._metadata, sorted(node.__dict__), content


def test_a_copy_is_cheap(project: Project) -> None:
    """If OmegaConf's own copy gets as fast, remove `copied`."""
    config = _composed(project)
    ours, theirs = (min(_seconds(function, config) for _ in range(5)) for function in (copied, copy.deepcopy))
    assert ours < theirs / 2


def _seconds(function: Callable[[DictConfig], object], config: DictConfig) -> float:
    start = time.process_time()
    for _ in range(5):
        function(config)
    return time.process_time() - start
