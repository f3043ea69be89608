"""This module writes what the registry says of a model and of a version of it; it is pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serving._figures import figures_table, headlines, value_of
from serving._markdown import table

if TYPE_CHECKING:
    from headrace.artifacts import Evaluation, Model
    from headrace.models import ModelCard

LONGEST_DESCRIPTION = 5000  # MLflow's column
_LONGEST_VALUE = 60
_MOST_PARAMETERS = 30


def version_tags(model: Model, evaluation: Evaluation | None) -> dict[str, str]:
    """Return what a version can be searched by: its evaluation and one or two metrics.

    They are those of the test set, or where there is no evaluation those of the validation set.
    """
    card = model.card
    marks = {"headrace.trained": "elsewhere"} if card.elsewhere else {}
    if evaluation is None:
        names = ("log_loss", "auc") if card.task == "classification" else ("rmse", "mae")
        return marks | {
            f"validation_{name}": f"{card.metrics[name]:.6g}"
            for name in names
            if name in card.metrics
        }
    document = evaluation.document
    on, metrics = document.get("on", "test"), document.get("metrics") or {}
    figures = {name: value_of(metrics[name]) for name in headlines(document)}
    shown = {f"{on}_{name}": f"{value:.6g}" for name, value in figures.items()}
    return {"headrace.evaluation": evaluation.digest, **shown, **marks}


def version_text(model: Model, evaluation: Evaluation | None) -> str:
    """Return a version's page: how good the model is, on what, and what it is made of."""
    card = model.card
    document = _validated(card) if evaluation is None else evaluation.document
    said = [f"{_kind(card)}, made with {card.flavor}."]
    said += [_elsewhere(card)] if card.elsewhere else []
    if document.get("metrics"):
        said += [figures_table(document), _measured(document)]
    if card.parameters:
        said.append(_parameters(card.parameters))
    packages = ", ".join(f"{name} {version}" for name, version in sorted(card.packages.items()))
    said += [f"Packages: {packages}"] if packages else []
    said.append(f"Lineage: `headrace lineage artifact:{model.digest[:12]}`")
    return "\n\n".join(said)


def _elsewhere(card: ModelCard) -> str:
    known = card.trained_on
    return (
        f"**Trained elsewhere** and brought in from `{known['source']}` (sha256 "
        f"`{known['sha256'][:12]}`). What it was trained on is not known, so nobody can say "
        "whether it saw the rows that it was measured on; only decisions since are sure to be new "
        "to it."
    )


def _validated(card: ModelCard) -> dict[str, Any]:
    return {"on": "validation", "task": card.task, "metrics": dict(card.metrics)}


def name_text(model: Model) -> str:
    """Return what the page of a registered model says, in one line."""
    return f"{_kind(model.card)}. The versions say how good each is."


def _kind(card: ModelCard) -> str:
    if card.task == "estimation":
        what = f"Estimate of `{card.label}`"
    else:
        positive = f" (class `{card.classes[-1]}`)" if card.classes else ""
        what = f"Probability of `{card.label}`{positive}"
    return f"{what} from {len(card.features)} features"


def _measured(document: Mapping[str, Any]) -> str:
    measured, rows = document.get("set") or {}, document.get("rows")
    if document.get("on") == "validation":
        return "Measured on the validation set only: the test set is opened for the selected model."
    said = f"Measured on the {document.get('on', 'test')} set"
    said += "" if rows is None else f", {rows:,} rows"
    if measured.get("from") and measured.get("to"):
        said += f", {measured['from'][:10]} to {measured['to'][:10]}"
    if measured.get("digest"):
        said += f" (`artifact:{measured['digest'][:12]}`)"
    return f"{said}. The baseline is the answer without features."


def _parameters(parameters: Mapping[str, Any]) -> str:
    rows = [[name, _shown(value)] for name, value in list(parameters.items())[:_MOST_PARAMETERS]]
    left = len(parameters) - len(rows)
    return table(["parameter", "value"], rows) + (f"\n\nand {left} more" if left else "")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
