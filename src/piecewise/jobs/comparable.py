"""Which runs may be compared by `val/nll`: those that measure the same examples with the same kind of density."""

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

Item = TypeVar("Item")
NOT_PARAMETERS = ("about", "tracking", "executor", "on_error", "figures")  # keys that change no result
# Options of the data that change no validation target: where its files are, its inputs, its test set, augmentation.
NO_TARGETS = ("data.path", "data.folder", "data.standardise", "data.num_test", "data.max_shift")
LIMIT = "trainer.limit_val_batches"  # chooses the examples that are validated
DIGEST = "digests.data"  # of the training data, from which the validation examples are cut


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """A nested configuration as pairs of `group.option` and text; a list is one option."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name != "_partial_" and (key or name not in NOT_PARAMETERS):  # `_partial_` is Hydra's keyword
                yield from flatten(item, f"{key}.{name}" if key else name)
    else:
        yield key, value if isinstance(value, str) else json.dumps(value)


def basis(options: Mapping[str, str], data_digest: str | None) -> str | None:
    """What two runs must share for their `val/nll` to be comparable, as JSON; None if the data's digest is unknown.

    `options` are those of `flatten`: data set and its split, loss, and the limit of the validation.
    """
    if not data_digest:
        return None
    shared = {
        key: value
        for key, value in options.items()
        if (key.startswith(("data.", "loss.")) and key not in NO_TARGETS) or key == LIMIT
    }
    return json.dumps({DIGEST: data_digest, **shared}, sort_keys=True)


def short_name(basis: str) -> str:
    """A name for a basis: `csv-squared_error-3f2a91`, of data set, loss and digest."""
    options = json.loads(basis)
    words = [_snake_case(options.get(f"{group}._target_", group)) for group in ("data", "loss")]
    return "-".join([*words, hashlib.sha256(basis.encode()).hexdigest()[:6]])


def best_of_each(items: Iterable[tuple[str | None, float | None, Item]]) -> dict[str, Item]:
    """The item of the lowest `val/nll` for each basis, from (basis, `val/nll`, item); of equal ones the first.

    A missing or undefined `val/nll` comes last. Items without a basis are comparable with none, and left out.
    """
    groups: dict[str, list[tuple[float, Item]]] = defaultdict(list)
    for key, nll, item in items:
        if key is not None:
            groups[key].append((math.inf if nll is None or math.isnan(nll) else nll, item))
    return {key: min(members, key=lambda member: member[0])[1] for key, members in groups.items()}


def _snake_case(target: str) -> str:
    """`piecewise.losses.squared_error.SquaredError` as `squared_error`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", target.rpartition(".")[2]).lower()
    return re.sub(r"[^a-z0-9_]", "_", name)
