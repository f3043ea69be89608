"""This module records what a node made: a child run for a model, figures for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flows._tracking import records, stages
from flows._tracking.delivery import deliver
from flows._tracking.notes import evaluation_said, selection_said
from flows._tracking.open_run import OpenRun
from flows._tracking.stage import Stage
from headrace.artifacts import (
    Artifact,
    Evaluation,
    Model,
    Partitions,
    Report,
    SelectedModel,
    Tabular,
)
from serving._figures import headlines
from serving._markdown import link
from serving._mlflow import MlflowDown
from serving._models import LoggedModel, find_logged_models

if TYPE_CHECKING:
    from headrace.lineage import InvocationRecord

_FINISHED = frozenset({"executed", "cached"})


def record(
    opened: OpenRun,
    invocation: InvocationRecord,
    outputs: Mapping[str, Artifact],
    inputs: records.Given,
) -> str:
    """Record a node and return what is to be said of it, in Markdown."""
    if invocation.state not in _FINISHED:
        return ""
    code = records.code_digest(invocation)
    opened.add(tags={records.name(f"{invocation.node}.code"): code} if code else {})
    made = _opened(outputs)
    if not inputs:
        _source(opened, invocation, made)
    remarks = []
    candidates = {model.digest for model in records.models_in(inputs)}
    models = {slot: a for slot, a in made.items() if isinstance(a, Model)}
    for slot, artifact in made.items():
        if isinstance(artifact, SelectedModel) and artifact.digest in candidates:
            metric = _criterion(artifact, made)
            _selection(opened, invocation, artifact, inputs, metric)
        elif isinstance(artifact, Model) and artifact.digest in candidates:
            continue  # passed on, not trained
        elif isinstance(artifact, Model):
            name = invocation.node if len(models) == 1 else f"{invocation.node}.{slot}"
            remarks.append(_model(opened, invocation, artifact, inputs, name))
        elif isinstance(artifact, Evaluation):
            _evaluation(opened, invocation, artifact, inputs)
        elif isinstance(artifact, Report):
            remarks.append(_report(opened, invocation, artifact))
    return "; ".join(remark for remark in remarks if remark)


def _opened(outputs: Mapping[str, Artifact]) -> dict[str, Artifact]:
    made: dict[str, Artifact] = {}
    for slot, artifact in outputs.items():
        if isinstance(artifact, Partitions):
            made |= {f"{slot}.{key}": item for key, item in artifact.items.items()}
        else:
            made[slot] = artifact
    return made


def _source(opened: OpenRun, invocation: InvocationRecord, made: Mapping[str, Artifact]) -> None:
    """Gather the tables that a flow began with."""
    tables = {
        invocation.node if len(made) == 1 else f"{invocation.node}.{slot}": artifact
        for slot, artifact in made.items()
        if isinstance(artifact, Tabular)
    }
    described = [records.dataset(key, table) for key, table in tables.items()]
    opened.add(
        tags={records.name(f"{key}.data"): table.digest for key, table in tables.items()},
        datasets={records.dataset_key(d): d for d in described},
    )


def _model(
    opened: OpenRun,
    invocation: InvocationRecord,
    model: Model,
    inputs: records.Given,
    name: str,
) -> str:
    opened.add(tags={records.name(f"{name}.model"): model.digest})
    opened.made(model.digest, name)
    if invocation.state == "cached":
        remark = _reused(opened, invocation, model, name)
        if remark is not None:
            return remark
        # it was made where nothing was recorded, or its record was deleted: it gets one now
    folder = opened.spool.new_folder()
    stage = stages.training(opened, invocation, model, inputs, name=name, folder=folder)
    if invocation.reused_from:
        stage.run_id = _half_sent(opened, invocation.reused_from)
    run_id = deliver(opened, stage, folder)
    return _run_link(opened, "training run", opened.experiment_id, run_id)


def _reused(opened: OpenRun, invocation: InvocationRecord, model: Model, name: str) -> str | None:
    """Link the run that made a model; None when there is no such run."""
    try:
        found = _maker(opened, invocation, model)
        run = opened.server.get("/runs/get", run_id=found.run_id)["run"] if found else None
    except MlflowDown:
        return "MLflow could not be asked which run made it"
    if found is None or run is None or run["info"]["lifecycle_stage"] != "active":
        return None
    url = opened.server.run_url(found.experiment_id, found.run_id)
    opened.add(tags={records.name(f"headrace.reused.{name}"): url})
    return link("training run", url)


def _half_sent(opened: OpenRun, invocation_id: str) -> str | None:
    """Return the child run of an invocation that was killed while it was sent, to go on in it."""
    killed = f"tags.`headrace.invocation` = '{invocation_id}' and attributes.status = 'KILLED'"
    try:
        answer = opened.server.post(
            "/runs/search",
            experiment_ids=opened.experiment_ids,
            filter=killed,
            max_results=1,
        )
    except MlflowDown:
        return None
    return next((str(found["info"]["run_id"]) for found in answer.get("runs", ())), None)


def _maker(opened: OpenRun, invocation: InvocationRecord, model: Model) -> LoggedModel | None:
    """Return the model as logged by the invocation that is reused, or the nearest that is equal."""
    found = [
        logged
        for logged in find_logged_models(
            opened.server, model.digest, experiment_ids=opened.experiment_ids
        )
        if logged.run_id
    ]
    return min(
        found,
        key=lambda logged: (
            logged.tags.get("headrace.invocation") != invocation.reused_from,
            logged.experiment_id != opened.experiment_id,
        ),
        default=None,
    )


def _criterion(chosen: SelectedModel, made: Mapping[str, Artifact]) -> str | None:
    """Return the metric that a selection's report names, else the first of the model's task."""
    for artifact in made.values():
        named = artifact.document.get("metric") if isinstance(artifact, Report) else None
        if isinstance(named, str):
            return named
    card = chosen.card
    return next(iter(headlines({"task": card.task, "metrics": card.metrics})), None)


def _selection(
    opened: OpenRun,
    invocation: InvocationRecord,
    chosen: SelectedModel,
    inputs: records.Given,
    metric: str | None,
) -> None:
    opened.selected(chosen.digest, metric)
    opened.add(result=selection_said(opened.maker(chosen.digest), chosen, metric))
    folder = opened.spool.new_folder() if invocation.state == "executed" else None
    stage = stages.selection(opened, invocation, chosen, inputs, metric=metric, folder=folder)
    _send_or_gather(opened, stage, folder)


def _evaluation(
    opened: OpenRun,
    invocation: InvocationRecord,
    made: Evaluation,
    inputs: records.Given,
) -> None:
    metric = opened.criterion(made.document.get("model"))
    opened.add(result=evaluation_said(made, metric))
    folder = opened.spool.new_folder() if invocation.state == "executed" else None
    # the first evaluation on a set has the bare names, which a reader looks for
    first = opened.claim(f"evaluation on {made.document.get('on', 'test')}", invocation.node)
    prefix = "" if first else f"{invocation.node}."
    stage = stages.evaluation(opened, invocation, made, inputs, prefix=prefix, folder=folder)
    opened.evaluated(invocation.node, stages.plots_in(folder))
    _send_or_gather(opened, stage, folder)


def _send_or_gather(opened: OpenRun, stage: Stage, folder: Path | None) -> None:
    """Send what was worth computing at once; what was reused is sent with the end of the run."""
    if folder is not None:
        deliver(opened, stage, folder)
        return
    opened.add(
        tags=stage.tags,
        metrics={metric.key: metric.value for metric in stage.metrics},
        datasets={records.dataset_key(d): d for d in stage.datasets},
    )


def _report(opened: OpenRun, invocation: InvocationRecord, report: Report) -> str:
    """Keep a report; returns what its message does not say: that it did not pass, and a link."""
    if invocation.state == "executed":
        folder = opened.spool.new_folder()
        deliver(opened, stages.report(opened, invocation, report, folder=folder), folder)
    document = report.document
    verdict = "did not pass" if document.get("passed") is False else ""
    url = document.get("url")
    if not isinstance(url, str):
        return verdict
    text = " ".join(str(document[key]) for key in ("name", "version") if key in document)
    return f"{verdict} {link(text or 'open', url)}".strip()


def _run_link(opened: OpenRun, text: str, experiment_id: str, run_id: str | None) -> str:
    if run_id is None:
        return "waits to be sent to MLflow"
    return link(text, opened.server.run_url(experiment_id, run_id))
