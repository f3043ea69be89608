"""This module holds a deployment that leaves the triggers of its flow to us; import it late."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect.deployments.runner import RunnerDeployment

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


class ServedDeployment(RunnerDeployment):
    """This is a deployment whose triggers stand while it is registered again.

    Prefect takes all of them away and makes them anew: an event that comes in between starts
    nothing, and nobody tells it again. `settle_triggers` sees to them.
    """

    async def _create_triggers(self, deployment_id: UUID, client: PrefectClient) -> None:
        pass
