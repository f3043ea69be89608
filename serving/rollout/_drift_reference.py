"""This module keeps how the features of a version were distributed in its training set.

The training set is found by its digest, which the model's card has, in the store. What is made of
it is kept beside the bundles, by the model's digest: a few numbers, which stay when the store is
cleaned.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.content import document_digest
from headrace.errors import HeadraceError
from headrace.settings import settings
from serving.rollout._drift_bins import bins_of_numbers, bins_of_texts

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.models import ModelCard

FORMAT = "headrace training distribution 1"


class NoReferenceError(Exception):
    """This model's training set is not known here; the text says why."""


def reference_of(model: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the bins of each feature of a registered version, with the counts of training.

    Args:
        model: The version, as "name/3".

    Raises:
        NoReferenceError: Its bundle, or its training set, is not here.
    """
    from operators.bundle import read_card
    from serving.bundles import folder_of

    try:
        folder = folder_of(model)
        kept = _read(_file(folder.name))
        if kept is not None:
            return kept
        card = read_card(folder)
        bins = _made(card, _training_set(card))
    except HeadraceError as error:
        raise NoReferenceError(error.problem.rstrip(".")) from error
    _keep(_file(folder.name), bins)
    return bins


def _training_set(card: ModelCard) -> pa.Table:
    from headrace.store import LocalStore

    digest = card.trained_on.get("digest")
    if card.elsewhere or not isinstance(digest, str):
        raise NoReferenceError("it was trained elsewhere, on rows that nobody here knows")
    store = LocalStore(Path(settings().store))
    if not store.has(digest):
        raise NoReferenceError(f"its training set {digest[:12]} is not in the store any more")
    return store.read_table(digest, card.feature_names)


def _made(card: ModelCard, rows: pa.Table) -> dict[str, dict[str, Any]]:
    return {
        feature.name: _bins(rows.column(feature.name), is_text=feature.categories is not None)
        for feature in card.features
    }


def _bins(column: pa.ChunkedArray, *, is_text: bool) -> dict[str, Any]:
    import pyarrow as pa

    if not is_text:
        return bins_of_numbers(_numbers(column))
    counted = column.cast(pa.string()).value_counts().to_pylist()
    return bins_of_texts({each["values"]: int(each["counts"]) for each in counted})


def _numbers(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _file(digest: str) -> Path:
    return settings().home / "serving" / "distributions" / f"{digest}.json"


def _read(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return what is kept; None where nothing is, or not what was written."""
    try:
        document = json.loads(path.read_bytes())
        features: dict[str, dict[str, Any]] = document["features"]
        intact = document["format"] == FORMAT and document["sha256"] == document_digest(features)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return features if intact else None


def _keep(path: Path, features: dict[str, dict[str, Any]]) -> None:
    document = {"format": FORMAT, "sha256": document_digest(features), "features": features}
    half = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(json.dumps(document), encoding="utf-8")
        half.replace(path)
    except OSError:  # it is made again the next time
        half.unlink(missing_ok=True)
