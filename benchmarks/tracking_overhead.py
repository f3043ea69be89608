"""This benchmark records a flow of 20 nodes in MLflow, ours against raw MlflowClient calls.

The baseline is what a careful person writes by hand: it knows the records beforehand (they are read
back from a run of ours), batches them as far as MLflow allows, and leaves the same runs behind,
which is checked. What takes time on its own account and is no record keeping (drawing plots,
measuring latency) is left out of the value on both sides; `detail` has the ratio with it, done on
both sides by the same functions. CPU seconds of this process and the server together, because a
wall clock would measure the neighbours; ours and raw in turn.
"""

from __future__ import annotations

import socket
import statistics
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from headrace import (
    Artifact,
    Col,
    Evaluation,
    Model,
    Schema,
    SelectedModel,
    Table,
    TestSet,
    TrainSet,
    ValidationSet,
)
from headrace.lineage import InvocationRecord, RunRecord
from headrace.settings import Settings, using_settings

if TYPE_CHECKING:
    import psutil
    from mlflow import MlflowClient

    from flows.tracking import MlflowRunLog

_REPEATS = 7
_NODES = 20
_START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Late(Schema, Protocol):
    """These are made-up flights."""

    flight: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]
    wind: Annotated[float, Col(role="feature", unit="m/s", known_at="decided_at")]


@dataclass(frozen=True, kw_only=True)
class Made:
    """These are the artifacts of the flow: three models, and what they were made from."""

    tables: tuple[Table[Late], ...]
    train: TrainSet[Late]
    validation: ValidationSet[Late]
    test: TestSet[Late]
    models: tuple[Model, ...]
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """This is a run as MLflow has it, for the baseline to write again.

    Args:
        run: The run.
        model: The model that it logged, None for the parent.
        files: Folder of its artifacts.
    """

    run: Any
    model: Model | None
    files: Path


def run() -> Iterator[dict[str, Any]]:
    """Yield one row: ours as a multiple of the raw client."""
    from flows import _services

    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        with using_settings(home=home, mlflow_port=port) as settings:
            _services.apply_client_environment(settings)
            _services.up(only=("mlflow",), of=settings)
            try:
                yield _row(settings, Path(home))
            finally:
                _services.down(of=settings)


def _row(settings: Settings, home: Path) -> dict[str, Any]:
    made = _made()
    bare = replace(
        made, models=tuple(map(_without_plots, made.models)), evaluation=_short(made.evaluation)
    )
    records = _compared(settings, home / "bare", bare, contents=False)
    whole = _compared(settings, home / "whole", made, contents=True)
    return {
        "name": "tracking_overhead",
        "value": records["ratio"],
        "unit": "times raw MlflowClient",
        "baseline": "the same runs through MlflowClient, batched, known beforehand",
        "baseline_value": records["raw_ms"],
        "ratio": records["ratio"],
        "higher_is_better": False,
        "goal": {"at_most": 1.2},
        "detail": {
            "nodes": _NODES,
            "training_nodes": len(made.models),
            "repeats": _REPEATS,
            "clock": "CPU of client and server",
            "records": records,
            "with plots and latencies, made on both sides": whole,
        },
    }


def _compared(settings: Settings, home: Path, made: Made, *, contents: bool) -> dict[str, Any]:
    from mlflow import MlflowClient

    from flows.tracking import MlflowRunLog

    log = MlflowRunLog(settings.mlflow_url, home=home)
    client = MlflowClient(settings.mlflow_url)
    known = _read_back(client, _tell(log, made), made, home / "files")
    again = [*known[1:], known[0]]
    _check_same(client, known, _write_raw(client, again, made if contents else None, home))
    ours, raw = [], []
    for _ in range(_REPEATS):
        ours.append(_timed(settings, lambda: _tell(log, made)))
        raw.append(
            _timed(settings, lambda: _write_raw(client, again, made if contents else None, home))
        )
    figures = {
        f"{who}_{clock}ms": round(statistics.median(m[which] for m in measured) * 1e3, 1)
        for who, measured in (("ours", ours), ("raw", raw))
        for which, clock in ((0, ""), (1, "wall_"))
    }
    return {
        "ratio": round(figures["ours_ms"] / figures["raw_ms"], 3),
        "wall_ratio": round(figures["ours_wall_ms"] / figures["raw_wall_ms"], 3),
        "runs": len(known),
        **figures,
    }


def _timed(settings: Settings, work: Callable[[], object]) -> tuple[float, float]:
    """Return CPU seconds of this process and the server, and wall seconds."""
    import time

    server = _server(settings)
    before, wall = time.process_time() + _cpu(server), time.perf_counter()
    work()
    return time.process_time() + _cpu(server) - before, time.perf_counter() - wall


def _server(settings: Settings) -> psutil.Process:
    import psutil

    from flows import _services

    (state,) = (s for s in _services.status(of=settings) if s.name == "mlflow")
    return psutil.Process(state.pid)


def _cpu(process: psutil.Process) -> float:
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def _tell(log: MlflowRunLog, made: Made) -> str:
    """Tell our log of the flow: 15 tables, three models, a selection, an evaluation."""
    started = RunRecord(id=uuid.uuid4().hex, flow="flow", started_at=_START, actor="ada")
    parent = log.run_started(started, {"nodes": _NODES})

    def node(name: str, output: Artifact, inputs: Mapping[str, Artifact | list[Artifact]]) -> None:
        invocation = InvocationRecord(
            id=uuid.uuid4().hex,
            run_id=started.id,
            node=name,
            operator=name,
            state="executed",
            key="k" * 64,
            key_parts=[{"kind": "code", "name": "structure", "digest": name}],
            started_at=_START + timedelta(seconds=1),
            seconds=1.0,
            parameters={f"parameter_{n}": n for n in range(10)},
        )
        log.node_finished(started, invocation, {"result": output}, inputs)

    for number, table in enumerate(made.tables):
        node(f"table_{number}", table, {"table": made.tables[0]} if number else {})
    fitted_on = {"train": made.train, "validation": made.validation}
    for number, model in enumerate(made.models):
        node(f"train_{number}", model, fitted_on)
    selected = SelectedModel.chosen(made.models[0])
    node("select", selected, {"candidates": list(made.models)})
    node("evaluate", made.evaluation, {"model": selected, "test": made.test})
    log.run_finished(started, "completed", "", {"executed": _NODES})
    return parent


def _write_raw(
    client: MlflowClient, known: list[Recorded], contents_of: Made | None, home: Path
) -> list[str]:
    """Write runs as they are known, the last one as the parent of the others."""
    parent = _created(client, known[-1])
    written = [parent]
    for child in known[:-1]:
        run_id = _created(client, child, parent=parent)
        _write_model(client, child, run_id, home)
        _finish(client, child, run_id)
        written.append(run_id)
    _finish(client, known[-1], parent)
    if contents_of is not None:
        _make_contents(contents_of)
    return written


def _created(client: MlflowClient, known: Recorded, parent: str | None = None) -> str:
    tags = dict(known.run.data.tags) | ({"mlflow.parentRunId": parent} if parent else {})
    created = client.create_run(
        known.run.info.experiment_id,
        start_time=known.run.info.start_time,
        tags=tags,
        run_name=known.run.info.run_name,
    )
    return str(created.info.run_id)


def _write_model(client: MlflowClient, known: Recorded, run_id: str, home: Path) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model as MlflowModel

    from serving._models import write_mlflow_model

    model = known.model
    if model is None:
        return
    logged = client.create_logged_model(
        experiment_id=known.run.info.experiment_id,
        name=str(known.run.info.run_name),
        source_run_id=run_id,
        tags={"headrace.digest": model.digest},
        params={key: str(value) for key, value in model.card.parameters.items()},
        model_type=model.card.flavor,
    )
    directory = home / uuid.uuid4().hex
    write_mlflow_model(model, directory)
    described = MlflowModel.load(directory)
    described.model_id, described.run_id = logged.model_id, run_id
    described.save(directory / "MLmodel")
    client.log_model_artifacts(logged.model_id, str(directory))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])


def _finish(client: MlflowClient, known: Recorded, run_id: str) -> None:
    from mlflow.entities import Metric, Param

    if known.run.inputs.dataset_inputs:
        client.log_inputs(run_id, datasets=known.run.inputs.dataset_inputs)
    at = known.run.info.end_time
    client.log_batch(
        run_id,
        metrics=[Metric(k, v, at, 0) for k, v in known.run.data.metrics.items()],
        params=[Param(k, v) for k, v in known.run.data.params.items()],
    )
    if any(known.files.iterdir()):
        client.log_artifacts(run_id, str(known.files))
    client.set_terminated(run_id, end_time=at)


def _make_contents(made: Made) -> None:
    """Draw and measure what our log draws and measures."""
    from flows._tracking.plots import About, draw_all
    from operators.scoring import measure

    for model in made.models:
        card = model.card
        measure(model)
        about = About(on="validation", rows=card.validated_on.get("rows"), metrics=card.metrics)
        draw_all(about, curves=card.curves, importance=card.importance, slices=card.slices)
    document = made.evaluation.document
    about = About(on="test", rows=document.get("rows"), metrics=document["metrics"])
    curves = {**document["curves"], "calibration": document["calibration"]}
    draw_all(about, curves=curves, importance={}, slices=document["slices"])


def _read_back(client: MlflowClient, parent: str, made: Made, to: Path) -> list[Recorded]:
    """Return the parent and its children as MLflow has them."""
    whole = client.get_run(parent)
    found = client.search_runs(
        [whole.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    models = {model.digest: model for model in made.models}
    known = []
    for recorded in (whole, *found):
        files = to / recorded.info.run_id
        files.mkdir(parents=True)
        for entry in client.list_artifacts(recorded.info.run_id):
            client.download_artifacts(recorded.info.run_id, entry.path, str(files))
        model = models.get(recorded.data.params.get("model.digest", ""))
        known.append(Recorded(run=recorded, model=model, files=files))
    return known


def _check_same(client: MlflowClient, known: list[Recorded], written: list[str]) -> None:
    """Refuse to compare what does not leave the same behind."""
    for recorded, run_id in zip(known, written, strict=True):
        raw: Any = client.get_run(run_id)
        ours = recorded.run
        same = (
            ours.data.params == raw.data.params
            and ours.data.metrics.keys() == raw.data.metrics.keys()
            and ours.data.tags.keys() == raw.data.tags.keys()
            and len(ours.inputs.dataset_inputs) == len(raw.inputs.dataset_inputs)
            and len(ours.outputs.model_outputs) == len(raw.outputs.model_outputs)
            and len(client.list_artifacts(ours.info.run_id)) == len(client.list_artifacts(run_id))
        )
        if not same:
            raise RuntimeError(f"The baseline wrote another '{ours.info.run_name}' than ours.")


def _without_plots(model: Model) -> Model:
    card = replace(model.card, curves={}, importance={}, slices=(), example={})
    return Model.of({"model.ubj": model.read("model.ubj")}, card=card, notes=model.notes)


def _short(evaluation: Evaluation) -> Evaluation:
    left_out = ("curves", "calibration", "slices")
    return Evaluation.of({k: v for k, v in evaluation.document.items() if k not in left_out})


def _made() -> Made:
    from operators.evaluate import evaluate
    from operators.select import select
    from operators.train_xgboost import train_xgboost

    train, validation = _flights(TrainSet, 1, 400), _flights(ValidationSet, 2, 200)
    test = _flights(TestSet, 3, 200)
    models = [
        train_xgboost(train, validation, n_estimators=20, max_depth=depth) for depth in (1, 2, 3)
    ]
    selected, _ = select(models, validation)
    return Made(
        tables=tuple(_flights(Table, 10 + number, 50) for number in range(_NODES - 5)),
        train=train,
        validation=validation,
        test=test,
        models=tuple(models),
        evaluation=evaluate(selected, test),
    )


def _flights(kind: Any, seed: int, rows: int) -> Any:
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    wind = random.normal(8, 3, rows)
    decided_at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows) * 6, "h")
    frame = pd.DataFrame(
        {
            "flight": [f"{seed}/{n}" for n in range(rows)],
            "decided_at": decided_at,
            "known_at": decided_at + pd.Timedelta(days=1),
            "late": (wind + random.normal(0, 2, rows) > 9).astype(int),
            "wind": wind,
        }
    )
    return kind[Late].of(frame)
