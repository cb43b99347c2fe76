"""Check the classes that a configuration names and their arguments, and make objects of them: it is data, not code."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

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
    """The class that `target` names, which must be a subclass of `kind` from an allowed module.

    The resolved object is checked too: `torch.nn.functional.torch.hub.load` begins with an allowed module.
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
    """The class that a component names, and its options as checked arguments of that class.

    `given` names the arguments that piecewise itself provides. Raises BadInput naming the key.
    """
    refuse_targets(component.options, component.group)
    target = resolve(component.target, f"{component.group}._target_", kind)
    return target, check_arguments(target, component.options, component.group, given)


def construct(component: Component, kind: type, facts: dict[str, Any] | None = None) -> Any:
    """An object of the class that `component` names. It gets those of `facts` that its constructor takes."""
    facts = facts or {}
    target, arguments = checked_target(component, kind, tuple(facts))
    accepted = inspect.signature(target).parameters
    return target(**{key: value for key, value in facts.items() if key in accepted}, **arguments)


def _is_kind(found: type, kind: type) -> bool:
    if getattr(kind, "_is_protocol", False):
        wanted = {name for name in vars(kind) if not name.startswith("_")}
        return all(callable(getattr(found, name, None)) for name in wanted)
    return issubclass(found, kind)


def refuse_targets(value: Any, key: str) -> None:
    """Raise BadInput, naming the key, for names with a leading underscore (`_target_`, `_args_`) in `value`.

    Only a group's first level has a `_target_`; nothing below it is built.
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
    """`arguments` as `annotated` converts them, checked against the target's signature.

    `given` names the arguments that piecewise itself provides. Raises BadInput, naming the key, for an argument that
    the target does not have, for a value of another type, and for a required argument that is missing.
    """
    parameters = _parameters(target)
    named = {name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name, value in arguments.items():
        if name in given or (name not in named and not takes_any_name):
            options = named - set(given)
            allowed = nearest(name, options) if options else "it has no options"
            raise BadInput(f"{group}.{name}={value!r} is no option of {target.__name__}; {allowed}")
    for name, parameter in parameters.items():
        if name in named - {*arguments, *given} and parameter.default is parameter.empty:
            raise BadInput(f"{group}.{name} is missing: {target.__name__} needs it")
    return annotated(target, arguments, group)


def annotated(target: type, arguments: dict[str, Any], group: str) -> dict[str, Any]:
    """`arguments` with each value of the type that `target` annotates: `lr=1` becomes `lr=1.0`, and lists stay lists.

    Raises BadInput naming the key.
    """
    checked = {}
    for name, value in arguments.items():
        try:
            checked[name] = to_jsonable_python(_adapter(target, name).validate_json(json.dumps(value)))
        except ValidationError as error:
            raise BadInput(f"{group}.{name}={value!r} must be {_allowed(error)}") from error
    return checked


@cache
def _parameters(target: type) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target, eval_str=True).parameters
    except (NameError, TypeError):  # annotations that name what is imported for type checkers only
        return inspect.signature(target).parameters


@cache
def _adapter(target: type, name: str) -> TypeAdapter[Any]:
    """pydantic's check of one parameter; it accepts everything if the annotation cannot be evaluated."""
    hint = _parameters(target)[name].annotation if name in _parameters(target) else Any
    if hint is inspect.Parameter.empty or isinstance(hint, str):
        hint = Any
    try:
        return TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except PydanticUserError:
        return TypeAdapter(Any)


def _allowed(error: ValidationError) -> str:
    """The allowed values in pydantic's words, without the Python objects that no configuration can hold."""
    allowed = []
    for problem in error.errors():
        index = "".join(f" at index {part}" for part in problem["loc"] if isinstance(part, int))
        if problem["type"] == "missing":
            allowed.append("a longer list")
        elif problem["type"] != "needs_python_object":
            allowed.append(problem["msg"].removeprefix("Input should be ").replace("array", "list") + index)
    return " or ".join(dict.fromkeys(allowed)) or "left out: no configuration can hold an object for it"
