"""This module says in MLflow's terms what a run, a model, a dataset or an evaluation is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flows._tracking.stage import Metric
from headrace.artifacts import Artifact, Document, Model, Partitions, Tabular

if TYPE_CHECKING:
    from headrace.lineage import InvocationRecord
    from headrace.schemas import TableSchema

# MLflow's limits
_LONGEST_PARAM = 6000
_LONGEST_TAG = 8000
_LONGEST_NAME = 250
_LONGEST_DIGEST = 36
_LONGEST_SCHEMA = 1_000_000

_CONTEXTS = {"TrainSet": "training", "ValidationSet": "validation", "TestSet": "test"}
_TYPES = {
    "bool": "boolean",
    "int": "long",
    "float": "double",
    "string": "string",
    "category": "string",
    "timestamp": "datetime",
    "date": "datetime",
}
# what the parts of a cache key call the code that an operator reaches
_CODE = frozenset({"code", "class", "constant"})

Given = Mapping[str, Artifact | list[Artifact]]


def milliseconds(moment: datetime) -> int:
    """Return a moment as MLflow writes it."""
    return int(moment.timestamp() * 1000)


def ended_ms(invocation: InvocationRecord) -> int:
    """Return when an invocation ended."""
    return milliseconds(invocation.started_at + timedelta(seconds=invocation.seconds))


def name(text: str) -> str:
    """Return text as a name of a metric or parameter, which may hold few characters."""
    return re.sub(r"[^\w\-. /:]", "_", text)[:_LONGEST_NAME]


def tag(text: str) -> str:
    """Return text as a tag's value, which may not be longer than MLflow allows."""
    return _shortened(text, _LONGEST_TAG)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as MLflow parameters: dotted names, JSON where a value is no text."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{path}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[name(path)] = _shortened(text, _LONGEST_PARAM)
    return flat


def code_digest(invocation: InvocationRecord) -> str:
    """Return the digest of all code that an operator reaches; empty when it was not identified."""
    parts = sorted(
        (str(part["kind"]), str(part["name"]), str(part["digest"]))
        for part in invocation.key_parts
        if part["kind"] in _CODE
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16] if parts else ""


def tabular_inputs(given: Given) -> Iterator[tuple[str, Tabular[Any]]]:
    """Yield the name and table of each input that is one; lists are numbered."""
    for key, value in given.items():
        for number, artifact in enumerate(_opened(value)):
            if isinstance(artifact, Tabular):
                yield (key if artifact is value else f"{key}.{number}"), artifact


def models_in(given: Given) -> list[Model]:
    """Return the models among artifacts, lists opened."""
    opened = [artifact for value in given.values() for artifact in _opened(value)]
    return [artifact for artifact in opened if isinstance(artifact, Model)]


def _opened(value: Artifact | list[Artifact]) -> list[Artifact]:
    if isinstance(value, Partitions):
        return list(value.items.values())
    return value if isinstance(value, list) else [value]


def dataset(key: str, table: Tabular[Any]) -> dict[str, Any]:
    """Return a dataset input as `/runs/log-inputs` takes it.

    The digest is ours, over the whole content (MLflow's own looks at 10,000 rows), cut to the
    length that MLflow takes; the source has all of it.
    """
    described = {
        "name": key,
        "digest": table.digest[:_LONGEST_DIGEST],
        "source_type": "headrace",
        "source": json.dumps({"artifact": f"artifact:{table.digest}", "uri": table.uri}),
        "profile": json.dumps({"num_rows": table.rows}),
    }
    if table.schema is not None:
        described["schema"] = _schema(table.schema)
    context = _CONTEXTS.get(table.kind, "input")
    return {"tags": [{"key": "mlflow.data.context", "value": context}], "dataset": described}


def test_first(datasets: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return datasets with the test sets before the others: MLflow's list shows only the first."""
    return sorted(datasets, key=lambda described: described["tags"][0]["value"] != "test")


def dataset_key(described: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and digest by which a metric names its dataset."""
    return described["dataset"]["name"], described["dataset"]["digest"]


def data_params(given: Given) -> dict[str, str]:
    """Return the digests of tables as parameters, so that the compare page shows them."""
    return {name(f"data.{key}"): table.digest for key, table in tabular_inputs(given)}


def views_of(given: Given, models: Iterable[Model] = ()) -> str:
    """Return the feature views behind tables and models as "view@version, …"; empty when none."""
    found = {
        column.source
        for _, table in tabular_inputs(given)
        if table.schema is not None
        for column in table.schema.columns
    }
    for model in models:
        found |= {feature.source for feature in model.card.features}
    return ", ".join(sorted(source for source in found if source))


def validation_metrics(model: Model) -> dict[str, float]:
    """Return a model's metrics on the validation set, those that are defined."""
    return {
        name(f"validation_{key}"): float(value)
        for key, value in model.card.metrics.items()
        if value is not None
    }


def learning_metrics(model: Model, at_ms: int) -> list[Metric]:
    """Return the validation loss after each round of the fit, as a series."""
    curve = model.card.curves.get("learning") or {}
    return [
        Metric(key="validation_loss", value=float(loss), at_ms=at_ms, step=int(number))
        for number, loss in zip(
            curve.get("round", ()), curve.get("validation_loss", ()), strict=True
        )
    ]


def evaluation_metrics(evaluation: Document) -> dict[str, float]:
    """Return an evaluation's metrics under names such as `test_auc` and `test_auc_low`."""
    document = evaluation.document
    on = document.get("on", "test")
    found: dict[str, Any] = {f"{on}_rows": document.get("rows")}
    for key, metric in document.get("metrics", {}).items():
        if isinstance(metric, Mapping):
            found[f"{on}_{key}"] = metric.get("value")
            found |= {f"{on}_{key}_{end}": metric.get(end) for end in ("low", "high")}
        else:
            found[f"{on}_{key}"] = metric
    found |= {f"{on}_baseline_{k}": v for k, v in (document.get("baseline") or {}).items()}
    for key, metric in (document.get("differences") or {}).items():
        found[f"{on}_{key}_over_baseline"] = metric.get("value")
        found |= {f"{on}_{key}_over_baseline_{end}": metric.get(end) for end in ("low", "high")}
    return {name(key): float(value) for key, value in found.items() if _is_number(value)}


def numbers_in(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a summary as metrics."""
    return {name(key): float(value) for key, value in summary.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _schema(schema: TableSchema) -> str:
    columns = [
        {"type": _TYPES[c.dtype], "name": c.name, "required": not c.nullable}
        for c in schema.columns
    ]
    # with what MLflow has no word for: roles, units, when a value is known
    whole = json.dumps({"mlflow_colspec": columns, "headrace": schema.to_json()})
    return whole if len(whole) < _LONGEST_SCHEMA else json.dumps({"mlflow_colspec": columns})


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
