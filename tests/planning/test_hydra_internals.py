"""Hydra shares its ConfigStore instead of copying it: only inside the block, and only as long as Hydra copies."""

from __future__ import annotations

import copy

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore

from piecewise.planning import plan
from piecewise.planning.hydra_internals import shared_config_store
from piecewise.project import Project


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
