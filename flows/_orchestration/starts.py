"""This module puts a flow's schedules and triggers into Prefect, and keeps what people changed.

A schedule is known in Prefect by a name made of what it says, its slug: one that people switched
off stays off, one that the code no longer has goes, and those that people made are left alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.schedules import Cron, Schedule, is_template

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.events import DeploymentEventTrigger
    from prefect.events.schemas.automations import AutomationCore

    from headrace.workflow import Flow

OURS = "headrace-"
# what a whole text of this form becomes keeps the type that it has in the event
_OF_PAYLOAD = re.compile(r"\{\{\s*(event\.payload\b[^{}]*?)\s*\}\}")


async def settle_schedules(
    client: PrefectClient, deployment: UUID, wanted: Mapping[str, DeploymentScheduleCreate]
) -> None:
    """Give a deployment the schedules of its flow, and take away those that it no longer has.

    Args:
        client: Prefect's.
        deployment: The deployment.
        wanted: The flow's, by slug.
    """
    known = set()
    for schedule in await client.read_deployment_schedules(deployment):
        if schedule.slug in wanted:
            known.add(schedule.slug)
        elif (schedule.slug or "").startswith(OURS):
            await client.delete_deployment_schedule(deployment, schedule.id)
    new = [made for slug, made in wanted.items() if slug not in known]
    if new:
        await client.create_deployment_schedules(deployment, new)


async def settle_triggers(
    client: PrefectClient, deployment: UUID, flow: str, wanted: Sequence[DeploymentEventTrigger]
) -> None:
    """Give a deployment the triggers of its flow; those that it has stand without a gap.

    Args:
        client: Prefect's.
        deployment: The deployment.
        flow: Name of the flow.
        wanted: The flow's; one that is there already stays as it is, on or off.
    """
    made = await client.read_resource_related_automations(f"prefect.deployment.{deployment}")
    ours = [each for each in made if each.name.startswith(f"{flow}: {OURS}")]
    for trigger in wanted:
        trigger.set_deployment_id(deployment)
        automation = trigger.as_automation()
        same = [each for each in ours if _content(each) == _content(automation)]
        if same:
            ours.remove(same[0])
        else:
            await client.create_automation(automation)
    for each in ours:
        await client.delete_automation(each.id)


def prefect_schedules(flow: Flow[..., Any]) -> dict[str, DeploymentScheduleCreate]:
    """Return the schedules of a flow as Prefect takes them, by slug."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    made = {}
    for schedule in flow.schedules:
        slug = _slug(str(schedule), schedule.parameters)
        made[slug] = DeploymentScheduleCreate(
            schedule=_times(schedule), parameters=_nested(flow, schedule.parameters), slug=slug
        )
    return made


async def prefect_triggers(
    client: PrefectClient, deployment: UUID | None, flow: Flow[..., Any]
) -> list[DeploymentEventTrigger]:
    """Return the triggers of a flow as Prefect takes them, off where people switched them off.

    Args:
        client: Prefect's.
        deployment: The deployment as it is; None when there is none yet.
        flow: The flow.
    """
    from prefect.events import DeploymentEventTrigger
    from prefect.events.schemas.automations import Posture

    off = set()
    if deployment is not None and flow.triggers:
        owner = f"prefect.deployment.{deployment}"
        made = await client.read_resource_related_automations(owner)
        off = {automation.name for automation in made if not automation.enabled}
    triggers = {}
    for when in flow.triggers:
        name = f"{flow.name}: {_slug(str(when), when.parameters)}"
        triggers[name] = DeploymentEventTrigger(
            name=name,
            description=f"Start the flow '{flow.name}' {when}.",
            enabled=name not in off,
            posture=Posture.Reactive,
            expect={when.event},
            match={} if when.resource is None else {"prefect.resource.id": when.resource},
            parameters=_nested(flow, when.parameters),
        )
    return list(triggers.values())


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="json", exclude={"id", "enabled", "owner_resource"})


def _times(schedule: Schedule) -> Any:
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    if isinstance(schedule, Cron):
        return CronSchedule(cron=schedule.expression, timezone=schedule.timezone)
    return IntervalSchedule(
        interval=schedule.interval, anchor_date=schedule.first, timezone=schedule.timezone
    )


def _nested(flow: Flow[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the deployment takes them: under the one name of our model."""
    plain = flow.parameters.model.model_construct(**parameters).model_dump(
        mode="json", include=set(parameters), warnings=False
    )
    return {"parameters": _filled_in_later(plain)} if plain else {}


def _filled_in_later(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _filled_in_later(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled_in_later(item) for item in value]
    if not is_template(value):
        return value
    whole = _OF_PAYLOAD.fullmatch(value.strip())
    if whole is None:
        return {"__prefect_kind": "jinja", "template": value}
    as_json = {"__prefect_kind": "jinja", "template": f"{{{{ ({whole[1]}) | tojson }}}}"}
    return {"__prefect_kind": "json", "value": as_json}


def _slug(text: str, parameters: Mapping[str, Any]) -> str:
    """Return a name that people can read, and that no other schedule or trigger has."""
    digest = hashlib.sha256(json.dumps([text, parameters], default=str).encode()).hexdigest()
    readable = re.sub(r"[^a-z0-9*]+", "-", text.lower()).strip("-")
    return f"{OURS}{readable[:60]}-{digest[:8]}"
