"""Which classes a configuration may name, and whether its arguments are theirs. A configuration is data, not code."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from piecewise.errors import BadInput, nearest

if TYPE_CHECKING:
    from piecewise.jobs.config import Component

ALLOWED = (
    "piecewise.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.models.",
    "pytorch_lightning.Trainer",
)


def resolve(target: object, key: str, kind: type) -> type:
    """The class that `target` names, if it is a subclass of `kind` and lives where configurations may reach.

    The resolved object is judged, not the string alone: `torch.nn.functional.torch.hub.load` also begins well.
    Raises BadInput naming the key.
    """
    allowed = f"allowed: a subclass of {kind.__module__}.{kind.__qualname__} from {', '.join(ALLOWED)}"
    if not isinstance(target, str) or not target.startswith(ALLOWED) or "__" in target:
        raise BadInput(f"{key}={target!r} is not allowed; {allowed}")
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"{key}={target!r} does not exist ({error})") from error
    home = f"{found.__module__}.{found.__qualname__}" if inspect.isclass(found) else ""
    if not home.startswith((*ALLOWED, "pytorch_lightning.trainer.")) or not _is_kind(found, kind):
        raise BadInput(f"{key}={target!r} is {home or type(found).__name__}; {allowed}")
    return found  # type: ignore[no-any-return]


def checked_target(component: Component, kind: type, given: Sequence[str] = ()) -> tuple[type, dict[str, Any]]:
    """The class that a component names, and its options as arguments of that class, all checked.

    `given` names the arguments that piecewise itself provides. Raises BadInput naming the key.
    """
    refuse_targets(component.options, component.group)
    target = resolve(component.target, f"{component.group}._target_", kind)
    return target, check_arguments(target, component.options, component.group, given)


def _is_kind(found: type, kind: type) -> bool:
    if getattr(kind, "_is_protocol", False):
        wanted = {name for name in vars(kind) if not name.startswith("_")}
        return all(callable(getattr(found, name, None)) for name in wanted)
    return issubclass(found, kind)


def refuse_targets(value: Any, key: str) -> None:
    """Refuse `_target_`, `_args_` and their like below a group's first level: nothing there is ever built.

    Raises BadInput naming the key.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            if str(name).startswith("_"):
                raise BadInput(f"{key}.{name}={item!r} is not allowed: one _target_ for each group, and plain values")
            refuse_targets(item, f"{key}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_targets(item, f"{key}[{index}]")


def check_arguments(target: type, arguments: dict[str, Any], group: str, given: Sequence[str] = ()) -> dict[str, Any]:
    """`arguments`, as `annotated` makes them, if they are the target's own.

    Refuses arguments that the target does not have, values of another type, and required arguments that are missing;
    `given` names those that piecewise itself provides. Raises BadInput naming the key.
    """
    parameters = inspect.signature(target).parameters
    named = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = _hints(target)
    checked = annotated(target, arguments)
    for name, value in checked.items():
        if name in given or (name not in named and not open_ended):
            raise BadInput(
                f"{group}.{name}={value!r} is no option of {target.__name__}; {nearest(name, set(named) - set(given))}"
            )
        if not fits(value, hints.get(name, Any)):
            raise BadInput(f"{group}.{name}={value!r} must be {_in_words(hints[name])}")
    for name in named:
        if parameters[name].default is inspect.Parameter.empty and name not in {*arguments, *given}:
            raise BadInput(f"{group}.{name} is missing: {target.__name__} needs it")
    return checked


def annotated(target: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """`arguments` with whole numbers made real where the target wants only real ones: `lr=1` and `lr=1.0` are one."""
    hints = _hints(target)
    return {name: float(value) if _is_real(value, hints.get(name, Any)) else value for name, value in arguments.items()}


def _is_real(value: Any, hint: Any) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and fits(float(value), hint) and not fits(value, hint, strict=True)


def _hints(target: type) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.getattr_static(target, "__init__"))
    except (NameError, TypeError):  # a foreign class whose annotations only its own type checker can read
        return {}


def fits(value: Any, hint: Any, strict: bool = False) -> bool:
    """Whether a plain value may be passed where `hint` is annotated; `strict` keeps whole numbers out of float."""
    if hint is Any or isinstance(hint, str):
        return True
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, choice, strict) for choice in inner)
    if origin is Literal:
        return value in inner
    if hint is float:
        return isinstance(value, float) or (not strict and isinstance(value, int) and not isinstance(value, bool))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, dict, type(None)):
        return isinstance(value, hint)
    if hint is None:
        return value is None
    if origin is tuple and Ellipsis not in inner:
        pairs = zip(value, inner, strict=True) if isinstance(value, list) and len(value) == len(inner) else None
        return pairs is not None and all(fits(item, choice, strict) for item, choice in pairs)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list) and all(fits(item, inner[0], strict) for item in value)
    if isinstance(origin, type) and issubclass(origin, dict):
        return isinstance(value, dict)
    # Objects of other classes cannot be written in a configuration.
    return not isinstance(value, (bool, int, float, str, type(None)))


def _in_words(hint: Any) -> str:
    """What may be written in a configuration for `hint`: objects of other classes are left out."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        written = [
            choice for choice in inner if choice in (bool, int, float, str, None, type(None)) or get_origin(choice)
        ]
        return " or ".join(dict.fromkeys(_in_words(choice) for choice in written)) or str(hint)
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin is tuple:
        return f"a list of {len(inner)} values ({', '.join(_in_words(item) for item in inner)})"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {_in_words(inner[0])}"
    if hint in (None, type(None)):
        return "null"
    return getattr(hint, "__name__", None) or str(hint).replace("typing.", "")
