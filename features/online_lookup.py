"""This module says what is looked up online: features of a view, by a key, without the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from features._online_decode import DECODERS
from headrace.errors import DefinitionError, UnknownNameError

if TYPE_CHECKING:
    from features.view import FeatureView

_KEY_TYPES = ("string", "int")


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """This is what to look up of a view: plain values, so that it travels as JSON.

    Args:
        view: Name of the view.
        keys: The columns that identify the entity, each with its type, "string" or "int"; none
            where one row is for everybody.
        features: Names of the features, in the order in which they are wanted.
        dtypes: Logical type of each feature.
        ttl_us: How long after its event time a row may be used, in microseconds; None for ever.
        number: Number of the view's version, 0 for the first.
        stream: Whether rows are pushed to the view, so that a value may be overdue.

    Raises:
        DefinitionError: The parts do not fit together.
    """

    view: str
    keys: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    dtypes: tuple[str, ...]
    ttl_us: int | None = None
    number: int = 0
    stream: bool = False

    def __post_init__(self) -> None:
        unknown = [d for d in self.dtypes if d not in DECODERS]
        wrong = None
        if any(dtype not in _KEY_TYPES for _, dtype in self.keys):
            wrong = f"the keys {list(self.keys)}; each needs a type, 'string' or 'int'"
        elif len(self.features) != len(self.dtypes):
            wrong = f"{len(self.features)} features but {len(self.dtypes)} types"
        elif unknown:
            wrong = f"a feature of the unknown type '{unknown[0]}'"
        elif self.number < 0:
            wrong = f"the version number {self.number}"
        if wrong:
            raise DefinitionError(
                f"The lookup in view '{self.view}' has {wrong}.",
                remedy="Make it with lookup_of(view, features).",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the lookup as JSON-like data."""
        return asdict(self) | {
            "keys": [list(key) for key in self.keys],
            "features": list(self.features),
            "dtypes": list(self.dtypes),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Lookup:
        """Return the lookup that `to_json` wrote; before versions had numbers it was the first."""
        return cls(
            view=document["view"],
            keys=tuple((column, dtype) for column, dtype in document["keys"]),
            features=tuple(document["features"]),
            dtypes=tuple(document["dtypes"]),
            ttl_us=document["ttl_us"],
            number=document.get("number", 0),
            stream=document.get("stream", False),
        )


def lookup_of(
    view: FeatureView, features: Sequence[str] | None = None, number: int | None = None
) -> Lookup:
    """Return the lookup of features of a view.

    Args:
        view: The view.
        features: Names of its features, in the order wanted; None for all, in the view's order.
        number: Number of its version; None for the one that it has in this home, which is given to
            it if it has none yet.

    Raises:
        UnknownNameError: The view has no such feature; the message offers the nearest.
    """
    columns = {c.name: c for c in view.columns}
    wanted = tuple(columns) if features is None else tuple(features)
    for name in wanted:
        if name not in columns:
            raise UnknownNameError.of(
                f"feature in view '{view.name}' called",
                name,
                columns,
                remedy="Name features that the view's definition has.",
            )
    if number is None:
        from features._versions import number_of

        number = number_of(view)
    return Lookup(
        view=view.name,
        keys=tuple((e.column, str(e.dtype)) for e in view.entities),
        features=wanted,
        dtypes=tuple(str(columns[name].dtype) for name in wanted),
        ttl_us=None if view.ttl is None else view.ttl // timedelta(microseconds=1),
        number=number,
        stream=view.stream,
    )
