"""Backpropagation by hand: the forward and the backward pass of an MLP side by side (UDL 7.4)."""

from dataclasses import dataclass

from torch import Tensor

from piecewise.shapes import check_shape


@dataclass(frozen=True)
class Layers:
    """β_k: (D_{k+1},) and Ω_k: (D_{k+1}, D_k), k = 0 … K, or ValueError."""

    biases: list[Tensor]
    weights: list[Tensor]

    def __post_init__(self) -> None:
        for k, (bias, weight) in enumerate(zip(self.biases, self.weights, strict=True)):
            check_shape(f"weights[{k}]", weight, ("D", "D_i" if k == 0 else len(self.biases[k - 1])))
            check_shape(f"biases[{k}]", bias, (len(weight),))


@dataclass(frozen=True)
class Remembered:
    """The forward values that the backward pass needs: f_k before and h_k after each ReLU; h_0 is x."""

    pre_activations: list[Tensor]
    activations: list[Tensor]


def forward(layers: Layers, x: Tensor) -> tuple[Tensor, Remembered]:
    """f_0 = β_0 + Ω_0 x,   h_k = a[f_{k−1}],   f_k = β_k + Ω_k h_k   (UDL eq. 7.16).   x: (N, D_i) → (N, D_o)."""
    check_shape("x", x, ("N", layers.weights[0].shape[1]))
    activations, pre_activations = [x], []
    f = layers.biases[0] + x @ layers.weights[0].T
    for bias, weight in zip(layers.biases[1:], layers.weights[1:], strict=True):
        pre_activations.append(f)
        activations.append(f.clamp_min(0))
        f = bias + activations[-1] @ weight.T
    return f, Remembered(pre_activations, activations)


def backward(layers: Layers, remembered: Remembered, dl_df: Tensor) -> Layers:
    """∂ℓ/∂β_k = Σ_n ∂ℓ/∂f_k,   ∂ℓ/∂Ω_k = Σ_n ∂ℓ/∂f_k h_kᵀ,   ∂ℓ/∂f_{k−1} = 𝕀[f_{k−1} > 0] ⊙ (Ω_kᵀ ∂ℓ/∂f_k)
    (UDL eq. 7.22 to 7.24), from the last layer to the first.

    dl_df: (N, D_o), the derivative of the loss with respect to the output of `forward` → a gradient for each parameter.
    """
    check_shape("dl_df", dl_df, (len(remembered.activations[0]), len(layers.biases[-1])))
    biases: list[Tensor] = []
    weights: list[Tensor] = []
    for k in reversed(range(len(layers.weights))):
        biases.insert(0, dl_df.sum(dim=0))
        weights.insert(0, dl_df.T @ remembered.activations[k])
        if k > 0:
            dl_df = (remembered.pre_activations[k - 1] > 0) * (dl_df @ layers.weights[k])
    return Layers(biases, weights)
