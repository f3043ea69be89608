"""When MLflow is away, wrong, or a process is killed, nothing is lost and the flow goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows._tracking.sending import send
from flows._tracking.stage import NewRun, Stage, StagedModel
from flows.tracking import MlflowRunLog
from headrace import Model
from headrace.errors import ServiceError
from serving._mlflow import server_at
from serving._models import write_mlflow_model

_PREAMBLE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from flows.tracking import MlflowRunLog
from headrace.lineage import InvocationRecord, RunRecord
url, home, flow = sys.argv[1:]
run = RunRecord(id="r1", flow=flow, started_at=datetime.now(UTC))
log = MlflowRunLog(url, home=Path(home))
"""
_KILLED = (
    _PREAMBLE
    + """
import os, signal
print(log.run_started(run, {}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
)
_REUSES = (
    _PREAMBLE
    + """
from headrace import Table
from headrace.contents import TableContent
from headrace.schemas import Column, TableSchema
schema = TableSchema(name="Wind", columns=(Column(name="wind", dtype="float"),))
table = Table.holding(
    TableContent(load=lambda: None, schema=schema, known_digest="d" * 64, known_rows=2)
)
log.run_started(run, {"nodes": 1})
invocation = InvocationRecord(
    id="i1", run_id="r1", node="ingest", operator="ingest", state="cached",
    started_at=run.started_at,
)
log.node_finished(run, invocation, {"result": table}, {})
log.run_finished(run, "completed", "", {"cached": 1})
print([name for name in ("mlflow", "pandas", "matplotlib", "numpy") if name in sys.modules])
"""
)


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_server_that_is_down_is_said_before_anything_runs(tmp_path: Path, story: Any) -> None:
    told = story(MlflowRunLog("http://127.0.0.1:9", home=tmp_path))

    with pytest.raises(ServiceError) as refused:
        told.start()

    assert str(refused.value) == (
        "The MLflow server at http://127.0.0.1:9 does not answer: [Errno 111] Connection refused.\n"
        "  Fix: Start it with `headrace up`, or name the one that you use: HEADRACE_MLFLOW_URL in "
        "the environment, or mlflow_url in headrace.toml."
    )
    told.finish("failed", str(refused.value))  # as the kernel does, whatever failed


def test_an_address_of_another_server_is_said(servers: Any, tmp_path: Path, story: Any) -> None:
    told = story(MlflowRunLog(servers.prefect_url, home=tmp_path))

    with pytest.raises(ServiceError) as refused:
        told.start()

    assert str(refused.value) == (
        f"What answers at {servers.prefect_url} is not an MLflow server: GET "
        "/experiments/get-by-name gave status 404.\n"
        "  Fix: Name the address of an MLflow server: HEADRACE_MLFLOW_URL in the environment, or "
        "mlflow_url in headrace.toml."
    )


def test_a_deleted_experiment_is_said_with_how_to_restore_it(
    story: Callable[..., Any], client: Any, mlflow_url: str
) -> None:
    told = story()
    experiment_id = client.create_experiment(told.run.flow)
    client.delete_experiment(experiment_id)

    with pytest.raises(ServiceError) as refused:
        told.start()

    assert str(refused.value) == (
        f"The MLflow experiment '{told.run.flow}' was deleted.\n"
        f"  Fix: Restore it: `mlflow experiments restore --experiment-id {experiment_id}` with "
        f"MLFLOW_TRACKING_URI={mlflow_url}."
    )


def test_what_happens_while_the_server_is_away_is_sent_with_the_next_run(
    story: Callable[..., Any], made: Any, client: Any, gateway: Any, tmp_path: Path
) -> None:
    log = MlflowRunLog(gateway.url, home=tmp_path)
    told = story(log).start()
    fitted_on = {"train": made.train, "validation": made.validation}
    told.node("shallow", {"result": made.shallow}, fitted_on)
    gateway.close()

    told.node("deep", {"result": made.deep}, fitted_on)
    told.node("evaluate", {"result": made.evaluation}, {"test": made.test})
    told.finish()
    still_open = client.get_run(told.mlflow_run_id).info.status
    gateway.open()
    again = story(log).start()
    again.finish()

    assert still_open == "RUNNING"
    parent = client.get_run(told.mlflow_run_id)
    assert parent.info.status == "FINISHED"
    assert "test_auc" in parent.data.metrics
    assert "waits to be sent to MLflow" in parent.data.tags["mlflow.note.content"]
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{told.mlflow_run_id}'"
    )
    assert {child.info.run_name for child in children} == {"shallow", "deep"}
    (model,) = client.search_logged_models(
        [parent.info.experiment_id], f"tags.`headrace.digest` = '{made.deep.digest}'"
    )
    assert model.status.name == "READY"
    assert {e.path for e in client.list_artifacts(told.mlflow_run_id)} == {
        "evaluation",
        "roc.png",
        "precision_recall.png",
        "calibration.png",
        "slices.png",
    }
    assert list((tmp_path / "spool" / "mlflow").glob("*/stage.json")) == []


def test_a_server_that_comes_back_before_the_end_gets_everything_at_the_end(
    story: Callable[..., Any], made: Any, client: Any, gateway: Any, tmp_path: Path
) -> None:
    told = story(MlflowRunLog(gateway.url, home=tmp_path)).start()
    fitted_on = {"train": made.train, "validation": made.validation}
    gateway.close()
    told.node("deep", {"result": made.deep}, fitted_on)
    gateway.open()

    told.finish()

    parent = client.get_run(told.mlflow_run_id)
    assert parent.info.status == "FINISHED"
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{told.mlflow_run_id}'"
    )
    assert [child.info.run_name for child in children] == ["deep"]


def test_a_record_that_the_server_refuses_is_set_aside_and_the_flow_goes_on(
    story: Callable[..., Any],
    made: Any,
    client: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = story().start()
    client.delete_run(told.mlflow_run_id)

    told.node("evaluate", {"result": made.evaluation}, {"test": made.test})
    told.finish()

    assert len(list((tmp_path / "spool" / "mlflow" / "refused").glob("*/stage.json"))) == 2
    assert "must be in the 'active' state" in caplog.text


def test_a_model_that_cannot_be_sent_is_marked_as_failed_and_so_is_its_run(
    story: Callable[..., Any], made: Any, client: Any, mlflow_url: str, tmp_path: Path
) -> None:
    told = story().start()
    experiment_id = client.get_run(told.mlflow_run_id).info.experiment_id
    write_mlflow_model(made.deep, tmp_path / "model")
    (tmp_path / "model" / "MLmodel").unlink()
    stage = Stage(
        new_run=NewRun(experiment_id=experiment_id, name="train", started_ms=0, tags={}),
        model=StagedModel(name="train", flavor="xgboost", params={}, tags={}),
    )

    with pytest.raises(Exception, match="MLmodel"):
        send(server_at(mlflow_url), stage, tmp_path)

    (model,) = client.search_logged_models([experiment_id])
    assert model.status.name == "FAILED"
    assert client.get_run(stage.run_id).info.status == "FAILED"


def test_a_model_whose_process_was_killed_is_closed_by_the_next_run(
    story: Callable[..., Any], client: Any, mlflow_url: str, tmp_path: Path
) -> None:
    told = story()
    _python(_KILLED, mlflow_url, str(tmp_path), told.run.flow)
    experiment_id = client.get_experiment_by_name(told.run.flow).experiment_id
    (orphan,) = client.search_runs([experiment_id])
    model = client.create_logged_model(
        experiment_id, name="train", source_run_id=orphan.info.run_id
    )

    told.start().node("ingest")

    assert client.get_logged_model(model.model_id).status.name == "FAILED"


def test_a_run_whose_process_was_killed_is_closed_by_the_next_one(
    story: Callable[..., Any], client: Any, mlflow_url: str, tmp_path: Path
) -> None:
    told = story()
    killed = _python(_KILLED, mlflow_url, str(tmp_path), told.run.flow)
    orphan = killed.stdout.strip()
    assert killed.returncode == -signal.SIGKILL
    assert client.get_run(orphan).info.status == "RUNNING"
    running = story().start()

    told.start().node("ingest")

    assert client.get_run(orphan).info.status == "KILLED"
    assert client.get_run(running.mlflow_run_id).info.status == "RUNNING"
    assert client.get_run(told.mlflow_run_id).info.status == "RUNNING"


def test_a_run_that_was_killed_before_its_record_was_known_goes_on_in_that_record(
    story: Callable[..., Any], client: Any, mlflow_url: str, tmp_path: Path
) -> None:
    flow = story().run.flow
    killed = _python(_KILLED, mlflow_url, str(tmp_path), flow).stdout.strip()

    again = story(id="r1").start()

    assert again.mlflow_run_id == killed
    assert client.get_run(killed).info.status == "RUNNING"


def test_a_child_that_was_half_sent_by_a_killed_process_is_completed_not_doubled(
    story: Callable[..., Any], made: Any, client: Any
) -> None:
    told = story().start()
    experiment_id = client.get_experiment_by_name(told.run.flow).experiment_id
    tags = {"headrace.invocation": "i1", "mlflow.parentRunId": told.mlflow_run_id}
    half = client.create_run(experiment_id, tags=tags, run_name="train").info.run_id
    client.set_terminated(half, status="KILLED")
    card = replace(made.deep.card, extra={"only": uuid.uuid4().hex})
    model = Model.of({"model.ubj": made.deep.read("model.ubj")}, card=card)
    fitted_on = {"train": made.train, "validation": made.validation}

    told.node("train", {"result": model}, fitted_on, state="cached", reused_from="i1")
    told.finish()

    runs = client.search_runs([experiment_id])
    assert {run.info.run_id for run in runs} == {told.mlflow_run_id, half}
    assert {run.info.status for run in runs} == {"FINISHED"}
    (logged,) = client.search_logged_models([experiment_id])
    assert (logged.source_run_id, logged.status.name) == (half, "READY")


def test_a_run_that_reuses_everything_imports_no_heavy_library(
    story: Callable[..., Any], client: Any, mlflow_url: str, tmp_path: Path
) -> None:
    flow = story().run.flow

    done = _python(_REUSES, mlflow_url, str(tmp_path), flow)

    assert done.stdout.strip() == "[]", done.stderr
    experiment = client.get_experiment_by_name(flow)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["ingest"]
