"""Residual networks, and the options of `mlp` that come from the same chapter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from piecewise.errors import BadInput
from piecewise.models.cnn import Cnn
from piecewise.models.gabor import Gabor
from piecewise.models.linear import Linear
from piecewise.models.mlp import Mlp
from piecewise.models.residual import Residual
from piecewise.models.resnet import Block, ResNet
from piecewise.models.shallow import Shallow

X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def affine(layer: nn.Linear, h: np.ndarray) -> np.ndarray:
    return h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def test_a_residual_network_is_the_equation_by_hand() -> None:
    model = Residual(3, 2, depth=3, width=5).double()
    h = affine(model.input, X.numpy())
    for block in model.blocks:
        h = h + affine(block, np.maximum(h, 0))
    np.testing.assert_allclose(model(X).detach(), affine(model.output, h), atol=1e-13)
    trace = model.trace(X)
    assert [tuple(z.shape) for z in trace.pre_activations] == [(6, 5)] * 3
    for z, a in zip(trace.pre_activations, trace.activations, strict=True):
        assert torch.equal(a, z.clamp_min(0))


def test_blocks_of_zeros_are_the_identity() -> None:
    model = Residual(3, 2, depth=4, width=5).double()
    for block in model.blocks:
        nn.init.zeros_(block.weight)
        nn.init.zeros_(block.bias)
    torch.testing.assert_close(model(X), model.output(model.input(X)))


def test_residual_mlp_adds_each_layer_to_the_one_before() -> None:
    model = Mlp(3, 2, depth=3, width=4, residual=True).double()
    h = np.maximum(affine(model.hidden[0], X.numpy()), 0)
    for layer in list(model.hidden)[1:]:
        h = h + np.maximum(affine(layer, h), 0)
    np.testing.assert_allclose(model(X).detach(), affine(model.output, h), atol=1e-13)


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_a_norm_brings_pre_activations_to_mean_zero_and_variance_one(norm: str) -> None:
    """Over the batch, an example's units, or each quarter of them. Scaling the weights changes no output."""
    torch.manual_seed(0)
    model = Mlp(3, 2, depth=1, width=64, norm=norm).double()
    z = model.trace(X).pre_activations[0].detach()
    values = {"batch": z.T, "layer": z, "group": z.reshape(6, 4, 16).flatten(0, 1)}[norm]
    assert float(values.mean(dim=1).abs().max()) < 1e-12
    assert float((values.var(dim=1, unbiased=False) - 1).abs().max()) < 0.1  # the norm adds 1e-5 to small variances
    before = model(X).detach()
    with torch.no_grad():
        model.hidden[0].weight.mul_(100)
        model.hidden[0].bias.mul_(100)
    torch.testing.assert_close(model(X).detach(), before, rtol=0.05, atol=0.05)


def test_dropout_drops_its_share_in_training_and_nothing_in_evaluation() -> None:
    torch.manual_seed(0)
    model = Mlp(3, 2, depth=1, width=2000, activation="sigmoid", dropout=0.3).double()
    trace = model.trace(X)
    kept = trace.activations[0] > 0
    assert abs(float(kept.double().mean()) - 0.7) < 4 * np.sqrt(0.3 * 0.7 / kept.numel())
    whole = torch.sigmoid(trace.pre_activations[0])
    torch.testing.assert_close(trace.activations[0][kept], whole[kept] / 0.7)
    model.eval()
    torch.testing.assert_close(model.trace(X).activations[0], whole)


def test_gabor_is_its_formula_and_starts_at_the_given_parameters() -> None:
    x = torch.linspace(-15, 15, 7)[:, None]
    model = Gabor(1, 1, phi0=-3.0, phi1=12.0)
    phase = -3.0 + 0.06 * 12.0 * x.numpy()
    np.testing.assert_allclose(model(x).detach(), np.sin(phase) * np.exp(-(phase**2) / 32), atol=1e-6)
    assert sum(p.numel() for p in model.parameters()) == 2
    torch.manual_seed(1)
    both = Gabor(1, 1)
    torch.manual_seed(1)
    assert Gabor(1, 1, phi0=0.0).phi1.item() == both.phi1.item()
    assert -10 <= both.phi0.item() <= 10
    assert 2.5 <= both.phi1.item() <= 22.5


@pytest.mark.parametrize("kind", [Cnn, ResNet])
def test_a_convolutional_trace_is_the_forward_pass(kind: type[Cnn]) -> None:
    model = kind((1, 8, 8), 3, width=[4, 6]).eval()
    trace = model.trace(IMAGES)
    assert torch.equal(trace.output, model(IMAGES))
    assert len(trace.pre_activations) == {Cnn: 4, ResNet: 3}[kind]
    for z, a in zip(trace.pre_activations, trace.activations, strict=True):
        assert torch.equal(a, z.clamp_min(0))
    assert not any(module._forward_hooks for module in model.modules())


def test_resnet_is_a_sum_of_its_paths() -> None:
    """If the second convolution of each block is zero, the shortcuts are left: a linear map, norm, ReLU, mean."""
    model = ResNet((1, 8, 8), 3, width=[4, 6]).eval()
    for block in model.blocks:
        nn.init.zeros_(block.conv2.weight)
    h = model.blocks[0].shortcut(model.input(IMAGES)[:, :, ::2, ::2]) / np.sqrt(1 + 1e-5)
    torch.testing.assert_close(model(IMAGES), model.output(h.clamp_min(0).mean(dim=(2, 3))))
    assert model.blocks[0](model.input(IMAGES)).shape == (2, 6, 4, 4)


@pytest.mark.parametrize(
    "model",
    [Linear(3, 2), Shallow(3, 2), Mlp(3, 2, norm="layer", residual=True), Residual(3, 2, norm="batch")],
    ids=["linear", "shallow", "mlp", "residual"],
)
def test_a_trace_holds_every_hidden_layer(model: Any) -> None:
    model = model.double().eval()
    trace = model.trace(X)
    assert torch.equal(trace.output, model(X))
    assert (
        len(trace.pre_activations)
        == len(trace.activations)
        == {Linear: 0, Shallow: 1, Mlp: 2, Residual: 4}[type(model)]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mlp(1, 1, norm="bach"), "model.norm='bach' is unknown; did you mean 'batch'"),
        (lambda: Mlp(1, 1, norm="group", width=10), "model.width=10 is no multiple of 4"),
        (lambda: Mlp(1, 1, dropout=1.0), "model.dropout=1.0 must be at least 0 and less than 1"),
        (lambda: Mlp(1, 1, width=[3, 4], residual=True), r"model.width=\[3, 4\] must be one number"),
        (lambda: Residual(1, 1, depth=0), "model.depth=0 must be a whole number"),
        (lambda: Residual(1, 1, width=0), "model.width=0 must be a whole number"),
        (lambda: Gabor(2, 1), "model=gabor has one input and one output; the data need 2 and 1"),
        (lambda: ResNet((3,), 1), "model=resnet needs images"),
        (lambda: ResNet((1, 4, 4), 1, width=[2, 2, 2]), "halves images of \\(4, 4\\) pixels too often"),
    ],
)
def test_an_invalid_model_is_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


def test_a_residual_network_with_norm_and_another_activation_is_the_equation_by_hand() -> None:
    """h_k = h_{k−1} + β_k + Ω_k tanh[norm[h_{k−1}]] with layer norm in NumPy; the trace holds each step."""
    model = Residual(3, 2, depth=3, width=5, activation="tanh", norm="layer").double()
    trace, h = model.trace(X), affine(model.input, X.numpy())
    for block, z, a in zip(model.blocks, trace.pre_activations, trace.activations, strict=True):
        by_hand = (h - h.mean(axis=1, keepdims=True)) / np.sqrt(h.var(axis=1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(z.detach(), by_hand, atol=1e-12)
        np.testing.assert_allclose(a.detach(), np.tanh(by_hand), atol=1e-12)
        h = h + affine(block, np.tanh(by_hand))
    np.testing.assert_allclose(trace.output.detach(), affine(model.output, h), atol=1e-12)


def test_the_trace_of_a_residual_mlp_holds_each_layers_output() -> None:
    """h_k = h_{k−1} + a[z_k]; z_{k+1} and the output are computed from h_k."""
    model = Mlp(3, 2, depth=3, width=4, residual=True).double()
    trace, h = model.trace(X), X.numpy()
    for layer, z, found in zip(model.hidden, trace.pre_activations, trace.activations, strict=True):
        by_hand = affine(layer, h)
        h = np.maximum(by_hand, 0) + (0 if layer is model.hidden[0] else h)
        np.testing.assert_allclose(z.detach(), by_hand, atol=1e-13)
        np.testing.assert_allclose(found.detach(), h, atol=1e-13)


def test_dropout_in_a_residual_layer_drops_only_what_it_adds() -> None:
    """h₂ − h₁ is 0 or a[z₂] / (1 − p), unit by unit."""
    torch.manual_seed(0)
    model = Mlp(3, 2, depth=2, width=50, activation="sigmoid", dropout=0.4, residual=True).double()
    trace = model.trace(X)
    added = (trace.activations[1] - trace.activations[0]).detach()
    whole = torch.sigmoid(trace.pre_activations[1]).detach() / 0.6
    is_dropped = added.abs() < 1e-12
    assert 0 < int(is_dropped.sum()) < is_dropped.numel()
    torch.testing.assert_close(added[~is_dropped], whole[~is_dropped])


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_a_norm_is_its_formula_with_a_scale_and_a_shift_to_learn(norm: str) -> None:
    """γ (z − mean) / √(variance + ε) + δ; groups are the four quarters of the units."""
    torch.manual_seed(0)
    model = Mlp(3, 2, depth=1, width=8, norm=norm).double()
    gamma, delta = (torch.randn(8, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        model.norms[0].weight.copy_(gamma)
        model.norms[0].bias.copy_(delta)
    z = affine(model.hidden[0], X.numpy())
    shape, axis = {"batch": ((6, 8), 0), "layer": ((6, 8), 1), "group": ((6, 4, 2), 2)}[norm]
    parts = z.reshape(shape)
    parts = (parts - parts.mean(axis=axis, keepdims=True)) / np.sqrt(parts.var(axis=axis, keepdims=True) + 1e-5)
    wanted = gamma.numpy() * parts.reshape(6, 8) + delta.numpy()
    np.testing.assert_allclose(model.trace(X).pre_activations[0].detach(), wanted, atol=1e-10)


def test_gabor_starts_are_uniform_on_the_surface_of_the_figure() -> None:
    """2000 starts: φ₀ is uniform from −10 to 10, φ₁ from 2.5 to 22.5, by Kolmogorov–Smirnov tests."""
    starts = np.empty((2000, 2))
    for seed in range(2000):
        torch.manual_seed(seed)
        model = Gabor(1, 1)
        starts[seed] = model.phi0.item(), model.phi1.item()
    assert stats.kstest(starts[:, 0], stats.uniform(-10, 20).cdf).pvalue > 1e-4
    assert stats.kstest(starts[:, 1], stats.uniform(2.5, 20).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(starts.T)[0, 1]) < 4 / np.sqrt(2000)


@pytest.mark.parametrize("kind", [Cnn, ResNet])
def test_a_convolutional_trace_holds_the_inputs_of_each_relu(kind: type[Cnn]) -> None:
    """Pre-activations have both signs. No hook is left when the forward pass fails."""
    model = kind((1, 8, 8), 3, width=[4, 6]).eval()
    trace = model.trace(IMAGES)
    for z, a in zip(trace.pre_activations, trace.activations, strict=True):
        assert (z < 0).any()
        assert (a >= 0).all()
    with pytest.raises(ValueError, match="x must have shape"):
        model.trace(torch.zeros(2, 5, 8, 8))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mlp(1, 1, dropout=-0.1), "model.dropout=-0.1 must be at least 0 and less than 1"),
        (lambda: Mlp(1, 1, width=[]), r"model.width=\[\] has no hidden layer; model=linear is the network without one"),
    ],
)
def test_negative_dropout_and_a_width_without_layers_are_refused(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()


@pytest.mark.parametrize("channels_in", [1, 2, 3, 7, 8])
def test_a_block_of_few_channels_has_the_gradient_of_its_equation(channels_in: int) -> None:
    """The shortcut's, for which a strided convolution writes past its memory on some CPUs."""
    torch.manual_seed(0)
    h = torch.randn(8, channels_in, 6, 6).to(memory_format=torch.channels_last)
    block = Block(channels_in, 3).to(memory_format=torch.channels_last)
    block(h).sum().backward()
    assert block.shortcut.weight.grad is not None
    expected = h[:, :, ::2, ::2].sum(dim=(0, 2, 3)).expand(3, -1)
    torch.testing.assert_close(block.shortcut.weight.grad[:, :, 0, 0], expected, rtol=1e-4, atol=1e-4)
