"""This module serves every flow as a Prefect deployment with a launch form.

`headrace up` runs it as the service "runner": `python -m flows.deployments`. Each run started from
the Prefect UI or API is a process of its own, which finds its flow here by name.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from flows._catalog import find_flows, flow_named
from flows._services.environment import apply_client_environment
from headrace.settings import settings

if TYPE_CHECKING:
    import prefect
    from prefect.deployments.runner import RunnerDeployment

DEPLOYMENT = "default"


def __getattr__(name: str) -> prefect.Flow[..., Any]:
    """Return a flow as Prefect knows it; entry points name flows as if they were defined here."""
    if name.startswith("__") or name not in find_flows():
        raise AttributeError(f"module 'flows.deployments' has no flow '{name}'")
    from flows.runtime import prefect_flow

    return prefect_flow(flow_named(name))


def deployments() -> list[RunnerDeployment]:
    """Return a deployment of every flow that a form can launch."""
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from flows.runtime import prefect_flow

    made = []
    for name, flow in find_flows().items():
        if flow.parameters.artifacts:
            continue  # only other flows can give it artifacts
        deployment = RunnerDeployment.from_flow(
            prefect_flow(flow),
            DEPLOYMENT,
            description=flow.summary,
            tags=["headrace"],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        deployment.entrypoint = f"{__spec_name__}.{name}"
        made.append(deployment)
    return made


__spec_name__ = "flows.deployments"  # under `python -m` this module's own name is `__main__`


def main() -> None:
    """Serve all flows until stopped, and say so in `run/runner.ready` of the home."""
    apply_client_environment()
    import asyncio

    asyncio.run(_serve())


async def _serve() -> None:
    from prefect.runner import Runner

    runner = Runner(name="headrace", pause_on_shutdown=False, webserver=False, limit=4)
    served = deployments()
    for deployment in served:
        await runner.aadd_deployment(deployment)
    ready = settings().run_folder / "runner.ready"
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.write_text(
        json.dumps({"pid": os.getpid(), "flows": [d.flow_name for d in served]}),
        encoding="utf-8",
    )
    try:
        await runner.start()
    finally:
        ready.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
