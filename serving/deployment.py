"""This module is the door to Ray Serve: one app for each endpoint, deployed declaratively.

An app has two deployments, `lane`, which answers, and `shadow`, which scores challengers. A change
of models is a change of their `user_config`, which Serve hands to the running replicas; `serve.run`
would restart them. A change of code replaces replicas, one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from headrace.capacity import capacity_of
from headrace.errors import ServiceError
from headrace.settings import Settings, settings
from serving.host_replicas import DRAIN_SECONDS, surge_percent, wanted_replicas
from serving.lane.far_scorer import Ask, UnreachableError
from serving.lane.table import SHARED_APP, Hop, LaneTable

# AF_UNIX paths end at 107 bytes; Ray puts about 70 behind its folder
_LONGEST_FOLDER = 36
_OBJECT_STORE_BYTES = 100 << 20
_MORE_THAN_ENOUGH_CPUS = 64
_CALLS = 64
_LONGEST_REASON = 200


@dataclass(frozen=True, kw_only=True)
class AppState:
    """This is what Ray Serve says of an endpoint's app.

    Args:
        failed: Whether it cannot be deployed.
        message: What ails it, as Serve says it; empty when nothing does.
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
        # when Ray's head dies, lanes answer on until a new Ray has replaced them
        "RAY_gcs_rpc_server_reconnect_timeout_s": "900",
        # what an idle Ray does all the same; nobody reads its own metrics here, lanes have theirs
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.2",
        "RAY_enable_metrics_collection": "0",
        "RAY_raylet_report_resources_period_milliseconds": "500",
        "RAY_debug_dump_period_milliseconds": "0",
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

    has = capacity_of(of)  # what endpoints were allowed to ask for

    def begin() -> None:
        ray.init(
            address="local",
            num_cpus=_MORE_THAN_ENOUGH_CPUS,  # logical ones: lanes wait, they do not compute
            num_gpus=has.gpus,
            _memory=has.memory,
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


def stop(*, drain_seconds: float) -> None:
    """End Ray and all that it started; lanes answer before what they have begun.

    Args:
        drain_seconds: How long lanes may take for that.
    """
    import ray
    from ray.serve.context import _get_global_client

    with contextlib.suppress(Exception):  # whatever ails Ray, it is ended
        client = _get_global_client(raise_if_no_controller_running=False)
        if client is not None:
            client.shutdown(timeout_s=drain_seconds)
    ray.shutdown()


def parts() -> tuple[int, ...]:
    """Return the processes that Ray on this machine cannot be without."""
    names = ("gcs_server", "raylet")
    children = psutil.Process().children()
    return tuple(child.pid for child in children if child.name() in names)


def deploy(tables: Sequence[LaneTable], counts: Mapping[str, int]) -> None:
    """Make Serve run exactly these endpoints; what runs already is changed in place.

    Args:
        tables: The endpoints.
        counts: How many replicas those have that do not have the least.
    """
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    shared = [table for table in tables if table.shared]
    apps = [_application(t, counts.get(t.endpoint)) for t in tables if not t.shared]
    apps += [_shared_application(shared)] if shared else []
    schema = ServeDeploySchema.model_validate({"applications": apps})
    client = _get_global_client()
    if client is None:
        raise ServiceError("Ray Serve is not up.", remedy="Start it with `headrace up`.")
    client.deploy_apps(schema)


def states() -> dict[str, AppState]:
    """Return what Serve says of each endpoint's app."""
    from ray import serve

    return {
        name: AppState(
            failed=app.status.value == "DEPLOY_FAILED",
            message=""
            if app.status.value not in ("DEPLOY_FAILED", "UNHEALTHY")
            else "; ".join(
                filter(None, [app.message, *(d.message for d in app.deployments.values())])
            ),
        )
        for name, app in serve.status().applications.items()
    }


class _Kept:
    """This is what Ray Serve asks of every replica: to take a table, and whether it is well."""

    _replica: Any

    async def reconfigure(self, table: dict[str, Any]) -> None:
        await self._replica.take(table)

    async def check_health(self) -> None:
        self._replica.require_alive()


def build(options: Mapping[str, Any]) -> Any:
    """Return the app of an endpoint; Ray Serve calls this by name.

    Args:
        options: `hop` where models are scored in processes of their own; `shared` where the app is
            that of several endpoints.
    """
    from ray import serve

    from serving.lane.replica import LaneReplica
    from serving.lane.scorer import ScorerReplica
    from serving.lane.shadow import ShadowReplica
    from serving.lane.shared import SharedReplica
    from serving.lane.shared_shadow import SharedShadow

    shares = bool(options.get("shared"))

    class Lane(_Kept):
        """This is the deployment that answers."""

        def __init__(self, shadow: Any, scorer: Any = None) -> None:
            self._shadow = shadow  # what binds the second deployment to the app
            ask = None if scorer is None else _asking(scorer)
            self._replica = SharedReplica() if shares else LaneReplica(ask)

        async def __del__(self) -> None:  # awaited by Serve, before it ends a replica
            await self._replica.leave()

        async def __call__(self) -> str:
            return "ask the lane at its own address"

    class Shadow(_Kept):
        """This is the deployment that scores the challenger."""

        def __init__(self) -> None:
            self._replica = SharedShadow() if shares else ShadowReplica()

        async def __call__(self) -> str:
            await asyncio.sleep(0)
            return "a shadow answers nobody"

    class Scorer(_Kept):
        """This is the deployment that scores what answers, where the lane does not."""

        def __init__(self) -> None:
            self._replica = ScorerReplica()

        async def __call__(self, ref: str, folder: str, matrix: Any) -> Mapping[str, Any]:
            told: Mapping[str, Any] = await self._replica.ask(ref, folder, matrix)
            return told

    # mypy takes `deployment` for the decorator's maker, which it is without arguments only
    lane: Any = serve.deployment(Lane, name="lane")
    shadow: Any = serve.deployment(Shadow, name="shadow")
    scorer: Any = serve.deployment(Scorer, name="scorer")
    return (
        lane.bind(shadow.bind(), scorer.bind()) if options.get("hop") else lane.bind(shadow.bind())
    )


def _asking(scorer: Any) -> Ask:
    """Return what asks any scoring process; Serve's handle chooses one that lives."""

    async def ask(ref: str, folder: str, matrix: Any) -> Mapping[str, Any]:
        try:
            told: Mapping[str, Any] = await scorer.remote(ref, folder, matrix)
        except Exception as error:  # it catches its own: this is of Ray, or of a process that died
            why = str(error).strip().partition("\n")[0][:_LONGEST_REASON]
            raise UnreachableError(f"{type(error).__name__}: {why}") from error
        return told

    return ask


def _common(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of every deployment."""
    return {
        "user_config": config,
        "graceful_shutdown_timeout_s": DRAIN_SECONDS + 4,
        "graceful_shutdown_wait_loop_s": 0.05,
        "health_check_period_s": 2,
        "health_check_timeout_s": 10,
        "ray_actor_options": {"num_cpus": 0.1},
    }


def _shared_application(tables: Sequence[LaneTable]) -> dict[str, Any]:
    """Return the app of endpoints that share a process; other code of one replaces it for all."""
    common = _common({"tables": [table.to_json() for table in tables]})
    code = sha256(" ".join(sorted({table.code for table in tables})).encode()).hexdigest()[:16]
    return {
        "name": SHARED_APP,
        "route_prefix": f"/{SHARED_APP}",
        "import_path": "serving.deployment:build",
        "args": {"shared": True},
        "runtime_env": {"env_vars": {"LANE_CODE": code}},
        "deployments": [
            {"name": "lane", **common, "num_replicas": 1, "max_surge_percent": surge_percent(1)},
            {"name": "shadow", **common, "num_replicas": 1},
        ],
    }


def _application(table: LaneTable, count: int | None) -> dict[str, Any]:
    common = _common(table.to_json())
    replicas = wanted_replicas(table.replicas, count)
    lane = {"num_replicas": replicas, "max_surge_percent": surge_percent(replicas)}
    return {
        "name": table.endpoint,
        "route_prefix": f"/v1/{table.endpoint}",
        "import_path": "serving.deployment:build",
        "args": {} if table.hop is None else {"hop": True},
        # another environment is another version to Serve; and a process that imported other code,
        # which Ray keeps for the next actor, has another one
        "runtime_env": {"env_vars": {"LANE_CODE": table.code}},
        "deployments": [
            {"name": "lane", **common, **lane},
            {"name": "shadow", **common, "num_replicas": 1},
            *([] if table.hop is None else [{"name": "scorer", **common, **_scorers(table.hop)}]),
        ],
    }


def _scorers(hop: Hop) -> dict[str, Any]:
    """Return the options of scoring processes; one that waits for a GPU replaces none before."""
    options = {"num_cpus": hop.cpus, "num_gpus": hop.gpus}
    if hop.memory_mb:
        options["memory"] = hop.memory_mb << 20
    has_room = not (hop.gpus or hop.memory_mb)
    return {
        "num_replicas": hop.replicas,
        "max_surge_percent": surge_percent(hop.replicas) if has_room else 0,
        # a lane has a call under way for each of them; what comes beyond is refused, not kept
        "max_ongoing_requests": _CALLS,
        "max_queued_requests": _CALLS,
        "ray_actor_options": options,
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
