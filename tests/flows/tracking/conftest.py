"""Real records for a real MLflow server: a tiny flow on 950 made-up flights."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest

from flows.tracking import MlflowRunLog
from headrace import (
    Artifact,
    Col,
    Evaluation,
    Model,
    Report,
    Schema,
    SelectedModel,
    Table,
    TestSet,
    TrainSet,
    ValidationSet,
)
from headrace.lineage import InvocationRecord, RunRecord
from operators.evaluate import evaluate
from operators.select import select
from operators.train_xgboost import train_xgboost

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from headrace.settings import Settings

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Late(Schema, Protocol):
    flight: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]
    wind: Annotated[float | None, Col(role="feature", unit="m/s", known_at="decided_at")]
    carrier: Annotated[str, Col(role="feature", known_at="decided_at")]


def _flights(kind: Any, seed: int, rows: int) -> Any:
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
            "carrier": random.choice(["AA", "UA"], rows),
        }
    )
    return kind[Late].of(frame)


@dataclass(frozen=True, kw_only=True)
class Made:
    """These are the artifacts of a flow, made by the real operators."""

    flights: Table[Late]
    train: TrainSet[Late]
    validation: ValidationSet[Late]
    test: TestSet[Late]
    shallow: Model
    deep: Model
    selected: SelectedModel
    choice: Report
    evaluation: Evaluation


@pytest.fixture(scope="session")
def made() -> Made:
    train, validation = _flights(TrainSet, 1, 200), _flights(ValidationSet, 2, 300)
    test = _flights(TestSet, 3, 400)
    shallow = train_xgboost(train, validation, n_estimators=5, max_depth=1)
    deep = train_xgboost(train, validation, n_estimators=5, max_depth=3)
    selected, choice = select([shallow, deep], validation)
    return Made(
        flights=_flights(Table, 4, 50),
        train=train,
        validation=validation,
        test=test,
        shallow=shallow,
        deep=deep,
        selected=selected,
        choice=choice,
        evaluation=evaluate(selected, test, slices=["carrier"]),
    )


class Story:
    """This tells a log what happens in a run, as the kernel does."""

    def __init__(self, log: MlflowRunLog, run: RunRecord) -> None:
        self.log, self.run, self.mlflow_run_id = log, run, ""
        self.invocations: dict[str, InvocationRecord] = {}

    def start(self, **plan: Any) -> Story:
        self.mlflow_run_id = self.log.run_started(self.run, plan)
        return self

    def node(
        self,
        node: str,
        outputs: dict[str, Artifact] | None = None,
        inputs: dict[str, Artifact | list[Artifact]] | None = None,
        **changes: Any,
    ) -> InvocationRecord:
        known: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "run_id": self.run.id,
            "node": node,
            "operator": node,
            "state": "executed",
            "key": "k" * 64,
            "key_parts": [
                {"kind": "code", "name": "structure", "digest": f"code of {node}"},
                {"kind": "package", "name": "xgboost", "digest": "3.2.0"},
            ],
            "started_at": START + timedelta(seconds=1),
            "seconds": 2.5,
            "message": f"the code of '{node}' changed",
        }
        invocation = self.invocations[node] = InvocationRecord(**known | changes)
        self.log.node_finished(self.run, invocation, outputs or {}, inputs or {})
        return invocation

    def whole_flow(self, made: Made, reusing: Story | None = None) -> None:
        """Tell the story of the flight flow: ingest, train twice, select, evaluate."""

        def how(node: str) -> dict[str, Any]:
            if reusing is None:
                return {}
            made_by = f"made by run {reusing.run.id[:8]}"
            reused_from = reusing.invocations[node].id
            return {"state": "cached", "reused_from": reused_from, "message": made_by}

        fitted_on: dict[str, Any] = {"train": made.train, "validation": made.validation}
        self.node("ingest", {"result": made.flights}, **how("ingest"))
        for name, model in (("shallow", made.shallow), ("deep", made.deep)):
            parameters = {"max_depth": model.card.parameters["max_depth"], "search": {"rounds": 5}}
            self.node(name, {"result": model}, fitted_on, parameters=parameters, **how(name))
        self.node(
            "select",
            {"selected": made.selected, "report": made.choice},
            {"candidates": [made.shallow, made.deep], "validation": made.validation},
            **how("select"),
        )
        self.node(
            "evaluate",
            {"result": made.evaluation},
            {"model": made.selected, "test": made.test},
            **how("evaluate"),
        )

    def finish(self, state: str = "completed", message: str = "", **summary: Any) -> None:
        self.log.run_finished(self.run, state, message, summary)


@pytest.fixture(scope="session")
def mlflow_url(servers: Settings) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of itself while it is imported
        import mlflow.pyfunc  # noqa: F401
    return servers.mlflow_url


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow_url)


@pytest.fixture(scope="session")
def recorded(mlflow_url: str, made: Made, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The whole flow, recorded once; for tests that only look."""
    log = MlflowRunLog(mlflow_url, home=tmp_path_factory.mktemp("recorded"))
    run = RunRecord(
        id=uuid.uuid4().hex,
        flow=f"flow-{uuid.uuid4().hex[:8]}",
        started_at=START,
        actor="ada",
        prefect_run_id="0192-abc",
    )
    told = Story(log, run).start()
    told.whole_flow(made)
    told.finish()
    return told


@pytest.fixture
def log(mlflow_url: str, tmp_path: Path) -> MlflowRunLog:
    return MlflowRunLog(mlflow_url, home=tmp_path)


@pytest.fixture
def story(log: MlflowRunLog) -> Callable[..., Story]:
    """Return a function that begins the story of a run, each test in an experiment of its own."""
    flow = f"flow-{uuid.uuid4().hex[:8]}"

    def begin(log: MlflowRunLog = log, **changes: Any) -> Story:
        run = RunRecord(id=uuid.uuid4().hex, flow=flow, started_at=START, actor="ada", seed=7)
        return Story(log, RunRecord(**vars(run) | changes))

    return begin


@dataclass
class Gateway:
    """This stands before the MLflow server, so that it can be out of reach; it counts requests."""

    url: str
    target: tuple[str, int]
    listener: socket.socket
    requests: list[str] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    is_open: bool = True

    def close(self) -> None:
        self.is_open = False
        self._drop()

    def open(self) -> None:
        self.is_open = True

    def count(self, path: str) -> int:
        return sum(path in line for line in self.requests)

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.is_open:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.connections += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def stop(self) -> None:
        self.listener.close()
        self._drop()

    def _drop(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                first = data.split(b"\r\n", 1)[0]
                if first.endswith(b"HTTP/1.1"):
                    self.requests.append(first.decode())
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gateway(mlflow_url: str) -> Iterator[Gateway]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = urlsplit(mlflow_url)
    made = Gateway(
        url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        target=(str(address.hostname), int(address.port or 80)),
        listener=listener,
    )
    threading.Thread(target=made.serve, daemon=True).start()
    yield made
    made.stop()
