"""Digests of configurations: canonical JSON, hashed."""

import copy
import hashlib
import json
from typing import Any

# These keys say how, where and for whom a job runs. They do not change its digest.
VOLATILE = (
    "about",
    "tracking",
    "evaluate",
    "log_every_n_steps",
    "log_model",
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "precision", "strategy", "timeout")),
)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_digest(value: Any) -> str:
    """SHA-256 of the value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def config_digest(config: dict[str, Any]) -> str:
    """The digest of a job's configuration: of what decides the result."""
    return canonical_digest(without_volatile(config))


def without_volatile(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides the result: all keys but the volatile ones."""
    kept = copy.deepcopy(config)
    for key in VOLATILE:
        group, _, leaf = key.rpartition(".")
        (kept.get(group, {}) if group else kept).pop(leaf, None)
    return kept
