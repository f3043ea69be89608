"""This module writes scikit-learn estimators without pickle, the same bytes for the same model."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from typing import Any

_EPOCH = (1980, 1, 1, 0, 0, 0)
# What skops must be told to build, beyond its own list: parts of the estimators that we train, and
# of others of scikit-learn's that are brought in. They hold numbers and call nothing of the file's.
_TRUSTED = (
    "functools.partial",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
)


def write_estimator(estimator: object) -> bytes:
    """Return a fitted estimator in skops' format.

    skops names parts by their address in memory and stamps the time; both are replaced here by
    numbers in order of appearance and a fixed date, so that the bytes are the model's alone.
    """
    import skops.io

    raw = zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator)))
    schema = json.loads(raw.read("schema.json"))
    names = _renumbered(schema)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for old, new in names.items():
            archive.writestr(_entry(new), raw.read(old))
        text = json.dumps(schema, separators=(",", ":"))
        archive.writestr(_entry("schema.json"), text)
    return buffer.getvalue()


def read_estimator(content: bytes) -> Any:
    """Return the estimator that skops wrote; code in the file is never run.

    Raises:
        UntrustedTypesFoundException: The file holds types that are not trusted here.
    """
    import skops.io

    return skops.io.loads(content, trusted=list(_TRUSTED))


def untrusted_types(content: bytes) -> list[str]:
    """Return the types that a file names and that `read_estimator` would refuse; none is built."""
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(data=content)) - set(_TRUSTED))


def _renumbered(schema: dict[str, Any]) -> dict[str, str]:
    numbers: dict[object, int] = {}
    names: dict[str, str] = {}
    fresh = itertools.count(1)
    for node in _nodes(schema):
        if "__id__" in node:
            # Whether two equal constants are one object is Python's affair, not the model's.
            key = object() if node.get("is_json") else node["__id__"]
            node["__id__"] = numbers.setdefault(key, next(fresh))
        file = node.get("file")
        if isinstance(file, str):
            suffix = file.rpartition(".")[2]
            node["file"] = names.setdefault(file, f"{len(names) + 1}.{suffix}")
    return names


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
