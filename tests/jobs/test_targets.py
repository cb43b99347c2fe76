from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from piecewise.data.regression import Line
from piecewise.data.spec import DataSource
from piecewise.errors import BadInput
from piecewise.jobs.targets import check_arguments, resolve
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


def test_module_that_is_not_allowed_is_not_imported() -> None:
    with pytest.raises(BadInput):
        resolve("antigravity.fly", "model._target_", nn.Module)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("target", ["torch.optim.SGD", "torch.nn.functional.relu"])
def test_class_of_another_kind_is_refused(target: str) -> None:
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
def test_class_of_the_right_kind_is_found(target: str, kind: type, expected: type) -> None:
    assert resolve(target, "key", kind) is expected


class _Target:
    def __init__(
        self, width: int, rate: float = 0.1, sizes: Sequence[int] = (1,), mode: Literal["a", "b"] = "a"
    ) -> None:
        pass


def test_whole_numbers_become_floats_where_floats_are_annotated() -> None:
    checked = check_arguments(_Target, {"width": 3, "rate": 1}, "model")
    assert checked == {"width": 3, "rate": 1.0}
    assert isinstance(checked["rate"], float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wdth": 3}, r"model\.wdth=3 is no option of _Target; did you mean 'width'"),
        ({"width": "3"}, r"model\.width='3' must be a valid integer"),
        ({"width": True}, r"model\.width=True must be a valid integer"),
        ({"width": 3, "rate": "x"}, r"model\.rate='x' must be a valid number"),
        ({"width": 3, "sizes": [1, "2"]}, r"model\.sizes=\[1, '2'\] must be a valid integer at index 1"),
        ({"width": 3, "mode": "c"}, r"model\.mode='c' must be 'a' or 'b'"),
        ({}, r"model\.width is missing"),
    ],
)
def test_unknown_mistyped_and_missing_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_arguments(_Target, arguments, "model")


def test_argument_that_piecewise_provides_cannot_be_set() -> None:
    with pytest.raises(BadInput, match=r"model\.width=3"):
        check_arguments(_Target, {"width": 3}, "model", given=["width"])


class _Annotated:
    def __init__(
        self,
        maybe: int | None = None,
        pair: tuple[float, float] = (0.0, 0.0),
        rate: float | Tensor = 0.1,  # as torch.optim writes it
        plugin: str | nn.Module = "none",  # as Lightning writes it
        limit: int | float = 1,
        rates: float | list[float] = 0.1,
    ) -> None:
        pass


class _Unreadable:
    def __init__(self, width: Missing = 3) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("maybe", 1, 1),
        ("maybe", None, None),
        ("pair", [1, 0.99], [1.0, 0.99]),
        ("rate", 1, 1.0),
        ("plugin", "ddp", "ddp"),
        ("limit", 1, 1),
        ("limit", 1.0, 1.0),
        ("rates", [1, 2], [1.0, 2.0]),
    ],
)
def test_a_value_becomes_what_its_parameter_is_annotated_with(name: str, value: object, expected: object) -> None:
    checked = check_arguments(_Annotated, {name: value}, "model")[name]
    assert repr(checked) == repr(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("maybe", "x", "must be a valid integer"),
        ("pair", [0.9], "must be a longer list"),
        ("pair", [1, 2, 3], "at most 2 items"),
        ("rate", True, "must be a valid number$"),
        ("plugin", 3, "must be a valid string$"),
    ],
)
def test_a_value_that_its_annotation_excludes_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(BadInput, match=rf"model\.{name}=.* {message}"):
        check_arguments(_Annotated, {name: value}, "model")


def test_an_annotation_that_cannot_be_evaluated_allows_every_value() -> None:
    assert check_arguments(_Unreadable, {"width": "x"}, "model") == {"width": "x"}
