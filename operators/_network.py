"""This module is the multilayer perceptron inside of torch: first weights, loss, and steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_MOST_EMBEDDED = 16


def first_weights(
    numbers: int, sizes: Sequence[int], hidden: Sequence[int], generator: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    """Return small random weights, as `operators._mlp.forward` names them.

    Args:
        numbers: How many numeric inputs there are.
        sizes: Known values of each category; one more stands for "not known".
        hidden: Widths of the hidden layers.
        generator: Draws them.
    """
    # numpy draws them: torch's global generator would be shared with whatever runs beside us.
    arrays, width = {}, numbers
    for i, size in enumerate(sizes):
        embedded = min(_MOST_EMBEDDED, 1 + round(1.6 * (size + 1) ** 0.5))
        arrays[f"embedding_{i}"] = generator.normal(0, 0.1, (size + 1, embedded))
        width += embedded
    for i, after in enumerate([*hidden, 1]):
        reach = (2 / width) ** 0.5 if i < len(hidden) else 0.01
        arrays[f"weight_{i}"] = generator.normal(0, reach, (width, after))
        arrays[f"bias_{i}"] = np.zeros(after)
        width = after
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def loss_of(
    weights: dict[str, torch.Tensor], rows: tuple[torch.Tensor, ...], classifies: bool
) -> torch.Tensor:
    """Return the weighted mean loss of rows: numbers, codes, target and weight."""
    from torch.nn import functional

    numbers, codes, target, weight = rows
    output = output_of(weights, numbers, codes)
    if classifies:
        losses = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
    else:
        losses = (output - target).square()
    return (losses * weight).sum() / weight.sum()


def output_of(
    weights: dict[str, torch.Tensor], numbers: torch.Tensor, codes: torch.Tensor
) -> torch.Tensor:
    """Return what `operators._mlp.forward` returns for the same weights, with gradients."""
    import torch
    from torch.nn import functional

    embedded = [
        functional.embedding(codes[:, i], weights[f"embedding_{i}"]) for i in range(codes.shape[1])
    ]
    layer = torch.cat([numbers, *embedded], dim=1)
    depth = sum(name.startswith("weight_") for name in weights)
    for i in range(depth):
        layer = torch.addmm(weights[f"bias_{i}"], layer, weights[f"weight_{i}"])
        if i < depth - 1:
            layer = layer.relu()
    return layer[:, 0]


class AdamW:
    """This takes steps down a loss: AdamW of Loshchilov and Hutter (2019), as torch's does.

    torch's own loads its compiler on first use, four seconds for these few lines.

    Args:
        weights: What is learnt; changed in place.
        rate: Learning rate.
        decay: Share of a weight, times the rate, that each step takes off it.
    """

    def __init__(self, weights: Sequence[torch.Tensor], *, rate: float, decay: float) -> None:
        self._weights = weights
        self._rate = rate
        self._decay = decay
        self._means = [w.detach() * 0 for w in weights]
        self._squares = [w.detach() * 0 for w in weights]
        self._steps = 0

    def step(self, loss: torch.Tensor) -> None:
        """Change the weights so that the loss gets less."""
        import torch

        gradients = torch.autograd.grad(loss, self._weights)
        self._steps += 1
        bias, bias_of_square = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        parts = zip(self._weights, gradients, self._means, self._squares, strict=True)
        with torch.no_grad():
            for weight, gradient, mean, square in parts:
                mean.lerp_(gradient, 0.1)
                square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                weight.mul_(1 - self._rate * self._decay)
                spread = (square / bias_of_square).sqrt_().add_(1e-8)
                weight.addcdiv_(mean, spread, value=-self._rate / bias)
