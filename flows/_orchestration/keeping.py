"""This module keeps no run running for ever: it closes what a killed process left open.

A process that is killed says nothing to Prefect, MLflow or lineage. On its own machine it can be
seen that it is gone, at once and without a doubt: a heartbeat that is missed may as well be a
laptop that slept. So whoever shows runs looks every few seconds: the Prefect server that `headrace
up` starts, and the flow runner, one of them at a time. `docs/adr/0025` says what that costs.
"""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.errors import HeadraceError, UnknownNameError
from headrace.execution.abandoned import LOST, close_abandoned, is_lost
from headrace.settings import Settings, settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    from headrace.lineage import Lineage, RunRecord

EVERY_SECONDS = 10.0
# from Prefect's "Pending" until the first line in lineage; a loaded machine may need a minute
_STARTING_SECONDS = 300.0
# the server records what task runs say a moment after they say it
_RECORDING_SECONDS = 30.0
_CRASHED_LOOKED_AT = 20  # the newest
_log = logging.getLogger("headrace.keeper")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """This is what one look has closed.

    Args:
        lost: Runs whose process was gone, by id.
        corrected: Runs that Prefect showed in another state than they are in, by their id there.
        sent: Records that waited for MLflow and are there now.
    """

    lost: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    sent: int = 0


def start_keeper(of: Settings | None = None, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Look every few seconds, in a thread of this process, for as long as it lives."""
    arguments = (of or settings(), every_seconds)
    threading.Thread(target=_keep_on, args=arguments, name="keeper", daemon=True).start()


def _keep_on(of: Settings, every_seconds: float) -> None:
    resting = threading.Event()
    while not resting.wait(every_seconds):
        try:
            kept = keep(of)
        except Exception as error:  # a server that is away is asked again at the next look
            _log.debug("The keeper could not look: %s", error)
            continue
        for run_id in kept.lost:
            _log.warning("run:%s was lost: %s.", run_id[:12], LOST)


def keep(of: Settings | None = None) -> Kept:
    """Look once: close lost runs everywhere, and send what waits for MLflow.

    Args:
        of: Settings to follow; those of this process by default.

    Returns:
        What was closed; nothing when another process is looking, or nothing ever ran here.
    """
    from headrace.lineage import Lineage

    of = of or settings()
    with _alone(of) as alone:
        if not alone or not _has_lineage(of):
            return Kept()
        lineage = Lineage(of.database_url)
        try:
            lost = close_abandoned(lineage)
            corrected = _correct_prefect(lineage)
        finally:
            lineage.close()
        return Kept(lost=lost, corrected=corrected, sent=_keep_mlflow(of, bool(lost or corrected)))


def _correct_prefect(lineage: Lineage) -> tuple[str, ...]:
    """Give runs that Prefect shows as going on the state that they are in."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    def in_state(*types: StateType) -> FlowRunFilter:
        return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*types])))

    going_on = in_state(StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
    crashed = in_state(StateType.CRASHED)
    corrected = []
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=going_on)
        # the runner calls a run crashed that could not tell a server that was away how it ended
        found += [
            run
            for run in client.read_flow_runs(
                flow_run_filter=crashed, sort=FlowRunSort.END_TIME_DESC, limit=_CRASHED_LOOKED_AT
            )
            if (known := _run_of(lineage, run)) is not None and known.state == "completed"
        ]
        for shown in found:
            actual = actual_state(lineage, shown)
            if actual is None:
                continue
            client.set_flow_run_state(shown.id, actual, force=True)
            corrected.append(str(shown.id))
        _close_task_runs(client)
    return tuple(corrected)


def actual_state(lineage: Lineage, shown: FlowRun) -> State | None:
    """Return the state that a run should be shown in; None when Prefect is right."""
    from prefect.states import Cancelled, Completed, Crashed, Failed

    run = _run_of(lineage, shown)
    if run is None:
        late = "headrace" in shown.tags and _seconds_in_state(shown) > _STARTING_SECONDS
        return Crashed(message=f"It never began: {LOST}.") if late else None
    if run.state == "running" or not is_lost(run):
        return None
    if _begins_again(run, shown) and _seconds_in_state(shown) <= _STARTING_SECONDS:
        return None
    if run.state == "completed":
        return Completed(message=_told(run))
    if run.state == "failed":
        return Failed(message=f"{_told(run)}\n{run.message}")
    if run.state == "cancelled":
        return Cancelled(message=_told(run))
    if run.state == "paused":
        return Crashed(
            message=f"{_told(run)}: {LOST} while it waited for an answer. "
            f"Go on with `headrace resume run:{run.id[:12]}`."
        )
    return Crashed(
        message=f"{_told(run)}: {LOST}. Go on with Retry, or `headrace resume run:{run.id[:12]}`."
    )


def _told(run: RunRecord) -> str:
    return f"run:{run.id[:12]}"


def _run_of(lineage: Lineage, shown: FlowRun) -> RunRecord | None:
    try:
        return lineage.run(shown.id.hex)
    except UnknownNameError:
        return next(iter(lineage.runs_in_prefect(str(shown.id))), None)


def _begins_again(run: RunRecord, shown: FlowRun) -> bool:
    """Say whether Prefect shows an attempt that began after the last one had ended."""
    state = shown.state
    return run.ended_at is not None and state is not None and state.timestamp > run.ended_at


def _seconds_in_state(shown: FlowRun) -> float:
    if shown.state is None:
        return 0.0
    return (current_clock().now() - shown.state.timestamp).total_seconds()


def _close_task_runs(client: SyncPrefectClient) -> None:
    """Close the task runs that a lost or cancelled process had begun."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType
    from prefect.states import Crashed

    ended = FlowRunFilterState(type=FlowRunFilterStateType(any_=[*TERMINAL_STATES]))
    begun = TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    now = current_clock().now()
    for task_run in client.read_task_runs(
        flow_run_filter=FlowRunFilter(state=ended),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=begun)),
    ):
        if task_run.flow_run_id is None:
            continue
        over = client.read_flow_run(task_run.flow_run_id).end_time
        if over is not None and (now - over).total_seconds() > _RECORDING_SECONDS:
            client.set_task_run_state(task_run.id, Crashed(message=f"{LOST}."), force=True)


def _keep_mlflow(of: Settings, something_was_lost: bool) -> int:
    """Send what waits and, when a run was lost, close what it left open."""
    if not something_was_lost and not any((of.home / "spool" / "mlflow").glob("*/stage.json")):
        return 0
    from flows.tracking import keep_records

    try:
        sent, _ = keep_records(of)
    except HeadraceError as error:  # it is away: what waits goes on waiting
        _log.debug("MLflow cannot be told yet: %s", error)
        return 0
    return sent


def _has_lineage(of: Settings) -> bool:
    """Say whether anything ever ran here; looking should leave no trace."""
    prefix = "sqlite:///"
    if not of.database_url.startswith(prefix):
        return True
    from pathlib import Path

    return Path(of.database_url.removeprefix(prefix)).is_file()


@contextmanager
def _alone(of: Settings) -> Iterator[bool]:
    """Yield whether no other process is looking; the lock ends with us."""
    of.run_folder.mkdir(parents=True, exist_ok=True)
    with (of.run_folder / "keeper.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
