"""The distribution of every loss against SciPy, PyTorch, and integrals of the loss itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from losses.cases import CASES, CONTINUOUS, C, Case, N
from piecewise.data.spec import DataSpec
from piecewise.losses.plackett_luce import PlackettLuce

ids = {"ids": lambda case: case.id}
RANGES = {"Exponential": (0, np.inf), "Gamma": (0, np.inf), "Beta": (0, 1), "VonMises": (-np.pi, np.pi)}
SHARES = (0.025, 0.3, 0.5, 0.975)


def expect(found: Tensor, wanted: object, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, **ids)
def test_num_outputs_counts_the_outputs_for_all_targets(case: Case) -> None:
    _, targets = case.draw()
    width = targets.shape[1] if targets.ndim == 2 else 1
    spec = DataSpec("table", (3,), frozenset({case.loss.kind}), width, 4 if targets.ndim == 1 else None, 10, 10)
    assert case.loss.num_outputs(spec) == case.num_outputs


@pytest.mark.parametrize("case", [case for case in CASES if case.scipy], **ids)
def test_nll_is_scipys(case: Case) -> None:
    outputs, targets = case.draw()
    assert case.scipy is not None
    distribution = case.scipy(*case.parameters(outputs))
    log = distribution.logpdf if hasattr(distribution.dist, "pdf") else distribution.logpmf
    expect(case.loss.nll(outputs, targets), -log(targets.numpy()).sum(axis=1))


@pytest.mark.parametrize("case", [case for case in CASES if not isinstance(case.loss, PlackettLuce)], **ids)
def test_nll_is_that_of_pytorchs_distribution(case: Case) -> None:
    outputs, targets = case.draw(1)
    log = case.loss.distribution(outputs).log_prob(targets)
    tolerance = 1e-7 if case.id == "VonMises" else 1e-9  # PyTorch's Bessel function is an approximation
    expect(case.loss.nll(outputs, targets), -log.reshape(N, -1).sum(dim=1).numpy(), tolerance)


@pytest.mark.parametrize("case", [case for case in CASES if case.scipy], **ids)
def test_mean_is_scipys(case: Case) -> None:
    outputs, _ = case.draw(2)
    mean = case.loss.mean(outputs)
    assert mean is not None
    assert case.scipy is not None
    wanted = case.parameters(outputs)[0] if case.id == "VonMises" else case.scipy(*case.parameters(outputs)).mean()
    expect(mean, wanted)


@pytest.mark.parametrize("case", CONTINUOUS, **ids)
def test_probabilities_integrate_to_one_and_quantiles_to_their_share(case: Case) -> None:
    """∫ exp(−nll) by quadrature, which needs only the loss."""
    outputs = 0.4 * case.draw(3)[0][:1]
    low, high = RANGES.get(case.id, (-np.inf, np.inf))

    def density(y: float) -> float:
        targets = torch.full((1, C), y, dtype=torch.float64)
        return float((-case.loss.nll_of_each(outputs, targets))[0, 0].exp())  # type: ignore[operator]

    assert quad(density, low, high, limit=400)[0] == pytest.approx(1, abs=1e-6)
    for share in SHARES:
        quantile = case.loss.quantile(outputs, share)
        assert quantile is not None
        end = float(quantile[0, 0])
        start = float(case.loss.mode(outputs)[0, 0]) - np.pi if case.id == "VonMises" else low
        assert quad(density, start, end, limit=400)[0] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("case", CASES, **ids)
def test_no_target_is_likelier_than_the_mode(case: Case) -> None:
    outputs, targets = case.draw(4)
    if case.id in ("Gamma", "Beta"):
        outputs = outputs.abs() + 1  # shapes above 1; below, the density has no highest point
    mode = case.loss.mode(outputs)
    assert mode.shape == targets.shape
    at_mode = case.loss.nll(outputs, mode)
    for seed in range(20):
        assert (at_mode <= case.loss.nll(outputs, case.targets(torch.Generator().manual_seed(seed))) + 1e-9).all()
    if targets.dtype == torch.float64 and case in CONTINUOUS:
        for step in (-1e-3, 1e-3):
            assert (at_mode <= case.loss.nll(outputs, (mode + step).clamp(*_interior(case))) + 1e-9).all()


def _interior(case: Case) -> tuple[float, float]:
    low, high = RANGES.get(case.id, (-np.inf, np.inf)) if case.id != "VonMises" else (-np.inf, np.inf)
    return low + 1e-9, high - 1e-9


@pytest.mark.parametrize("case", CASES, **ids)
def test_samples_depend_on_the_seed_alone_and_have_the_mean(case: Case) -> None:
    outputs = 0.3 * case.draw(5)[0][:1]
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = case.loss.sample(outputs, 7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(case.loss.sample(outputs, 7), first)
    assert first.shape == case.loss.mode(outputs).shape
    many = case.loss.sample(outputs.expand(8000, -1), 3).double()
    mean = case.loss.mean(outputs)
    if case.id == "VonMises":
        resultant = torch.atan2(many.sin().mean(dim=0), many.cos().mean(dim=0))
        expect(resultant, mean[0], 0.05)  # type: ignore[index]
    elif mean is not None and case.id != "StudentT":  # with 2.5 degrees the mean of its samples converges slowly
        error = 4 * many.std(dim=0) / np.sqrt(len(many))
        assert ((many.mean(dim=0) - mean[0]).abs() < error).all()


@pytest.mark.parametrize("case", [case for case in CASES if case.loss.quantile(case.draw()[0], 0.5) is not None], **ids)
def test_the_share_of_samples_below_a_quantile_is_its_share(case: Case) -> None:
    outputs = 0.3 * case.draw(6)[0][:1]
    many = case.loss.sample(outputs.expand(8000, -1), 11).double()
    if case.id == "VonMises":
        mu = case.loss.mode(outputs)
        many = mu + torch.remainder(many - mu + np.pi, 2 * np.pi) - np.pi
    for share in SHARES:
        quantile = case.loss.quantile(outputs, share)
        assert quantile is not None
        at_most = (many <= quantile + 1e-9).double().mean(dim=0)
        slack = 4 * np.sqrt(share * (1 - share) / len(many))
        assert (at_most >= share - slack).all()
        if case.id != "Poisson":  # a single count can have more probability than the slack
            assert (at_most <= share + slack).all()


@pytest.mark.parametrize("case", CASES, **ids)
def test_the_gradient_is_that_of_finite_differences(case: Case) -> None:
    outputs, targets = case.draw(8)
    outputs = outputs[:6].requires_grad_()
    assert torch.autograd.gradcheck(lambda z: case.loss.nll(z, targets[:6]), (outputs,), atol=1e-6)


@pytest.mark.parametrize("size", [1e4, -1e4, 50.0, -50.0, 0.0])
@pytest.mark.parametrize("case", CASES, **ids)
def test_extreme_outputs_have_finite_values_which_float32_matches(case: Case, size: float) -> None:
    """±1e4 in each output alone and in all together: scales down to 1e-6, κ up to 1e4."""
    targets = case.draw()[1]
    targets = targets.float() if targets.is_floating_point() else targets
    for column in (*range(case.num_outputs), slice(None)):
        single, double = (_at(case, size, column, targets, dtype) for dtype in (torch.float32, torch.float64))
        assert all(value.isfinite().all() for value in double)
        if case.id == "MultivariateNormal" and (size, column) == (-1e4, slice(None)):
            continue  # the nll overflows float32, as the loss documents
        for found, wanted in zip(single, double, strict=True):
            torch.testing.assert_close(found.double(), wanted, rtol=3e-4, atol=1e-6)


def _at(case: Case, size: float, column: int | slice, targets: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """The nll, its gradient, and the values of the link."""
    outputs = torch.zeros(N, case.num_outputs, dtype=dtype)
    outputs[:, column] = size
    outputs.requires_grad_()
    nll = case.loss.nll(outputs, targets.to(dtype) if targets.is_floating_point() else targets)
    nll.sum().backward()
    assert outputs.grad is not None
    return [nll.detach(), outputs.grad, *(value.detach() for value in case.loss.link(outputs).values())]


@pytest.mark.parametrize("case", CASES, **ids)
def test_shapes_that_do_not_pair_up_are_refused(case: Case) -> None:
    outputs, targets = case.draw()
    row = targets[:, 0] if targets.ndim == 2 else targets[:, None]
    for bad in ((outputs, row), (outputs[:1], targets), (outputs[:, :-1], targets)):
        if case.id == "Categorical" and bad[0].shape[0] == N and bad[1] is targets:
            continue  # three logits are a distribution too
        for method in (case.loss.nll, case.loss.scores):
            with pytest.raises(ValueError, match=r"(outputs|targets) .* shape \("):
                method(*bad)


@pytest.mark.parametrize("case", [case for case in CASES if case.loss.score == "squared_error"], **ids)
def test_scores_are_squares_around_the_mean_averaged_over_the_targets(case: Case) -> None:
    """Around E[y], not the mode; by SciPy, or by hand where SciPy has no such distribution."""
    outputs, targets = case.draw(9)
    if case.id == "Mixture":
        weight, mu, _ = case.parameters(outputs)
        mean = (weight * mu).sum(axis=-1)
    elif case.id == "MultivariateNormal":
        mean = outputs[:, :C].numpy()
    else:
        assert case.scipy is not None
        mean = case.scipy(*case.parameters(outputs)).mean()
    expect(case.loss.scores(outputs, targets), ((targets.numpy() - mean) ** 2).mean(axis=1))


@pytest.mark.parametrize("case", CASES, **ids)
def test_another_seed_draws_other_samples(case: Case) -> None:
    outputs = 0.3 * case.draw(5)[0]
    assert not torch.equal(case.loss.sample(outputs, 7), case.loss.sample(outputs, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES, **ids)
def test_predictions_are_in_the_type_of_the_outputs(case: Case, dtype: torch.dtype) -> None:
    outputs = case.draw(10)[0].to(dtype)
    mode, found = case.loss.mode(outputs), [case.loss.mean(outputs), case.loss.quantile(outputs, 0.3)]
    assert mode.dtype is (torch.int64 if case.draw()[1].dtype is torch.int64 else dtype)
    assert all(value.dtype is dtype for value in found if value is not None)
