"""The typed configuration of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from piecewise.errors import BadInput, nearest

# Keys that jobs of earlier versions lack, with what they mean for them.
LATER_KEYS = {"executor": None, "on_error": "continue", "figures": "auto"}
# Keys whose values are words, with the words.
WORDS = {"select": ("best", "last"), "log_model": ("best", "all", "none"), "figures": ("auto", "all", "none")}
ON_ERROR = re.compile("continue|stop|stop_after:[1-9][0-9]{0,5}")
ALLOWED_ON_ERROR = "continue, stop or stop_after:N, with a whole number N of at least 1"


@dataclass
class About:
    """What an experiment asks and expects. People and the report read it; training does not."""

    question: str = ""
    source: str = ""
    command: str = ""
    expected: list[Any] = field(default_factory=list)  # each has `metric`, `at_least` or `at_most`, and perhaps `when`
    seconds: float | None = None  # on 2 CPU cores


@dataclass
class EarlyStopping:
    """Stop when `val/nll` has not fallen by more than `min_delta` in `patience` validations; null: never."""

    patience: int | None = None
    min_delta: float = 0.0


@dataclass
class Tracking:
    """The address of the MLflow store; null: runs are recorded in their journals only."""

    uri: str | None = None


@dataclass(frozen=True)
class Component:
    """The class that one group of the configuration names, and its options."""

    group: str
    target: Any  # a dotted name, not yet checked
    options: dict[str, Any]

    @classmethod
    def of(cls, group: str, content: Any) -> Self:
        """The component in a group's content. Raises BadInput if it is no mapping."""
        if not isinstance(content, dict):
            raise BadInput(f"{group}={content!r} must be one of the group's files")
        options = {key: value for key, value in content.items() if key not in ("_target_", "_partial_")}
        return cls(group, content.get("_target_"), options)

    def __str__(self) -> str:
        """The options as `group.option=value`, for messages."""
        return ", ".join(f"{self.group}.{key}={value!r}" for key, value in self.options.items()) or self.group


@dataclass(frozen=True)
class DataConfig(Component):
    """A data set, and three options that all have: the validation split, its seed, and the shift of images."""

    val_fraction: float
    split_seed: int
    max_shift: int  # pixels; training images are moved at random by up to this

    @classmethod
    def of(cls, group: str, content: Any) -> Self:
        component = Component.of(group, content)
        loading = {name: component.options.pop(name, 0) for name in ("val_fraction", "split_seed", "max_shift")}
        for name, value in loading.items():
            kinds, allowed = ((int, float), "number") if name == "val_fraction" else ((int,), "whole number")
            if isinstance(value, bool) or not isinstance(value, kinds) or value < 0:
                raise BadInput(f"{group}.{name}={value!r} must be a {allowed} of at least 0")
        return cls(**vars(component), **loading)

    @property
    def location(self) -> str:
        """The path of the examples, or `generated`."""
        return str(self.options.get("path") or self.options.get("folder") or "generated")


@dataclass(frozen=True)
class TrainerConfig(Component):
    """Options of Lightning's Trainer, and `timeout`: how many seconds a rank waits for another."""

    @property
    def may_use_ranks(self) -> bool:
        """Whether the job may train in several processes. With several devices Lightning chooses DDP itself."""
        is_alone = self.options.get("devices") in (1, "1") and self.options.get("num_nodes", 1) == 1
        return not (is_alone and self.options.get("strategy", "auto") == "auto")

    @property
    def planned_ranks(self) -> int:
        """The number of processes that the job asks for; 1 unless `devices` is a positive number."""
        devices, nodes = self.options.get("devices"), self.options.get("num_nodes", 1)
        is_number = isinstance(devices, int) and devices > 0
        return int(devices * nodes) if is_number else 1


@dataclass(frozen=True)
class JobConfig:
    """The configuration of a job, without `about`."""

    seed: int
    batch_size: int | str  # examples per step, or "all"
    select: str  # which weights are kept: "best" by val/nll, or "last"
    early_stopping: EarlyStopping
    log_every_n_steps: int
    evaluate: bool
    log_model: str
    figures: str
    on_error: str
    data: DataConfig
    model: Component
    loss: Component
    optimizer: Component
    scheduler: Component | None
    trainer: TrainerConfig
    tracking: Tracking
    executor: Component | None  # how a sweep's jobs run; null: as the default option does

    @classmethod
    def parse(cls, frozen: Mapping[str, Any]) -> JobConfig:
        """The configuration in a job's dict. Raises BadInput, naming the key, for an unknown one or a bad value."""
        content = LATER_KEYS | dict(frozen)
        _known("about", content.pop("about", None) or {}, About)  # checked, and not needed for training
        _known("", content, cls)
        if missing := [option.name for option in fields(cls) if option.name not in content]:
            raise BadInput(f"{missing[0]} is missing: it has no default here, and cannot be deleted with ~")
        return cls(
            data=DataConfig.of("data", content.pop("data")),
            scheduler=Component.of("scheduler", scheduler) if (scheduler := content.pop("scheduler")) else None,
            trainer=TrainerConfig.of("trainer", content.pop("trainer")),
            executor=Component.of("executor", executor) if (executor := content.pop("executor")) else None,
            tracking=Tracking(**_known("tracking", content.pop("tracking") or {}, Tracking)),
            early_stopping=EarlyStopping(**_known("early_stopping", content.pop("early_stopping"), EarlyStopping)),
            model=Component.of("model", content.pop("model")),
            loss=Component.of("loss", content.pop("loss")),
            optimizer=Component.of("optimizer", content.pop("optimizer")),
            **content,
        )

    def global_batch_size(self, num_examples: int) -> int:
        """Examples per step; `all` means all training examples. Raises BadInput if it is out of range."""
        size = num_examples if self.batch_size == "all" else self.batch_size
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= num_examples:
            raise BadInput(
                f"batch_size={size!r} must be a whole number from 1 to the {num_examples} training examples, or all"
            )
        return size

    def __post_init__(self) -> None:
        patience, min_delta = self.early_stopping.patience, self.early_stopping.min_delta
        every = self.log_every_n_steps
        for is_right, key, value, allowed in (
            (0 <= self.seed < 2**63, "seed", self.seed, "at least 0 and less than 2**63"),
            (patience is None or patience >= 1, "early_stopping.patience", patience, "at least 1, or null"),
            (min_delta >= 0, "early_stopping.min_delta", min_delta, "at least 0"),
            (patience or not min_delta, "early_stopping.min_delta", min_delta, "0 without early_stopping.patience"),
            (_is_count(every), "log_every_n_steps", repr(every), "a whole number, at least 1"),
            (isinstance(self.evaluate, bool), "evaluate", repr(self.evaluate), "true or false"),
            (ON_ERROR.fullmatch(str(self.on_error)), "on_error", repr(self.on_error), ALLOWED_ON_ERROR),
            *(
                (
                    getattr(self, name) in words,
                    name,
                    repr(getattr(self, name)),
                    f"{', '.join(words[:-1])} or {words[-1]}",
                )
                for name, words in WORDS.items()
            ),
        ):
            if not is_right:
                raise BadInput(f"{key}={value} must be {allowed}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _known(group: str, content: dict[str, Any], node: type) -> dict[str, Any]:
    """`content`, if `node` has all its keys; else BadInput. Hydra's `+` can add keys that the dataclass lacks."""
    allowed = {option.name for option in fields(node)}
    if not isinstance(content, dict):
        raise BadInput(f"{group}={content!r} must be a mapping with the keys {', '.join(sorted(allowed))}")
    for name, value in content.items():
        if name not in allowed:
            raise BadInput(f"{f'{group}.' if group else ''}{name}={value!r} is no option; {nearest(name, allowed)}")
    return content
