"""This module turns texts into numbers: which words and pairs of words they hold, and how telling.

Counts are damped by a logarithm and weighted by how few texts hold a term (TF-IDF). Words are two
to forty letters or digits; a term counts that enough texts hold, the most frequent 20,000 of them.
Languages that are written without spaces between words need something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.errors import DataError

MOST_TERMS = 20_000
_WORD = r"(?u)\b\w{2,40}\b"
# a term that one text alone holds says nothing of the next; but few texts have no others
_SEVERAL_TEXTS = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """These are the terms that training texts hold.

    Attributes:
        vectorizer: scikit-learn's pipeline from texts to weighted terms, fitted.
        names: The terms, in the order of the columns.
        matrix: The weights of the training texts, sparse `(n_texts, n_terms)`.
    """

    vectorizer: Any
    names: tuple[str, ...]
    matrix: Any


def terms_of(texts: Sequence[str], *, column: str) -> Terms:
    """Return the terms of training texts, with their weights.

    Args:
        texts: The training texts; those that hold no word are all zeros.
        column: Where they come from, for messages.

    Raises:
        DataError: None of them holds a word.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.pipeline import Pipeline

    settings: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": _WORD}
    counter = CountVectorizer(**settings)
    try:
        counts = counter.fit_transform(texts)
    except ValueError as error:
        raise DataError(
            f"Column '{column}' holds no word in any of the {len(texts):,} rows of the training "
            "set.",
            remedy="Leave it out of `text`, or bring rows that have text.",
        ) from error
    names = counter.get_feature_names_out()
    kept = _kept(np.bincount(counts.indices, minlength=len(names)), len(texts))
    weigher = TfidfTransformer(sublinear_tf=True)
    matrix = weigher.fit_transform(counts[:, kept])
    # an array of text is written as one file, and a dictionary as one entry a term
    fixed = CountVectorizer(**settings, vocabulary=names[kept].astype(str))
    fixed.fixed_vocabulary_ = True
    return Terms(
        vectorizer=Pipeline([("terms", fixed), ("weights", weigher)]),
        names=tuple(str(name) for name in names[kept]),
        matrix=matrix,
    )


def _kept(texts_with: np.ndarray, texts: int) -> np.ndarray:
    """Return the positions of the terms that count, ascending; ties go by the alphabet."""
    enough = texts_with >= (2 if texts >= _SEVERAL_TEXTS else 1)
    allowed = np.flatnonzero(enough if enough.any() else texts_with > 0)
    ranked = allowed[np.argsort(-texts_with[allowed], kind="stable")]
    kept: np.ndarray = np.sort(ranked[:MOST_TERMS])
    return kept
