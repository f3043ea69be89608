"""This module says what becomes of the runs that were due while the runner was not there.

Prefect keeps them all, and a runner that comes back would start them all. The newest of each
schedule makes up for the others, which are cancelled and say so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from headrace.clock import current_clock

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

_AT_A_TIME = 200  # what the server gives in one answer
_STATE = "Missed"
_MESSAGE = "The runner was not there when it was due; the newest run of the schedule stands for it."


async def settle_missed(client: PrefectClient, deployments: Collection[UUID]) -> int:
    """Cancel the scheduled runs that are overdue, but for the newest of each schedule.

    Args:
        client: Prefect's.
        deployments: Those whose runs are looked at.

    Returns:
        How many were cancelled.
    """
    from prefect.states import Cancelled

    kept: set[tuple[UUID | None, UUID | None]] = set()
    cancelled = 0
    while deployments:
        overdue = await _overdue(client, deployments, after=len(kept))
        for run in overdue:
            schedule = (run.deployment_id, run.created_by.id if run.created_by else None)
            if schedule not in kept:
                kept.add(schedule)  # newest first
                continue
            await client.set_flow_run_state(
                run.id, Cancelled(name=_STATE, message=_MESSAGE), force=True
            )
            cancelled += 1
        if len(overdue) < _AT_A_TIME:
            break
    return cancelled


async def _overdue(
    client: PrefectClient, deployments: Collection[UUID], *, after: int
) -> list[FlowRun]:
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
        FlowRunFilterState,
        FlowRunFilterStateName,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.types import DateTime

    # other names are of runs that have begun, and wait to be tried again
    waiting = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Scheduled", "Late"]))
    return await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=list(deployments))),
        flow_run_filter=FlowRunFilter(
            state=waiting,
            tags=FlowRunFilterTags(all_=["auto-scheduled"]),
            expected_start_time=FlowRunFilterExpectedStartTime(
                before_=DateTime.instance(current_clock().now())
            ),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_AT_A_TIME,
        offset=after,
    )
