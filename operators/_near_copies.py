"""This module finds texts that are nearly the same: most of their runs of three words are.

Two texts are near copies when they share at least `LIKE` of all runs of three words that either
has (Broder, "On the resemblance and containment of documents", 1997). Every such pair is found, not
most of them: two sets that are so alike share one of their rarest members (the prefix filter of
Chaudhuri, Ganti and Kaushik, ICDE 2006; Bayardo, Ma and Srikant, WWW 2007), and only pairs that do
are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from operators._copies import Rows, words_of

Pairs: TypeAlias = tuple[Rows, Rows]

LIKE = 0.8
"""Share of the runs of three words that near copies have in common."""

_LEAST_WORDS = 8  # one word of a shorter text is too much of it
_RUN = 3
_AT_ONCE = 512
_COMPARED_AT_ONCE = 20_000


def near_pairs(texts: Sequence[str], others: Sequence[str]) -> Pairs:
    """Return which texts are near copies of which others: positions in both, in order."""
    runs, rare = _runs([*texts, *others])
    count = len(texts)
    found = list(_alike(runs[:count], runs[count:], rare[:count], rare[count:]))
    return _joined(found)


def near_any(texts: Sequence[str], others: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which texts are near copies of any of the others."""
    runs, rare = _runs([*texts, *others])
    count = len(texts)
    found = np.zeros(count, dtype=bool)
    for left, _ in _alike(runs[:count], runs[count:], rare[:count], rare[count:], once=found):
        found[left] = True
    return found


def near_families(texts: Sequence[str], families: Rows) -> Rows:
    """Return the number of each text's family when near copies, and those of these, are of one.

    Args:
        texts: The texts.
        families: The family of each so far: those of exact copies.
    """
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    distinct, first, family = np.unique(families, return_index=True, return_inverse=True)
    runs, rare = _runs([texts[row] for row in first])
    left, right = _joined(list(_alike(runs, runs, rare, rare)))
    size = len(distinct)
    links = csr_matrix((np.ones(len(left)), (left, right)), shape=(size, size))
    _, named = connected_components(links, directed=False)
    joined: Rows = named[family.reshape(-1)].astype(np.int64)
    return joined


def _runs(texts: Sequence[str]) -> tuple[Any, Any]:
    """Return which runs of words each text has, `(n_texts, n_runs)`, and the rarest of these."""
    from scipy.sparse import csr_matrix

    words: dict[str, int] = {}
    rows, runs = [], []
    for row, text in enumerate(texts):
        numbers = np.array(
            [words.setdefault(word, len(words)) for word in words_of(text)], dtype=np.uint64
        )
        if len(numbers) < _LEAST_WORDS:
            continue
        packed = np.zeros(len(numbers) - _RUN + 1, dtype=np.uint64)
        for place in range(_RUN):  # 21 bits a word: two million words
            part = numbers[place : len(numbers) - _RUN + 1 + place]
            packed = (packed << np.uint64(21)) | (part & np.uint64(2**21 - 1))
        packed = np.unique(packed)
        runs.append(packed)
        rows.append(np.full(len(packed), row, dtype=np.int64))
    if not runs:
        empty = csr_matrix((len(texts), 1))
        return empty, empty
    of_text = np.concatenate(rows)
    names, column = np.unique(np.concatenate(runs), return_inverse=True)
    shape, ones = (len(texts), len(names)), np.ones(len(of_text), dtype=np.float32)
    kept = _rarest(of_text, column)
    whole = csr_matrix((ones, (of_text, column)), shape=shape)
    rare = csr_matrix((ones[kept], (of_text[kept], column[kept])), shape=shape)
    return whole, rare


def _rarest(row: Rows, column: Rows) -> npt.NDArray[np.bool_]:
    """Return which runs of a text are so rare that near copies have to share one of them."""
    often = np.bincount(column)
    order = np.lexsort((column, often[column], row))
    sizes = np.bincount(row)
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = np.empty(len(row), dtype=np.int64)
    place[order] = np.arange(len(row)) - begins[row[order]]
    wanted = sizes - np.ceil(LIKE * sizes - 1e-9).astype(np.int64) + 1
    kept: npt.NDArray[np.bool_] = place < wanted[row]
    return kept


def _alike(
    runs: Any,
    others: Any,
    rare: Any,
    rare_others: Any,
    *,
    once: npt.NDArray[np.bool_] | None = None,
) -> Iterator[Pairs]:
    """Yield near copies; of rows that are marked in `once` meanwhile, no further ones."""
    sizes = np.asarray(runs.sum(axis=1)).ravel()
    other_sizes = np.asarray(others.sum(axis=1)).ravel()
    turned = rare_others.T.tocsr()
    for start in range(0, runs.shape[0], _AT_ONCE):
        candidates = (rare[start : start + _AT_ONCE] @ turned).tocoo()
        left, right = candidates.row.astype(np.int64) + start, candidates.col.astype(np.int64)
        if once is not None:  # first one candidate of each row, then the next of each
            nth = np.arange(len(left)) - np.searchsorted(left, left)
            order = np.argsort(nth, kind="stable")
            left, right = left[order], right[order]
        for begin in range(0, len(left), _COMPARED_AT_ONCE):
            here = slice(begin, begin + _COMPARED_AT_ONCE)
            one, two = left[here], right[here]
            if once is not None:
                one, two = one[~once[one]], two[~once[one]]
            shared = np.asarray(runs[one].multiply(others[two]).sum(axis=1)).ravel()
            alike = shared >= LIKE * (sizes[one] + other_sizes[two] - shared) - 1e-6
            yield one[alike], two[alike]


def _joined(pairs: Sequence[Pairs]) -> Pairs:
    if not pairs:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    left, right = (np.concatenate(each) for each in zip(*pairs, strict=True))
    order = np.lexsort((right, left))
    return left[order], right[order]
