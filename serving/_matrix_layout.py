"""This module says how rows are laid out in a matrix of 32-bit floats, and checks one; it is pure.

The columns are the features of the model that answers, in the order of its card; a category is its
code there. All of that has one short name, the layout, which a request must give: a model that
takes over may have another order or other codes, and numbers alone would not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from serving._batch_errors import bad_cell, wrong_size
from serving._request_errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from headrace.models import ModelCard, ModelFeature

    Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """This is how a matrix holds the features of one model.

    Args:
        features: The features, in the order of the columns.
    """

    features: tuple[ModelFeature, ...]

    @cached_property
    def name(self) -> str:
        """What the layout is called: the same for the same columns and codes, everywhere."""
        told = [[f.name, f.dtype, f.categories] for f in self.features]
        return blake2b(orjson.dumps(told), digest_size=6).hexdigest()

    @cached_property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """The texts of the codes of each category, by feature."""
        return {f.name: f.categories for f in self.features if f.categories is not None}

    @cached_property
    def _bounds(self) -> tuple[Any, Any, Any]:
        """The columns of whole numbers, and the least and the largest of each."""
        import numpy as np

        kinds = {"bool": (0, 2), "int": (-np.inf, np.inf)}
        found = {
            place: kinds.get(feature.dtype, (0, len(feature.categories or ())))
            for place, feature in enumerate(self.features)
            if feature.categories is not None or feature.dtype in kinds
        }
        low, beyond = np.array(list(found.values()), dtype=np.float32).reshape(-1, 2).T
        return np.array(list(found), dtype=np.intp), low.copy(), beyond - 1

    def to_json(self) -> dict[str, Any]:
        """Return the layout as the endpoint tells it."""
        return {
            "layout": self.name,
            "features": [
                {"name": f.name, "dtype": f.dtype}
                | ({} if f.categories is None else {"categories": list(f.categories)})
                for f in self.features
            ],
        }

    def read(self, body: bytes) -> Matrix:
        """Return the matrix that a body is, (n_rows, n_features).

        NaN stands for null. A category is its code, true is 1, false 0.

        Raises:
            RequestError: It is no whole number of rows, or a number is infinite, no code of its
                category, neither 0 nor 1 of a truth value, or no whole number of a whole one.
        """
        import numpy as np

        width = len(self.features)
        if not body or len(body) % (4 * width):
            raise wrong_size(len(body), width)
        matrix = np.frombuffer(body, dtype="<f4").reshape(-1, width)
        self._check(matrix)
        return matrix

    def _check(self, matrix: Matrix) -> None:
        import numpy as np

        infinite = np.isinf(matrix)
        if infinite.any():
            row, place = np.argwhere(infinite)[0]
            raise self._bad(matrix, int(row), int(place))
        places, low, high = self._bounds
        if not len(places):
            return
        numbers = matrix.take(places, axis=1)
        # the nearest that it may be: what is right is that itself
        nearest = np.maximum(numbers, low)
        np.minimum(nearest, high, out=nearest)
        np.rint(nearest, out=nearest)
        wrong = nearest != numbers
        if not wrong.any():
            return
        wrong &= numbers == numbers  # noqa: PLR0124  NaN is not equal to itself
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise self._bad(matrix, int(row), int(places[column]))

    def _bad(self, matrix: Matrix, row: int, place: int) -> RequestError:
        feature = self.features[place]
        expected = {"bool": "0, 1 or NaN", "int": "a whole number or NaN"}.get(
            feature.dtype, "a finite number or NaN"
        )
        if feature.categories is not None:
            expected = f"a code from 0 to {len(feature.categories) - 1} or NaN"
        return bad_cell(row, feature.name, float(matrix[row, place]), expected)

    def rows(self, matrix: Matrix) -> list[list[Any]]:
        """Return rows of values as JSON would hold them, for models with a layout of their own."""
        texts = {i: f.categories for i, f in enumerate(self.features) if f.categories is not None}
        truths = [i for i, f in enumerate(self.features) if f.dtype == "bool"]
        rows: list[list[Any]]
        rows = [[None if v != v else v for v in row] for row in matrix.tolist()]  # noqa: PLR0124
        for row in rows:
            for place, known in texts.items():
                if row[place] is not None:
                    row[place] = known[int(row[place])]
            for place in truths:
                if row[place] is not None:
                    row[place] = bool(row[place])
        return rows


def layout_of(card: ModelCard) -> Layout:
    """Return the layout of a model's features."""
    return Layout(features=card.features)
