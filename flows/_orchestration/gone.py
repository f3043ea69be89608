"""This module sees to the flows that are served no more: nothing starts them by itself any longer.

Which were served before is kept in a file of the home, for a Prefect server may be shared.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from flows._orchestration.starts import settle_schedules

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


async def settle_gone(client: PrefectClient, served: Collection[str], record: Path) -> None:
    """Take the schedules and triggers from the deployments that this home served before.

    Args:
        client: Prefect's.
        served: Full names of the deployments that it serves now, such as "flight_delay/default".
        record: File that says which ones it served before; afterwards it says those of now.
    """
    from prefect.exceptions import ObjectNotFound

    for name in sorted(_recorded(record) - set(served)):
        try:
            deployment = await client.read_deployment_by_name(name)
        except ObjectNotFound:
            continue
        await settle_schedules(client, deployment.id, {})
        await client.delete_resource_owned_automations(f"prefect.deployment.{deployment.id}")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(sorted(served)), encoding="utf-8")


def _recorded(record: Path) -> set[str]:
    try:
        return set(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # the first start, or cut short: nothing is known
        return set()
