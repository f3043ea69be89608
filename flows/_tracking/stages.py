"""This module prepares stages: a model that was trained, a selection, an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows._tracking import notes, plots, records
from flows._tracking.open_run import OpenRun
from flows._tracking.stage import Metric, NewRun, Stage, StagedModel
from flows._tracking.sweep import process_tags
from serving._models import DIGEST_TAG, write_mlflow_model

if TYPE_CHECKING:
    from headrace.artifacts import Evaluation, Model, Report, SelectedModel
    from headrace.lineage import InvocationRecord
    from headrace.models import ModelCard

# numbers among a model's notes by which no model is better
_NO_FIGURES = frozenset({"threads"})


def training(
    opened: OpenRun,
    invocation: InvocationRecord,
    model: Model,
    inputs: records.Given,
    *,
    name: str,
    folder: Path,
) -> Stage:
    """Prepare the child run of a model: figures, data, plots and the model itself.

    Args:
        opened: The flow's run.
        invocation: The node that trained the model.
        model: The model.
        inputs: What it was trained with.
        name: What the lists show.
        folder: Empty; gets `model/` and `files/`.
    """
    at_ms = records.ended_ms(invocation)
    datasets = [records.dataset(key, table) for key, table in records.tabular_inputs(inputs)]
    validated_on = next(
        (records.dataset_key(d) for d in datasets if d["tags"][0]["value"] == "validation"), None
    )
    noted = records.numbers_in(model.notes)
    figures = _measured(model) | {k: v for k, v in noted.items() if k not in _NO_FIGURES}
    validated = records.validation_metrics(model)
    metrics = [
        *(Metric(key=k, value=v, at_ms=at_ms, about_model=True) for k, v in figures.items()),
        *(
            Metric(key=k, value=v, at_ms=at_ms, about_model=True, dataset=validated_on)
            for k, v in validated.items()
        ),
        *records.learning_metrics(model, at_ms),
    ]
    tags = _child_tags(opened, invocation, model)
    tags |= {f"headrace.{k}": f"{v:g}" for k, v in noted.items() if k in _NO_FIGURES}
    write_mlflow_model(model, folder / "model")
    return Stage(
        new_run=NewRun(
            experiment_id=opened.experiment_id,
            name=name,
            started_ms=records.milliseconds(invocation.started_at),
            tags=tags,
        ),
        params=_child_params(invocation, model, inputs),
        metrics=metrics,
        datasets=datasets,
        model=StagedModel(
            name=records.name(name).replace("/", "_").replace(":", "_").replace(".", "_"),
            flavor=model.card.flavor,
            params=records.flattened(model.card.parameters),
            tags={key: value for key, value in tags.items() if key.startswith("headrace.")},
        ),
        files=_draw_card(model.card, folder / "files"),
        status="FINISHED",
        ended_ms=at_ms,
    )


def selection(
    opened: OpenRun,
    invocation: InvocationRecord,
    chosen: SelectedModel,
    inputs: records.Given,
    *,
    metric: str | None,
    folder: Path | None,
) -> Stage:
    """Prepare what a selection adds to the flow's run: the table, and what it went by.

    All other figures of the candidates are on their own runs.

    Args:
        opened: The flow's run.
        invocation: The node that selected.
        chosen: The model that was selected.
        inputs: The candidates among them.
        metric: What the selection went by, None when that is not known.
        folder: Empty; gets `files/`. None for a selection that was reused.
    """
    candidates = records.models_in(inputs)
    if folder is not None:
        place = folder / "files" / "selection"
        place.mkdir(parents=True)
        rows = notes.selection_rows(candidates, chosen.digest)
        (place / f"{_file(invocation)}.json").write_text(json.dumps(rows, indent=1))
        table = notes.selection_table(candidates, chosen.digest)
        (place / f"{_file(invocation)}.md").write_text(table + "\n")
    at_ms = records.ended_ms(invocation)
    shown = {invocation.node: chosen, **{opened.maker(m.digest): m for m in candidates}}
    figures = {
        f"{name}.validation_{metric}": float(value)
        for name, model in shown.items()
        if metric is not None and (value := model.card.metrics.get(metric)) is not None
    }
    return Stage(
        run_id=opened.mlflow_run_id,
        artifact_uri=opened.artifact_uri,
        metrics=[Metric(key=records.name(k), value=v, at_ms=at_ms) for k, v in figures.items()],
        tags={
            records.name(f"selected.{invocation.node}"): chosen.digest,
            records.name(f"selected.{invocation.node}.flavor"): chosen.card.flavor,
        },
        files=folder is not None,
    )


def report(opened: OpenRun, invocation: InvocationRecord, made: Report, *, folder: Path) -> Stage:
    """Prepare a report as a file of the flow's run.

    Args:
        opened: The flow's run.
        invocation: The node that made it.
        made: The report.
        folder: Empty; gets `files/`.
    """
    place = folder / "files" / "reports"
    place.mkdir(parents=True)
    (place / f"{_file(invocation)}.json").write_text(json.dumps(made.document, indent=1))
    return Stage(run_id=opened.mlflow_run_id, artifact_uri=opened.artifact_uri, files=True)


def evaluation(
    opened: OpenRun,
    invocation: InvocationRecord,
    made: Evaluation,
    inputs: records.Given,
    *,
    prefix: str,
    folder: Path | None,
) -> Stage:
    """Prepare what an evaluation adds to the flow's run: figures with intervals, and plots.

    Args:
        opened: The flow's run.
        invocation: The node that evaluated.
        made: The evaluation.
        inputs: The model and the data.
        prefix: Put before the names of metrics, where another evaluation has the bare ones.
        folder: Empty; gets `files/`. None for an evaluation that was reused.
    """
    document = made.document
    datasets = [records.dataset(key, table) for key, table in records.tabular_inputs(inputs)]
    measured_on = records.dataset_key(datasets[0]) if len(datasets) == 1 else None
    if folder is not None:
        place = folder / "files" / "evaluation" / _file(invocation)
        place.mkdir(parents=True)
        (place / "evaluation.json").write_text(json.dumps(document, indent=1))
        _draw_evaluation(document, place)
    at_ms = records.ended_ms(invocation)
    return Stage(
        run_id=opened.mlflow_run_id,
        artifact_uri=opened.artifact_uri,
        metrics=[
            Metric(key=records.name(prefix + key), value=value, at_ms=at_ms, dataset=measured_on)
            for key, value in records.evaluation_metrics(made).items()
        ],
        tags={
            records.name(f"{invocation.node}.{key}"): value
            for key, value in records.data_params(inputs).items()
        },
        datasets=records.test_first(datasets),
        files=folder is not None,
    )


def plots_in(folder: Path | None) -> dict[str, bytes]:
    """Return the plots that a stage's folder holds, by file name."""
    return {} if folder is None else {p.name: p.read_bytes() for p in folder.rglob("*.png")}


def plots_at_root(opened: OpenRun) -> Path | None:
    """Write the plots of the only evaluation as files of the flow's run; None without any.

    MLflow's compare page shows a file of two runs side by side where both have it at one path.
    """
    plots = opened.plots
    if not plots:
        return None
    folder = opened.spool.new_folder()
    (folder / "files").mkdir()
    for name, content in plots.items():
        (folder / "files" / name).write_bytes(content)
    return folder


def _child_params(
    invocation: InvocationRecord, model: Model, inputs: records.Given
) -> dict[str, str]:
    """Return the operator's parameters, and what the compare page would not show by itself."""
    shown = {
        **records.data_params(inputs),
        "features.views": records.views_of(inputs, [model]),
        "features.count": str(len(model.card.features)),
        "code.digest": records.code_digest(invocation),
        "model.digest": model.digest,
        "model.flavor": model.card.flavor,
        "operator": invocation.operator,
        "node.seed": "" if invocation.seed is None else str(invocation.seed),
    }
    return records.flattened(invocation.parameters) | {k: v for k, v in shown.items() if v}


def _child_tags(opened: OpenRun, invocation: InvocationRecord, model: Model) -> dict[str, str]:
    run = opened.run
    tags = {
        "mlflow.parentRunId": opened.mlflow_run_id,
        "mlflow.user": run.actor,
        "mlflow.source.name": f"{run.flow}/{invocation.node}",
        "headrace.role": "training",
        "headrace.run": f"run:{run.id}",
        "headrace.node": invocation.node,
        "headrace.operator": invocation.operator,
        "headrace.invocation": invocation.id,
        "headrace.key": invocation.key or "",
        "headrace.state": invocation.state,
        DIGEST_TAG: model.digest,
        "mlflow.note.content": "Made by node "
        f"`{invocation.node}` of run `run:{run.id}`: "
        f"`headrace lineage run:{run.id[:12]}/{invocation.node}`",
        **process_tags(),
    }
    if invocation.reused_from:
        tags["headrace.reused_from"] = invocation.reused_from
    if model.card.elsewhere:
        tags["headrace.trained"] = "elsewhere"
    if opened.prefect_url:
        tags["prefect.flow_run_url"] = opened.prefect_url
    return {key: records.tag(value) for key, value in tags.items() if value}


def _measured(model: Model) -> dict[str, float]:
    """Return size and latency; a model without an example row cannot be asked."""
    if not model.card.example:
        return {}
    from operators.scoring import measure

    found = measure(model)
    return {
        "model_bytes": float(found["bytes"]),
        "latency_p50_ms": float(found["p50_ms"]),
        "latency_p99_ms": float(found["p99_ms"]),
    }


def _draw_card(card: ModelCard, to: Path) -> bool:
    about = plots.About(on="validation", rows=card.validated_on.get("rows"), metrics=card.metrics)
    drawn = plots.draw_all(
        about, curves=card.curves, importance=card.importance, slices=card.slices
    )
    return _written(drawn, to)


def _draw_evaluation(document: Mapping[str, Any], to: Path) -> bool:
    about = plots.About(
        on=document.get("on", "test"),
        rows=document.get("rows"),
        metrics=document.get("metrics") or {},
    )
    curves = dict(document.get("curves") or {})
    curves.setdefault("calibration", document.get("calibration") or {})
    drawn = plots.draw_all(
        about, curves=curves, importance={}, slices=tuple(document.get("slices") or ())
    )
    return _written(drawn, to)


def _written(drawn: Mapping[str, bytes], to: Path) -> bool:
    if drawn:
        to.mkdir(parents=True, exist_ok=True)
    for name, content in drawn.items():
        (to / name).write_bytes(content)
    return bool(drawn)


def _file(invocation: InvocationRecord) -> str:
    return records.name(invocation.node).replace("/", "_").replace(" ", "_").replace(":", "_")
