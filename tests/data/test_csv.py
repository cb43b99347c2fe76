from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from piecewise.data.csv import Csv
from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput

ROWS = np.array([[i, 10.0 * i * i, 7.0, 0.5 * i - 1] for i in range(10)])  # columns a, b, same, y


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, "a,b,same,y\n" + "\n".join(",".join(map(str, row)) for row in ROWS) + "\n")


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, "utf-8")
    return path


def rows_of(source: Csv) -> tuple[list[int], list[int]]:
    """Which rows of ROWS the parts hold, found by their targets."""
    y = ROWS[:, 3].tolist()
    return tuple([y.index(value) for value in part.y[:, 0].tolist()] for part in both(source))  # type: ignore[return-value]


def both(source: Csv) -> tuple:  # type: ignore[type-arg]
    return source.train(TargetKind.REAL), source.test(TargetKind.REAL)


def test_values_are_those_of_the_file(path: Path) -> None:
    source = Csv(str(path), "y", standardise=False)
    train, test = rows_of(source)
    assert sorted(train + test) == list(range(10))
    assert (train, test) == (sorted(train), sorted(test))
    assert len(test) == 2
    for part, rows in zip(both(source), (train, test), strict=True):
        np.testing.assert_array_equal(part.x.numpy(), ROWS[rows, :3])


def test_the_target_may_be_any_column(path: Path) -> None:
    train = Csv(str(path), "b", standardise=False).train(TargetKind.REAL)
    rows = train.x[:, 0].long().numpy()
    np.testing.assert_array_equal(train.x.numpy(), ROWS[rows][:, [0, 2, 3]])
    np.testing.assert_array_equal(train.y[:, 0].numpy(), ROWS[rows, 1])


def test_standardisation_uses_the_training_part_only(path: Path) -> None:
    source = Csv(str(path), "y", test_fraction=0.4)
    for part, rows in zip(both(source), rows_of(source), strict=True):
        seen = ROWS[rows_of(source)[0], :2]
        wanted = (ROWS[rows, :2] - seen.mean(axis=0)) / seen.std(axis=0)
        np.testing.assert_allclose(part.x[:, :2].numpy(), wanted, rtol=1e-6, atol=1e-6)
        assert part.x[:, 2].tolist() == [0.0] * len(rows), "a constant column becomes zero"


def test_a_column_constant_in_training_is_only_centred(tmp_path: Path, path: Path) -> None:
    rows = ROWS.copy()
    rows[rows_of(Csv(str(path), "y"))[1], 2] = 9.5  # the test rows differ from the 7.0 seen in training
    changed = write(tmp_path, "a,b,same,y\n" + "\n".join(",".join(map(str, row)) for row in rows))
    assert both(Csv(str(changed), "y"))[1].x[:, 2].tolist() == [2.5, 2.5]


def test_the_test_part_depends_on_its_seed_alone(path: Path) -> None:
    parts = [rows_of(Csv(str(path), "y", 0.3, seed))[1] for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


@pytest.mark.parametrize(
    ("targets", "kinds", "num_classes"),
    [
        ([0, 1, 1, 0, 1], "count class binary", 2),
        ([0, 4, 1, 0, 1], "count class", 5),
        ([0, 1, 0.5, 1, 0], "", None),
        ([0, -1, 1, 0, 1], "", None),
        ([0, 1000, 1, 2, 3], "count", None),
        ([1, 1000, 1, 2, 3], "count positive", None),
        ([0.1, 3, 1, 2, 3.5], "positive", None),
        ([0.1, 0.3, 0.1, 0.2, 0.99], "positive proportion", None),
    ],
)
def test_the_range_of_the_targets_decides_their_kinds(
    tmp_path: Path, targets: list[float], kinds: str, num_classes: int | None
) -> None:
    path = write(tmp_path, "x,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate(targets)))
    spec = Csv(str(path), "y").spec()
    assert (spec.kinds, spec.num_classes) == ({"real", "angle", *kinds.split()}, num_classes)
    assert (spec.input_shape, spec.num_train, spec.num_test) == ((1,), 4, 1)


def test_a_digest_depends_on_part_split_and_bytes(path: Path) -> None:
    sources = Csv(str(path), "y"), Csv(str(path), "y", test_fraction=0.3), Csv(str(path), "y", test_seed=1)
    digests = {source.digest(part) for source in sources for part in ("train", "test")}
    path.write_text(path.read_text().replace("7.0", "8.0"))
    assert len(digests | {Csv(str(path), "y").digest("train")}) == 7


def test_a_byte_order_mark_and_quotes_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff"y","x, in m"\n' + '"1.5",2\n' * 5)
    source = Csv(str(path), "y", standardise=False)
    assert source.train(TargetKind.REAL).y[0].tolist() == [1.5]
    assert source.train(TargetKind.REAL).x[0].tolist() == [2.0]


@pytest.mark.filterwarnings("ignore:loadtxt")  # NumPy's warning of an empty table
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,price\n" + "1,2\n" * 5, r"data.target='prize' is not a column of .*table\.csv; did you mean 'price'"),
        ("", "is empty; wanted a header line"),
        ("prize\n" + "1\n" * 5, "has the target 'prize' and no other column"),
        ("a,prize\n1,2\n1,x\n" + "1,2\n" * 5, r"table\.csv must hold numbers only, 2 in each row: .*'x'"),
        ("a,prize\n1,2\n1,\n" + "1,2\n" * 5, "must hold numbers only"),
        ("a,prize\n1,2\n1,2,3\n" + "1,2\n" * 5, "must hold numbers only, 2 in each row: .*columns changed"),
        ("a,prize\n" + "1,2,3\n" * 5, r"has \(5, 3\) numbers; wanted at least 4 rows of 2"),
        ("a,prize\n1,2\nnan,2\n" + "1,2\n" * 5, r"row 3, column 'a': nan is not finite"),
        ("a,prize\n1,inf\n" + "1,2\n" * 5, r"row 2, column 'prize': inf is not finite"),
        ("a,prize\n1,2\n", r"has \(1, 2\) numbers; wanted at least 4 rows of 2"),
        ("a,prize\n", "wanted at least 4 rows of 2"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Csv(str(write(tmp_path, text)), "prize").spec()


@pytest.mark.parametrize("fraction", [0.0, 0.04, 0.9, 1.0])
def test_a_fraction_that_leaves_an_empty_part_is_refused(path: Path, fraction: float) -> None:
    with pytest.raises(BadInput, match=f"data.test_fraction={fraction} of 10 rows leaves no rows"):
        Csv(str(path), "y", test_fraction=fraction).spec()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv does not exist"):
        Csv(str(tmp_path / "none.csv"), "y").spec()


@pytest.mark.parametrize("row", ["# 5,6", "5,6 # doubtful"])
def test_a_hash_sign_begins_no_comment(tmp_path: Path, row: str) -> None:
    path = write(tmp_path, "x,y\n" + "1,2\n" * 5 + row + "\n")
    with pytest.raises(BadInput, match="must hold numbers only"):
        Csv(str(path), "y").spec()


def test_a_column_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """A second copy of the target would become an input and leak the target."""
    path = write(tmp_path, "y,x,y\n" + "1.5,2,1.5\n" * 5)
    with pytest.raises(BadInput, match="'y'"):
        Csv(str(path), "y").spec()
