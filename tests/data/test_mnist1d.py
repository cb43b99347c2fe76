from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mnist1d.data import get_dataset_args, make_dataset

from piecewise.data.mnist1d import Mnist1d
from piecewise.data.spec import TargetKind
from piecewise.errors import BadInput


def test_the_spec_fits_the_examples() -> None:
    source = Mnist1d(100, seed=1)
    spec, train, test = source.spec(), source.train(TargetKind.CLASS), source.test(TargetKind.CLASS)
    assert (len(train), len(test)) == (spec.num_train, spec.num_test) == (80, 20)
    assert (train.x.shape, train.x.dtype) == ((80, 40), torch.float32)
    assert (train.y.shape, train.y.dtype) == ((80,), torch.int64)
    assert (spec.input_shape, spec.num_classes, spec.kinds) == ((40,), 10, {TargetKind.CLASS})


def test_all_classes_have_equally_many_examples() -> None:
    source = Mnist1d(100, seed=1)
    labels = torch.cat([source.generate("train").y, source.generate("test").y])
    assert labels.bincount().tolist() == [10] * 10


def test_the_examples_are_those_of_the_mnist1d_package() -> None:
    arguments = get_dataset_args()
    arguments.num_samples, arguments.seed = 50, 7
    arrays = make_dataset(arguments)
    source = Mnist1d(50, seed=7)
    np.testing.assert_array_equal(source.generate("train").x.numpy(), arrays["x"].astype(np.float32))
    np.testing.assert_array_equal(source.generate("test").y.numpy(), arrays["y_test"])


def test_the_default_set_has_its_recorded_digest() -> None:
    """A release of the mnist1d package that generates other examples changes these digests."""
    source = Mnist1d()
    assert source.digest("train")[:16] == "8195545d0e2fb344"
    assert source.digest("test")[:16] == "d45ff2fd36ebe657"


def test_global_random_states_are_restored() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    wanted = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    Mnist1d(50).generate("train")
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == wanted


def test_another_seed_gives_other_examples() -> None:
    first, second = (Mnist1d(50, seed=seed).generate("train").x for seed in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, Mnist1d(50, seed=1).generate("train").x)


@pytest.mark.parametrize("count", [0, 40, 55])
def test_a_number_without_equal_classes_is_refused(count: int) -> None:
    with pytest.raises(BadInput, match=f"data.num_examples={count} must be a multiple of 10, at least 50"):
        Mnist1d(count)
