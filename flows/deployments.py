"""This module serves every flow as a Prefect deployment with a launch form.

`headrace up` runs it as the service "runner": `python -m flows.deployments`. Each run started from
the Prefect UI or API is a process of its own, which finds its flow here by name.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from flows._catalog import find_flows, flow_named
from flows._orchestration.gone import settle_gone
from flows._orchestration.missed import settle_missed
from flows._orchestration.notification import TAG, settle_notification
from flows._orchestration.starts import (
    prefect_schedules,
    prefect_triggers,
    settle_schedules,
    settle_triggers,
)
from flows._services.environment import apply_client_environment
from headrace.settings import settings

if TYPE_CHECKING:
    import prefect
    from prefect.client.orchestration import PrefectClient
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

    from headrace.workflow import Flow

DEPLOYMENT = "default"


def __getattr__(name: str) -> prefect.Flow[..., Any]:
    """Return a flow as Prefect knows it; entry points name flows as if they were defined here."""
    if name.startswith("__") or name not in find_flows():
        raise AttributeError(f"module 'flows.deployments' has no flow '{name}'")
    from flows.runtime import prefect_flow

    return prefect_flow(flow_named(name))


def deployments() -> list[RunnerDeployment]:
    """Return a deployment of every flow that a form can launch.

    Raises:
        ParameterError: A schedule or a trigger gives a parameter that its flow does not take.
    """
    return [_deployment(flow) for flow in _served()]


def _served() -> list[Flow[..., Any]]:
    """Return the flows that the runner serves: a form, a clock or an event can start them."""
    found = []
    for flow in find_flows().values():
        if flow.schedules or flow.triggers or not flow.parameters.artifacts:
            flow.check_starts()  # refuses those that only another flow can call
            found.append(flow)
    return found


def _deployment(flow: Flow[..., Any]) -> RunnerDeployment:
    from prefect.types.entrypoint import EntrypointType
    from prefect.utilities.callables import ParameterSchema
    from pydantic import create_model

    from flows._orchestration.served import ServedDeployment
    from flows.runtime import prefect_flow

    deployment = ServedDeployment.from_flow(
        prefect_flow(flow),
        DEPLOYMENT,
        description=flow.summary,
        tags=[TAG],
        concurrency_limit=flow.at_once,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    deployment.entrypoint = f"{__spec_name__}.{flow.name}"
    # left open, the server takes a name beside `parameters`, and the run crashes in Prefect's words
    closed = create_model("_Closed", __base__=ParameterSchema, additionalProperties=(bool, ...))
    schema = deployment._parameter_openapi_schema.model_dump(exclude_unset=True)
    deployment._parameter_openapi_schema = closed.model_validate(
        schema | {"additionalProperties": False}
    )
    # schedules that are not mentioned stay as they are; `settle_schedules` sees to them
    deployment.model_fields_set.discard("schedules")
    return deployment


__spec_name__ = "flows.deployments"  # under `python -m` this module's own name is `__main__`


def main() -> None:
    """Serve all flows until stopped, and say so in `run/runner.ready` of the home."""
    apply_client_environment()
    import asyncio

    from flows._orchestration.keeping import start_keeper

    start_keeper()
    asyncio.run(_serve())


async def _serve() -> None:
    from prefect.client.orchestration import get_client
    from prefect.runner import Runner

    runner = Runner(name="headrace", pause_on_shutdown=False, webserver=False, limit=4)
    async with get_client() as client:
        served = await _settle(client, runner)
    ready = settings().run_folder / "runner.ready"
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.write_text(
        json.dumps({"pid": os.getpid(), "flows": served}),
        encoding="utf-8",
    )
    try:
        await runner.start()
    finally:
        ready.unlink(missing_ok=True)


async def _settle(client: PrefectClient, runner: Runner) -> list[str]:
    """Bring Prefect to what the code and the settings say; return the names of the flows."""
    from prefect.exceptions import ObjectNotFound

    served = {}
    for flow in _served():
        deployment = _deployment(flow)
        try:
            known = (await client.read_deployment_by_name(deployment.full_name)).id
        except ObjectNotFound:
            known = None
        triggers = await prefect_triggers(client, known, flow)
        identity = await runner.aadd_deployment(deployment)
        await settle_triggers(client, identity, flow.name, triggers)
        await settle_schedules(client, identity, prefect_schedules(flow))
        served[flow.name] = identity
    names = [f"{name}/{DEPLOYMENT}" for name in served]
    await settle_gone(client, names, settings().run_folder / "served-flows")
    await settle_missed(client, served.values())
    await settle_notification(client, settings())
    return list(served)


if __name__ == "__main__":
    main()
