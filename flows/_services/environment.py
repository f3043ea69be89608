"""This module says what servers, and processes that talk to them, find in their environment."""

from __future__ import annotations

import os

from headrace.settings import Settings, inherited_environment, settings
from serving.deployment import ray_environment

_QUIET = {
    # without this, threads that wait for work keep a small machine busy: 17 times slower, measured
    "OMP_WAIT_POLICY": "PASSIVE",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "FEAST_USAGE": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    # mlflow looks for git at import and warns where there is none
    "GIT_PYTHON_REFRESH": "quiet",
}


def client_environment(of: Settings | None = None) -> dict[str, str]:
    """Return the variables that a process needs to reach the servers, ours and theirs.

    Args:
        of: Settings to follow; those of this process by default.
    """
    chosen = of or settings()
    return {
        **_QUIET,
        **chosen.as_environment(),
        **_prefect_folders(chosen),
        "PREFECT_API_URL": chosen.prefect_api_url,
        "PREFECT_UI_URL": chosen.prefect_url,
        # a server of its own in each process would lose records at exit: refuse instead
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        # the shortest that Prefect takes; a killed run is noticed by the heartbeats it misses
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "MLFLOW_TRACKING_URI": chosen.mlflow_url,
        **_no_proxy(),
    }


def apply_client_environment(of: Settings | None = None) -> None:
    """Put `client_environment` into effect here; call it before prefect or mlflow is imported."""
    os.environ.update(client_environment(of))


def prefect_environment(of: Settings) -> dict[str, str]:
    """Return the variables of the Prefect server; the batch sizes are measured, see docs/adr."""
    services = "PREFECT_SERVER_SERVICES_"
    return {
        **_QUIET,
        **of.as_environment(),
        **_prefect_folders(of),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///"
        + str(of.home / "prefect" / "prefect.db"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": of.prefect_api_url,
        "PREFECT_UI_URL": of.prefect_url,
        "PREFECT_UI_API_URL": of.prefect_api_url,
        services + "TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        services + "TASK_RUN_RECORDER_BATCH_SIZE": "100",
        services + "TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        services + "EVENT_PERSISTER_READ_BATCH_SIZE": "100",
        services + "EVENT_PERSISTER_BATCH_SIZE": "200",
        services + "TRIGGERS_READ_BATCH_SIZE": "100",
    }


def mlflow_environment(of: Settings) -> dict[str, str]:
    """Return the variables of the MLflow server."""
    return {
        **_QUIET,
        # eight more processes and a gigabyte, for features that nothing here uses
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def runner_environment(of: Settings) -> dict[str, str]:
    """Return the variables of the process that serves our flows, and of the runs it starts."""
    return client_environment(of) | {"PREFECT_RUNNER_POLL_FREQUENCY": "2"}


def serving_environment(of: Settings) -> dict[str, str]:
    """Return the variables of the process that holds Ray Serve, and of its replicas."""
    return {**_QUIET, **of.as_environment(), **ray_environment(of)}


def feast_ui_environment(of: Settings) -> dict[str, str]:
    """Return the variables of the process that shows Feast's page of features."""
    return {**_QUIET, **of.as_environment(), **_no_proxy()}


def labels_environment(of: Settings) -> dict[str, str]:
    """Return the variables of the process that shows the labeling page."""
    return {**_QUIET, **of.as_environment(), **_no_proxy()}


def _prefect_folders(of: Settings) -> dict[str, str]:
    home = of.home / "prefect"
    return {"PREFECT_HOME": str(home), "PREFECT_PROFILES_PATH": str(home / "profiles.toml")}


def _no_proxy() -> dict[str, str]:
    """Return the variables that keep loopback out of a proxy, where one is set at all."""
    now = inherited_environment()
    if not any(name.lower().endswith("_proxy") and now[name] for name in now):
        return {}
    listed = [
        part for part in (now.get("NO_PROXY") or now.get("no_proxy") or "").split(",") if part
    ]
    both = ",".join(dict.fromkeys([*listed, "127.0.0.1", "localhost"]))
    return {"NO_PROXY": both, "no_proxy": both}
