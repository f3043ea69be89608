"""This module lets Prefect tell an address about runs that failed while nobody was watching.

Prefect's server calls it, so that it is called too when the process of the run is no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from headrace.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.events.schemas.automations import AutomationCore

NAME = "headrace: tell about failed runs"
TAG = "headrace"  # of the deployments that the runner serves, and so of their runs
_BLOCK = "headrace-failed-runs"
_ENDS = ("Failed", "Crashed", "TimedOut")
_BODY = """{
  "flow": {{ flow.name | tojson }},
  "run": {{ flow_run.name | tojson }},
  "run_id": {{ flow_run.id | string | tojson }},
  "state": {{ flow_run.state.name | tojson }},
  "message": {{ flow_run.state.message | string | tojson }},
  "url": {{ ("ADDRESS/runs/flow-run/" ~ flow_run.id) | tojson }}
}"""


async def settle_notification(client: PrefectClient, of: Settings) -> None:
    """Let Prefect call `notify_url` when a run of ours fails, or nobody when there is none.

    The second call changes nothing; where people switched the automation off, it stays off.

    Args:
        client: Prefect's.
        of: Settings to follow.
    """
    from prefect.exceptions import ObjectNotFound

    there = await client.read_automations_by_name(NAME)
    if of.notify_url is None:
        for automation in there:
            await client.delete_automation(automation.id)
        try:
            block = await client.read_block_document_by_name(_BLOCK, "webhook")
        except ObjectNotFound:
            return
        await client.delete_block_document(block.id)
        return
    wanted = _automation(await _webhook(of.notify_url), of.prefect_url)
    if not there:
        await client.create_automation(wanted)
        return
    wanted.enabled = there[0].enabled
    if wanted.actions != there[0].actions or wanted.trigger != there[0].trigger:
        await client.update_automation(there[0].id, wanted)


async def _webhook(url: str) -> UUID:
    from prefect.blocks.webhook import Webhook

    webhook = Webhook(url=url, headers={"Content-Type": "application/json"})  # type: ignore[arg-type]  # pydantic makes secrets of texts
    saved: UUID = await webhook.asave(_BLOCK, overwrite=True)
    return saved


def _automation(webhook: UUID, prefect_url: str) -> AutomationCore:
    from prefect.events.actions import CallWebhook
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=NAME,
        description="Call the address of the setting notify_url. Made by `headrace up`.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"prefect.flow-run.{end}" for end in _ENDS},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{TAG}"},
        ),
        actions=[
            CallWebhook(block_document_id=webhook, payload=_BODY.replace("ADDRESS", prefect_url))
        ],
    )
