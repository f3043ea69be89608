"""This module is the door to Ray Serve: one app for each endpoint, deployed declaratively.

An app has two deployments, `lane`, which answers, and `shadow`, which scores the challenger; each
is one replica. A change of models is a change of their `user_config`, which Serve hands to the
running replicas; `serve.run` would restart them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from headrace.errors import ServiceError
from headrace.settings import Settings, settings
from serving.lane.table import LaneTable

# AF_UNIX paths end at 107 bytes; Ray puts about 70 behind its folder
_LONGEST_FOLDER = 36
_OBJECT_STORE_BYTES = 100 << 20
_MORE_THAN_ENOUGH_CPUS = 64


@dataclass(frozen=True, kw_only=True)
class AppState:
    """This is what Ray Serve says of an endpoint's app.

    Args:
        failed: Whether it cannot be deployed.
        message: What Serve says of it.
    """

    failed: bool
    message: str


def ray_environment(of: Settings) -> dict[str, str]:
    """Return the variables that Ray reads; they have to be set before it is imported."""
    return {
        # user code in the replica's own loop, no per-request log; read at import
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_ENABLE_HA_PROXY": "0",
        # our lanes listen themselves; Serve's own ingress stays shut
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",
        # ports that Ray opens beyond loopback ask for this token
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(of.home / "serving" / "ray-token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def start(of: Settings | None = None) -> None:
    """Start Ray and Serve on this machine, as children of this process.

    Raises:
        ServiceError: They do not start.
    """
    of = of or settings()
    os.environ.update(ray_environment(of))
    _write_token(of.home / "serving" / "ray-token")
    import ray
    from ray import serve

    def begin() -> None:
        ray.init(
            address="local",
            num_cpus=_MORE_THAN_ENOUGH_CPUS,  # logical ones: lanes wait, they do not compute
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(_folder(of)),
        )

    try:
        try:
            begin()
        except Exception:  # it waits half a minute for itself, too short on a busy machine
            ray.shutdown()
            begin()
        serve.start(proxy_location="Disabled", logging_config={"enable_access_log": False})
    except Exception as error:
        raise ServiceError(
            f"Ray Serve does not start: {type(error).__name__}: {error}",
            remedy=f"Read Ray's own logs in {_folder(of)}/session_latest/logs. Ray needs the "
            "machine's name to resolve to an address of the machine.",
        ) from error


def stop() -> None:
    """End Ray and all that it started."""
    import ray

    ray.shutdown()


def deploy(tables: Sequence[LaneTable]) -> None:
    """Make Serve run exactly these endpoints; what runs already is changed in place."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate({"applications": [*map(_application, tables)]})
    client = _get_global_client()
    if client is None:
        raise ServiceError("Ray Serve is not up.", remedy="Start it with `headrace up`.")
    client.deploy_apps(schema)


def states() -> dict[str, AppState]:
    """Return what Serve says of each endpoint's app."""
    from ray import serve

    return {
        name: AppState(
            failed=str(app.status.value) in ("DEPLOY_FAILED", "UNHEALTHY"),
            message="; ".join(
                filter(None, [app.message, *(d.message for d in app.deployments.values())])
            ),
        )
        for name, app in serve.status().applications.items()
    }


def build(_: Mapping[str, Any]) -> Any:
    """Return the app of an endpoint; Ray Serve calls this by name."""
    from ray import serve

    from serving.lane.replica import LaneReplica
    from serving.lane.shadow import ShadowReplica

    class Lane:
        """This is the deployment that answers."""

        def __init__(self, shadow: Any) -> None:
            self._shadow = shadow  # what binds the second deployment to the app
            self._replica = LaneReplica()

        async def reconfigure(self, table: dict[str, Any]) -> None:
            await self._replica.take(table)

        async def check_health(self) -> None:
            self._replica.require_alive()

        async def __call__(self) -> str:
            return "ask the lane at its own address"

    class Shadow:
        """This is the deployment that scores the challenger."""

        def __init__(self) -> None:
            self._replica = ShadowReplica()

        async def reconfigure(self, table: dict[str, Any]) -> None:
            await self._replica.take(table)

        async def check_health(self) -> None:
            self._replica.require_alive()

        async def __call__(self) -> str:
            await asyncio.sleep(0)
            return "a shadow answers nobody"

    # mypy takes `deployment` for the decorator's maker, which it is without arguments only
    lane: Any = serve.deployment(Lane, name="lane")
    shadow: Any = serve.deployment(Shadow, name="shadow")
    return lane.bind(shadow.bind())


def _application(table: LaneTable) -> dict[str, Any]:
    common = {
        "num_replicas": 1,
        "user_config": table.to_json(),
        "graceful_shutdown_timeout_s": 2,
        "graceful_shutdown_wait_loop_s": 0.2,
        "health_check_period_s": 2,
        "health_check_timeout_s": 10,
        "ray_actor_options": {"num_cpus": 0.1},
    }
    return {
        "name": table.endpoint,
        "route_prefix": f"/v1/{table.endpoint}",
        "import_path": "serving.deployment:build",
        "args": {},
        "deployments": [{"name": "lane", **common}, {"name": "shadow", **common}],
    }


def _write_token(path: Path) -> None:
    """Make the secret that Ray's ports ask for, readable by this user only."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))


def _folder(of: Settings) -> Path:
    """Return Ray's folder: in the home, or in a short one of the same owner."""
    inside = of.home / "ray"
    if len(str(inside)) <= _LONGEST_FOLDER:
        inside.mkdir(parents=True, exist_ok=True)
        return inside
    mark = sha256(str(of.home).encode()).hexdigest()[:8]
    outside = Path(tempfile.gettempdir()) / f"headrace-{os.getuid()}-{mark}"
    outside.mkdir(mode=0o700, exist_ok=True)
    if outside.stat().st_uid != os.getuid():
        raise ServiceError(
            f"The folder {outside} belongs to somebody else.",
            remedy="Remove it, or choose another home: HEADRACE_HOME.",
        )
    return outside
