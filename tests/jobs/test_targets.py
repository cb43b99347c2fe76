from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from torch import nn
from torch.optim import SGD, Optimizer

from piecewise.data.regression import Line
from piecewise.data.spec import DataSource
from piecewise.errors import BadInput
from piecewise.jobs.targets import check_arguments, fits, resolve
from piecewise.models.shallow import Shallow

GADGETS = [
    "os.system",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "torch.nn.functional.torch.hub.load",
    "torch.nn.modules.module.torch.load",
    "torch.optim.sgd.torch.load",
    "pandas.read_pickle",
    "pip.main",
    "functools.partial",
    "hydra.utils.get_method",
    "mlflow.pyfunc.load_model",
    "piecewise.cli.main",
    "piecewise.durable.os.system",
    "piecewise.training.checkpoints.load_checkpoint",
    "torch.nn.Module.__init__",
    "torch.nn.Module.__subclasses__",
    "subprocess.Popen",
    "",
    None,
    3,
]


@pytest.mark.parametrize("target", GADGETS)
def test_gadget_is_refused(target: object) -> None:
    with pytest.raises(BadInput, match=r"model\._target_"):
        resolve(target, "model._target_", nn.Module)


def test_module_outside_the_fence_is_not_even_imported() -> None:
    with pytest.raises(BadInput):
        resolve("antigravity.fly", "model._target_", nn.Module)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("target", ["torch.optim.SGD", "torch.nn.functional.relu"])
def test_class_of_another_slot_is_refused(target: str) -> None:
    with pytest.raises(BadInput, match="allowed: a subclass of torch"):
        resolve(target, "model._target_", nn.Module)


@pytest.mark.parametrize(
    ("target", "kind", "expected"),
    [
        ("piecewise.models.shallow.Shallow", nn.Module, Shallow),
        ("torch.nn.Linear", nn.Module, nn.Linear),
        ("torch.optim.SGD", Optimizer, SGD),
        ("piecewise.data.regression.Line", DataSource, Line),
    ],
)
def test_class_of_its_slot_is_found(target: str, kind: type, expected: type) -> None:
    assert resolve(target, "key", kind) is expected


class _Target:
    def __init__(
        self, width: int, rate: float = 0.1, sizes: Sequence[int] = (1,), mode: Literal["a", "b"] = "a"
    ) -> None:
        pass


def test_whole_numbers_become_real_where_real_ones_are_wanted() -> None:
    checked = check_arguments(_Target, {"width": 3, "rate": 1}, "model")
    assert checked == {"width": 3, "rate": 1.0}
    assert isinstance(checked["rate"], float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wdth": 3}, r"model\.wdth=3 is no option of _Target; did you mean 'width'"),
        ({"width": "3"}, r"model\.width='3' must be int"),
        ({"width": True}, r"model\.width=True must be int"),
        ({"width": 3, "rate": "x"}, r"model\.rate='x' must be float"),
        ({"width": 3, "sizes": [1, "2"]}, r"model\.sizes"),
        ({"width": 3, "mode": "c"}, r"model\.mode='c'"),
        ({}, r"model\.width is missing"),
    ],
)
def test_arguments_that_are_not_the_targets_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_arguments(_Target, arguments, "model")


def test_argument_that_piecewise_provides_cannot_be_set() -> None:
    with pytest.raises(BadInput, match=r"model\.width=3"):
        check_arguments(_Target, {"width": 3}, "model", given=["width"])


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int | None, True),
        (None, int | None, True),
        ("x", int | None, False),
        ([0.9, 0.99], tuple[float, float], True),
    ],
)
def test_fits(value: object, hint: object, expected: bool) -> None:
    assert fits(value, hint) is expected
