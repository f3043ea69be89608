"""This module takes the moments of every beginning of sequences of block values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serving.statistics._arrays import Vector

_LAGS = 2
_DUST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Moments:
    """These are moments of the first n values, for every n; each is `(..., n_blocks)`.

    Args:
        mean: Their mean.
        variance: Their variance, with n - 1; 0 where they differ by their last digits at most.
        long_run: Newey and West's over two blocks (Econometrica 55, 1987), which counts what
            neighbours have in common.
        skewness: Their skewness; 0 without variance.
        third: Their third central moment with what neighbours have in common, over two blocks with
            the weights of Bartlett, as `long_run` has of the second: n times it is about that of
            their sum.
        autocorrelation: Of neighbours, as it is estimated; 0 without variance.
        scale: The unit that `variance`, `long_run` and `third` are powers of: a power of 2.
    """

    mean: Vector
    variance: Vector
    long_run: Vector
    skewness: Vector
    third: Vector
    autocorrelation: Vector
    scale: Vector


def moments(values: Vector, n: Vector) -> Moments:
    """Return the moments of every beginning of each sequence.

    Args:
        values: Finite, `(..., n_blocks)`; leading axes are separate sequences.
        n: 1, 2, ... as floating-point numbers, `(n_blocks,)`.
    """
    first = values[..., :1]
    moved = values - first  # differences to the first keep digits that powers of values would lose
    largest = np.max(np.abs(moved), axis=-1, keepdims=True, initial=0.0)
    scale = np.exp2(np.ceil(np.log2(np.where(largest > 0, largest, 1.0))))
    moved = moved / scale  # a power of two: exact
    reach = np.maximum.accumulate(np.abs(moved), axis=-1)
    varied = reach > _DUST * np.abs(first / scale)  # not by the last digits of equal values only
    total = np.cumsum(moved, axis=-1)
    squares, cubes = np.cumsum(moved**2, axis=-1), np.cumsum(moved**3, axis=-1)
    centre = total / n
    rest = np.maximum(n - 1, 1.0)
    variance = np.maximum(squares - n * centre**2, 0.0) / rest
    variance = np.where(varied, variance, 0.0)
    third = (cubes - 3 * centre * squares + 2 * n * centre**3) / n
    lags = range(1, min(_LAGS, values.shape[-1] - 1) + 1)
    together = [_products(moved, total, centre, n, lag) for lag in lags]
    long_run, third_of_sums = variance.copy(), third.copy()
    for lag, products in zip(lags, together, strict=True):  # with the weights of Bartlett
        weight = 1 - lag / (_LAGS + 1)
        long_run += 2 * weight * products / np.maximum(n - 1, 1.0)
        third_of_sums += 3 * weight * _triples(moved, centre, n, lag) / n
    long_run = np.where(variance > 0, long_run, 0.0)
    neighbours = together[0] / rest if together else np.zeros_like(variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.where(variance > 0, third / variance**1.5, 0.0)
        autocorrelation = np.where(variance > 0, neighbours / variance, 0.0)
    return Moments(
        mean=first + centre * scale,
        variance=variance,
        long_run=long_run,
        skewness=skewness,
        third=third_of_sums,
        autocorrelation=autocorrelation,
        scale=scale,
    )


def _products(values: Vector, total: Vector, centre: Vector, n: Vector, lag: int) -> Vector:
    """Return the sums of products of centred values that are `lag` apart, of every beginning."""
    together = np.zeros_like(values)
    together[..., lag:] = np.cumsum(values[..., lag:] * values[..., :-lag], axis=-1)
    early, late = np.zeros_like(values), np.zeros_like(values)
    early[..., lag:] = total[..., :-lag]
    late[..., lag:] = total[..., lag:] - total[..., lag - 1 : lag]
    products: Vector = together - centre * (early + late) + np.maximum(n - lag, 0.0) * centre**2
    return products


def _triples(values: Vector, centre: Vector, n: Vector, lag: int) -> Vector:
    """Return the sums of x**2 y and x y**2 of centred values x and y that are `lag` apart."""

    def summed(products: Vector) -> Vector:
        result = np.zeros_like(values)
        result[..., lag:] = np.cumsum(products, axis=-1)
        return result

    x, y = values[..., :-lag], values[..., lag:]
    lines, ends = summed(x) + summed(y), np.maximum(n - lag, 0.0)
    # (x - c)**2 (y - c) + (x - c) (y - c)**2, written out
    triples: Vector = (
        summed(x * y * (x + y))
        - centre * summed(x**2 + y**2 + 4 * x * y)
        + 3 * centre**2 * lines
        - 2 * ends * centre**3
    )
    return triples
