"""This module is the door to MLflow tracking: it records a flow run and the models it trains.

One run in MLflow for a flow run, in the experiment of the flow's name, and one child for each node
that trained or tuned a model. What was reused gets no child: the parent links the run that made
it. The thread of a node that was executed sends its record, so that what is finished is in MLflow
even when the process is killed next; what was reused is looked up behind the nodes. When the
server goes away while a flow runs, the flow goes on; records wait on disk and are sent with the
next run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows._tracking import nodes, notes, records, stages
from flows._tracking.delivery import catch_up, deliver
from flows._tracking.open_run import OpenRun
from flows._tracking.sending import send
from flows._tracking.spool import Spool
from flows._tracking.stage import Metric, NewRun, RunStatus, Stage
from flows._tracking.sweep import began_here, process_tags, sweep
from headrace.clock import current_clock
from headrace.errors import ServiceError
from headrace.settings import settings
from serving._mlflow import MlflowRefusal, server_at

if TYPE_CHECKING:
    from headrace.artifacts import Artifact
    from headrace.lineage import InvocationRecord, RunRecord
    from headrace.settings import Settings
    from serving._mlflow import MlflowServer

_log = logging.getLogger("headrace.tracking")
_STATUS: dict[str, RunStatus] = {
    "completed": "FINISHED",
    "failed": "FAILED",
    "paused": "SCHEDULED",
}


@dataclass(frozen=True, kw_only=True)
class RunLinks:
    """These are the addresses at which a recorded run can be looked at.

    Args:
        run: Page of the flow's run.
        experiment: List of the flow's runs, where they are compared.
    """

    run: str
    experiment: str


class MlflowRunLog:
    """This log of runs keeps them in MLflow; the kernel tells it what happens.

    Args:
        url: Address of the MLflow server; that of the settings by default.
        home: Folder of our state, where records wait; that of the settings by default.
        prefect_url: Address of the Prefect server, for links; that of the settings by default.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Path | None = None,
        prefect_url: str | None = None,
    ) -> None:
        self._server = server_at(url or settings().mlflow_url)
        self._spool = Spool((home or settings().home) / "spool" / "mlflow")
        self._prefect_url = prefect_url or settings().prefect_url
        self._open: dict[str, OpenRun] = {}
        self._links: dict[str, RunLinks] = {}

    def run_started(self, run: RunRecord, plan_summary: Mapping[str, Any]) -> str:
        """Open the flow's run in MLflow and return its id there.

        Args:
            run: The run; one that has an `mlflow_run_id` goes on in it.
            plan_summary: What the plan says; numbers and text become tags.

        Raises:
            ServiceError: The server does not answer, or it is no MLflow server. Nothing ran yet.
        """
        server = self._server
        self._spool.send_all(server)
        experiment_id = server.experiment(run.flow)
        new_run = NewRun(
            experiment_id=experiment_id,
            name=f"{run.flow} {run.id[:8]}",
            started_ms=records.milliseconds(run.started_at),
            tags=self._tags(run, plan_summary),
        )
        known = self._known(run, experiment_id)
        stage = Stage(
            new_run=new_run,
            run_id=known,
            params={} if known else records.flattened(run.parameters),
            tags=process_tags() if known else {},  # another process goes on in it
            status="RUNNING" if known else None,
        )
        mlflow_run_id = send(server, stage, None)
        self._open[run.id] = OpenRun(
            run=run,
            server=server,
            experiment_id=experiment_id,
            mlflow_run_id=mlflow_run_id,
            prefect_url=self._prefect_page(run),
            spool=self._spool,
            artifact_uri=stage.artifact_uri,
        )
        self._open[run.id].later(lambda: _swept(server, experiment_id))
        self._links[run.id] = RunLinks(
            run=server.run_url(experiment_id, mlflow_run_id),
            experiment=server.experiment_url(experiment_id),
        )
        return mlflow_run_id

    def node_finished(
        self,
        run: RunRecord,
        invocation: InvocationRecord,
        outputs: Mapping[str, Artifact],
        inputs: Mapping[str, Artifact | list[Artifact]],
    ) -> None:
        """Record a node; whatever goes wrong here is said and does not fail the flow.

        Args:
            run: The run, which was started.
            invocation: What was called and what became of it.
            outputs: What it made or reused; empty when it failed.
            inputs: What it read.
        """
        opened = self._open[run.id]

        def record() -> None:
            _record(opened, invocation, outputs, inputs)

        if invocation.state == "cached":
            opened.later(record)
        else:
            opened.caught_up()
            record()

    def run_finished(
        self, run: RunRecord, state: str, message: str, summary: Mapping[str, Any]
    ) -> None:
        """Close the flow's run; whatever goes wrong here is said and does not fail the flow.

        Args:
            run: The run; one that could not be started is passed over.
            state: "completed", "failed" or "paused"; anything else is shown as killed.
            message: Why it failed, else empty.
            summary: What happened; numbers and text become tags, since no model is better by them.
        """
        opened = self._open.pop(run.id, None)
        if opened is None:  # it could not be started
            return
        try:
            opened.caught_up()
            catch_up(opened)
            folder = stages.plots_at_root(opened)
            stage = _end_of(opened, run, state, message, summary)
            stage.files = folder is not None
            deliver(opened, stage, folder)
        except Exception:
            _log.exception("The end of run '%s' could not be recorded in MLflow.", run.id)

    def links(self, run_id: str) -> RunLinks:
        """Return where a run can be looked at that this log was told of, by the flow run's id."""
        return self._links[run_id]

    def _known(self, run: RunRecord, experiment_id: str) -> str | None:
        """Return the id of a run that goes on, None when it is new or MLflow has it no more."""
        if not run.mlflow_run_id and began_here(run.started_at):
            return None
        if not run.mlflow_run_id:
            return _begun(self._server, run, experiment_id)
        try:
            found = self._server.get("/runs/get", run_id=run.mlflow_run_id)["run"]
        except MlflowRefusal:
            return None
        return run.mlflow_run_id if found["info"]["lifecycle_stage"] == "active" else None

    def _tags(self, run: RunRecord, plan_summary: Mapping[str, Any]) -> dict[str, str]:
        tags = {
            "mlflow.user": run.actor,
            "mlflow.source.name": run.flow,
            "headrace.role": "flow",
            "headrace.run": f"run:{run.id}",
            "headrace.origin": run.origin,
            "headrace.seed": str(run.seed),
            **_text_in(plan_summary, "headrace.plan."),
            **_counts_in(plan_summary, "headrace.plan."),
            **process_tags(),
        }
        if run.prefect_run_id:
            tags["prefect.flow_run_id"] = run.prefect_run_id
            tags["prefect.flow_run_url"] = self._prefect_page(run) or ""
        return {key: records.tag(value) for key, value in tags.items() if value}

    def _prefect_page(self, run: RunRecord) -> str | None:
        if not run.prefect_run_id:
            return None
        return f"{self._prefect_url}/runs/flow-run/{run.prefect_run_id}"


def keep_records(of: Settings | None = None) -> tuple[int, int]:
    """Send what waits for the MLflow server, and close what killed processes left open there.

    Args:
        of: Settings to follow; those of this process by default.

    Returns:
        How many records were sent, and how many runs closed.

    Raises:
        ServiceError: The server does not answer.
    """
    of = of or settings()
    server = server_at(of.mlflow_url)
    sent = Spool(of.home / "spool" / "mlflow").send_all(server)
    return sent, len(sweep(server, server.experiment_ids()))


def _record(
    opened: OpenRun,
    invocation: InvocationRecord,
    outputs: Mapping[str, Artifact],
    inputs: Mapping[str, Artifact | list[Artifact]],
) -> None:
    try:
        remark = nodes.record(opened, invocation, outputs, inputs)
    except Exception as error:
        _log.exception("Node '%s' could not be recorded in MLflow.", invocation.node)
        remark = f"could not be recorded: {error}"
    opened.add(line=notes.NodeLine.of(invocation, remark.split("\n", 1)[0]))


def _swept(server: MlflowServer, experiment_id: str) -> None:
    try:
        sweep(server, [experiment_id])
    except ServiceError:  # the keeper does it again, and so does the next run
        _log.debug("What killed processes left open could not be closed.", exc_info=True)


def _begun(server: MlflowServer, run: RunRecord, experiment_id: str) -> str | None:
    """Return the run that a process began and was killed before it could write down its id."""
    answer = server.post(
        "/runs/search",
        experiment_ids=[experiment_id],
        filter=f"tags.`headrace.run` = 'run:{run.id}' and tags.`headrace.role` = 'flow'",
        max_results=1,
    )
    return next((str(found["info"]["run_id"]) for found in answer.get("runs", ())), None)


def _end_of(
    opened: OpenRun, run: RunRecord, state: str, message: str, summary: Mapping[str, Any]
) -> Stage:
    at_ms = records.milliseconds(run.ended_at or current_clock().now())
    tags = opened.tags | _text_in(summary, "headrace.") | _counts_in(summary, "headrace.")
    tags["headrace.message"] = message
    tags["mlflow.note.content"] = notes.flow_note(
        run,
        opened.lines,
        results=opened.results,
        prefect_url=opened.prefect_url,
        message=message,
    )
    return Stage(
        run_id=opened.mlflow_run_id,
        metrics=[
            Metric(key=key, value=value, at_ms=at_ms) for key, value in opened.metrics.items()
        ],
        tags={key: records.tag(value) for key, value in tags.items() if value},
        datasets=opened.datasets,
        status=_STATUS.get(state, "KILLED"),
        ended_ms=at_ms,
    )


def _text_in(summary: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return {
        records.name(prefix + key): value
        for key, value in summary.items()
        if isinstance(value, str)
    }


def _counts_in(summary: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return {prefix + key: f"{number:g}" for key, number in records.numbers_in(summary).items()}
