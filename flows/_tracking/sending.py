"""This module sends a stage to the MLflow server; what was done is kept in the stage.

A stage that was interrupted can be sent again: ids that it got are in it, and MLflow takes equal
parameters, metrics and datasets twice as once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flows._tracking.stage import Metric, Stage
from headrace.errors import ServiceError
from serving._mlflow import MlflowDown, MlflowRefusal, MlflowServer, pairs
from serving._models import create_logged_model, finish_logged_model, upload

# MLflow's limits on one request
_MOST_PAIRS = 100
_MOST_METRICS = 900
# each refusal means that another request has added a dataset, so that few come
_DATASET_ATTEMPTS = 5

T = TypeVar("T")


def send(server: MlflowServer, stage: Stage, folder: Path | None) -> str:
    """Send a stage and return the id of its run.

    Args:
        server: Where to.
        stage: What; ids that the server gives are filled in.
        folder: Holds `model/` and `files/` where the stage has them.

    Raises:
        MlflowDown: The server does not answer; the stage can be sent again.
        MlflowRefusal: The server refuses something in it; a run that the stage began is closed.
    """
    try:
        return _sent(server, stage, folder)
    except MlflowDown:
        raise
    except BaseException:
        if stage.new_run is not None and stage.run_id is not None:
            with contextlib.suppress(ServiceError):
                server.post("/runs/update", run_id=stage.run_id, status="FAILED")
        raise


def _sent(server: MlflowServer, stage: Stage, folder: Path | None) -> str:
    run_id = stage.run_id = stage.run_id or _create_run(server, stage)
    if folder is not None and stage.model is not None and stage.new_run is not None:
        if stage.model_id is None:
            stage.model_id = create_logged_model(
                server,
                experiment_id=stage.new_run.experiment_id,
                run_id=run_id,
                name=stage.model.name,
                flavor=stage.model.flavor,
                params=stage.model.params,
                tags=stage.model.tags,
            )
        finish_logged_model(server, stage.model_id, folder / "model", run_id=run_id)
    if stage.datasets:
        _log_datasets(server, run_id, stage.datasets)
    for batch in _batches(stage):
        server.post("/runs/log-batch", run_id=run_id, **batch)
    if folder is not None and stage.files:
        upload(server, stage.artifact_uri or _artifact_uri(server, run_id), folder / "files")
    if stage.status is not None:
        ended = {} if stage.ended_ms is None else {"end_time": stage.ended_ms}
        server.post("/runs/update", run_id=run_id, status=stage.status, **ended)
    return run_id


def _log_datasets(server: MlflowServer, run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
    """Log what a run has read; again where another run told MLflow of the same data at once.

    MLflow looks for a dataset before it adds it, and answers both of two requests that found none
    by adding one: the later breaks the rule that there is one of each, and is refused whole.
    """
    for attempt in range(1, _DATASET_ATTEMPTS + 1):
        try:
            server.post("/runs/log-inputs", run_id=run_id, datasets=datasets)
        except MlflowRefusal:
            if attempt == _DATASET_ATTEMPTS:
                raise
        else:
            return


def _create_run(server: MlflowServer, stage: Stage) -> str:
    if stage.new_run is None:
        raise ValueError("a stage has either a run or says which to create")
    created = server.post(
        "/runs/create",
        experiment_id=stage.new_run.experiment_id,
        run_name=stage.new_run.name,
        start_time=stage.new_run.started_ms,
        tags=pairs(stage.new_run.tags),
    )
    info = created["run"]["info"]
    stage.artifact_uri = info.get("artifact_uri")
    return str(info["run_id"])


def _artifact_uri(server: MlflowServer, run_id: str) -> str:
    return str(server.get("/runs/get", run_id=run_id)["run"]["info"]["artifact_uri"])


def _batches(stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield one request where MLflow's limits allow, else as few as they do."""
    params = _chunks(pairs(stage.params), _MOST_PAIRS // 2)
    tags = _chunks(pairs(stage.tags), _MOST_PAIRS // 2)
    metrics = _chunks([_metric(m, stage.model_id) for m in stage.metrics], _MOST_METRICS)
    for number in range(max(len(params), len(tags), len(metrics))):
        yield {
            name: chunks[number]
            for name, chunks in (("params", params), ("tags", tags), ("metrics", metrics))
            if number < len(chunks)
        }


def _chunks(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _metric(metric: Metric, model_id: str | None) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "key": metric.key,
        "value": metric.value if math.isfinite(metric.value) else _not_finite(metric.value),
        "timestamp": metric.at_ms,
        "step": metric.step,
    }
    if metric.about_model and model_id is not None:
        sent["model_id"] = model_id
    if metric.dataset is not None:
        sent["dataset_name"], sent["dataset_digest"] = metric.dataset
    return sent


def _not_finite(value: float) -> str:
    """Return how protobuf's JSON, which MLflow reads, writes what JSON has no number for."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
