"""Digests of configurations: what decides a job's result, in one notation, as canonical JSON, hashed."""

import hashlib
import json
from typing import Any

# These keys say how, where and for whom a job runs. They do not change its digest.
VOLATILE = (
    "about",
    "tracking",
    "executor",
    "on_error",
    "figures",
    "evaluate",
    "log_every_n_steps",
    "log_model",
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy", "timeout")),
)
# Options for which these values, null, and leaving them out are the same job. None: only the last two are.
DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {"max_shift": 0, "split_seed": 0},
    "scheduler": {"interval": "step"},
    "trainer": {
        "precision": "32-true",
        "deterministic": False,
        "benchmark": False,
        "detect_anomaly": False,
        "sync_batchnorm": None,
        "gradient_clip_val": None,
        "gradient_clip_algorithm": "norm",
        "max_steps": -1,
        "accumulate_grad_batches": 1,
        "limit_train_batches": 1.0,
        "limit_val_batches": 1.0,
        "overfit_batches": 0,
    },
}


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_digest(value: Any) -> str:
    """SHA-256 of the value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def config_digest(config: dict[str, Any]) -> str:
    """The digest of a job's configuration: of what decides the result."""
    return canonical_digest(decisive(config))


def decisive(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides the result, in one notation: equal for two notations of one job."""
    kept = {key: _decisive_options(key, value) for key, value in config.items() if key not in VOLATILE}
    return kept | ({"scheduler": {}} if kept.get("scheduler") is None else {})


def _decisive_options(group: str, options: Any) -> Any:
    if not isinstance(options, dict):
        return options
    one = dict(options)
    if isinstance(epochs := one.get("max_epochs"), int):
        every = one.pop("check_val_every_n_epoch", 1)
        every = min(every, epochs) if isinstance(every, int) else every  # the last epoch is always validated
        one |= {"check_val_every_n_epoch": every} if every != 1 else {}
    if one.get("gradient_clip_val") is not None:
        one["gradient_clip_val"] = float(one["gradient_clip_val"])
    defaults = DEFAULTS.get(group, {})
    return {
        key: value
        for key, value in one.items()
        if key != "_partial_"  # Hydra's keyword, without a meaning here
        and f"{group}.{key}" not in VOLATILE
        and not (key in defaults and (value is None or _is_same(value, defaults[key])))
    }


def _is_same(value: Any, default: Any) -> bool:
    """Whether two values are equal and of one type: 1 is one batch, 1.0 all of them. Zero batches have no type."""
    return value == default and (type(value) is type(default) or value == 0)
