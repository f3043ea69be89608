"""This module sums floats over moving windows exactly, and rounds each sum once.

A float is an integer times a power of two. All of them are put on one grid, fine enough for each,
and the integers are added up; what leaves a window is subtracted without a trace. So a sum is that
of `math.fsum`: whatever the order of the rows, however long the history before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_LIMB = 32  # bits of one digit of a sum that does not fit into 64
_MASK = (1 << _LIMB) - 1
_CHUNK = 1 << 18  # sums rounded at a time, to bound the memory


def running(values: Ints, starts: Ints, stops: Ints, size: int) -> Ints:
    """Return at each of `size` moments the sum of the values in force there.

    Args:
        values: The values, `(n,)`.
        starts: The moment from which each is in force, `(n,)`.
        stops: The moment from which it no longer is, `(n,)`, at most `size`.
        size: How many moments there are.
    """
    change = np.zeros(size + 1, dtype=np.int64)
    np.add.at(change, starts, values)
    np.subtract.at(change, stops, values)
    return np.cumsum(change[:size], dtype=np.int64)


def counted(starts: Ints, stops: Ints, size: int) -> Ints:
    """Return at each of `size` moments how many are in force; see `running`."""
    change = np.bincount(starts, minlength=size + 1) - np.bincount(stops, minlength=size + 1)
    return np.cumsum(change[:size], dtype=np.int64)


def running_floats(values: Floats, starts: Ints, stops: Ints, size: int) -> Floats:
    """Return the correctly rounded sum of the floats in force at each moment; see `running`.

    Where infinities are in force, the sum is infinite, and NaN where they have both signs.
    """
    finite = np.isfinite(values)
    total = _finite(values[finite], starts[finite], stops[finite], size)
    if finite.all():
        return total
    plus, minus = (
        counted(starts[values == infinity], stops[values == infinity], size) > 0
        for infinity in (np.inf, -np.inf)
    )
    total[plus], total[minus] = np.inf, -np.inf
    total[plus & minus] = np.nan
    return total


def _finite(values: Floats, starts: Ints, stops: Ints, size: int) -> Floats:
    some = values != 0
    if not some.any():
        return np.zeros(size)
    values, starts, stops = values[some], starts[some], stops[some]
    mantissa, above = np.frexp(values)  # |value| < 2 ** above
    whole = np.abs(mantissa * 2.0**53).astype(np.int64)
    odd = np.frexp((whole & -whole).astype(np.float64))[1] - 1  # zeros at the end
    whole >>= odd
    lowest = above.astype(np.int64) - 53 + odd
    grid = int(lowest.min())
    shift = lowest - grid
    width = int(above.max()) - grid
    sign = np.sign(values).astype(np.int64)
    if width + len(values).bit_length() <= 62:
        sums = running(sign * (whole << shift), starts, stops, size)
        return _scaled(sums.astype(np.float64), np.full(size, grid))
    limbs = (width - 1) // _LIMB + 1
    place = (starts, stops, size)
    digits, top = _digits(whole, shift, sign, place=place, limbs=limbs)
    out = np.empty(size)
    for begin in range(0, size, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        out[part] = _rounded([d[part] for d in digits], top[part], grid)
    return out


def _digits(
    whole: Ints, shift: Ints, sign: Ints, *, place: tuple[Ints, Ints, int], limbs: int
) -> tuple[list[npt.NDArray[np.uint32]], Ints]:
    """Return the sums as digits of 32 bits, the lowest first, and what is above them, signed."""
    starts, stops, size = place
    limb_of, rest = shift // _LIMB, shift % _LIMB
    low, high = (whole & _MASK) << rest, (whole >> _LIMB) << rest
    parts = (low & _MASK, (low >> _LIMB) + (high & _MASK), high >> _LIMB)
    digits, carry = [], np.zeros(size, dtype=np.int64)
    for limb in range(limbs):
        values = np.zeros(len(whole), dtype=np.int64)
        for offset, part in enumerate(parts):
            here = limb_of == limb - offset
            values[here] += part[here]
        sums = running(sign * values, starts, stops, size) + carry
        digits.append((sums & _MASK).astype(np.uint32))
        carry = sums >> _LIMB
    return digits, carry


def _rounded(digits: list[npt.NDArray[np.uint32]], top: Ints, grid: int) -> Floats:
    """Return the nearest float of each sum, of two equally near the even one."""
    negative = top < 0
    table = np.empty((len(digits) + 1, len(top)), dtype=np.int64)
    borrowed = negative.astype(np.int64)
    for i, digit in enumerate(digits):
        plain = digit.astype(np.int64)
        inverted = np.where(negative, (_MASK - plain) + borrowed, plain)
        table[i], borrowed = inverted & _MASK, inverted >> _LIMB
    table[-1] = np.where(negative, ~top + borrowed, top)
    some = table != 0
    first = len(table) - 1 - np.argmax(some[::-1], axis=0)  # the highest digit that is not 0
    lowest = np.argmax(some, axis=0)
    column = np.arange(len(top))

    def digit_below(by: int) -> npt.NDArray[np.uint64]:
        index = first - by
        return np.where(index >= 0, table[np.maximum(index, 0), column], 0).astype(np.uint64)

    x2, x1, x0 = digit_below(0), digit_below(1), digit_below(2)
    length = np.frexp(x2.astype(np.float64))[1].astype(np.int64)
    left = (_LIMB - length).clip(0, _LIMB - 1).astype(np.uint64)
    right = np.uint64(_LIMB) - left
    leading = ((x2 << np.uint64(_LIMB) | x1) << left) | (x0 >> right)  # 64 bits
    cut = (x0 & ((np.uint64(1) << right) - np.uint64(1))) != 0
    cut |= (leading & np.uint64(3)) != 0
    cut |= (lowest < first - 2) & (x2 != 0)
    # 62 bits, of which the last says whether anything follows: rounding sees all it needs
    kept = (leading >> np.uint64(2)).astype(np.int64) | cut.astype(np.int64)
    rounded = np.where(negative, -kept, kept).astype(np.float64)
    return _scaled(rounded, grid + _LIMB * (first - 1) - left.astype(np.int64) + 2)


def _scaled(values: Floats, exponents: Ints) -> Floats:
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(values, exponents.astype(np.int32)) + 0.0
