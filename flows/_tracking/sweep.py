"""This module closes what a killed process left open, which MLflow would show so forever."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime

from flows._tracking.records import milliseconds
from headrace.clock import current_clock
from serving._mlflow import MlflowServer
from serving._models import fail_logged_model

HOST_TAG = "headrace.host"
PROCESS_TAG = "headrace.process"


def process_tags() -> dict[str, str]:
    """Return the tags by which a run is known to be of this process."""
    import os

    return {HOST_TAG: platform.node(), PROCESS_TAG: _identity(os.getpid()) or ""}


def began_here(started_at: datetime) -> bool:
    """Return whether a run that started then can only have been begun by this process."""
    import psutil

    return started_at.timestamp() >= psutil.Process().create_time()


def sweep(server: MlflowServer, experiment_ids: Sequence[str]) -> list[str]:
    """Mark as killed what this machine began in experiments and whose process is gone.

    Returns:
        The ids of the runs.
    """
    if not experiment_ids:
        return []
    answer = server.post(
        "/runs/search",
        experiment_ids=list(experiment_ids),
        filter=f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{platform.node()}'",
        max_results=1000,
    )
    swept = []
    for run in answer.get("runs", ()):
        tags = {entry["key"]: entry["value"] for entry in run["data"].get("tags", ())}
        process = tags.get(PROCESS_TAG, "")
        if process and _identity(int(process.split("@")[0])) != process:
            run_id = run["info"]["run_id"]
            server.post(
                "/runs/update",
                run_id=run_id,
                status="KILLED",
                end_time=milliseconds(current_clock().now()),
            )
            _fail_models(server, run["info"]["experiment_id"], run_id)
            swept.append(run_id)
    return swept


def _fail_models(server: MlflowServer, experiment_id: str, run_id: str) -> None:
    """Close the models whose files a killed process was sending."""
    answer = server.post(
        "/logged-models/search",
        experiment_ids=[experiment_id],
        filter=f"source_run_id = '{run_id}'",
    )
    for found in answer.get("models", ()):
        if found["info"]["status"] == "LOGGED_MODEL_PENDING":
            fail_logged_model(server, found["info"]["model_id"])


def _identity(pid: int) -> str | None:
    """Return a process's id and time of start, since ids are used again; None when it is gone."""
    import psutil

    try:
        return f"{pid}@{psutil.Process(pid).create_time():.0f}"
    except psutil.Error:
        return None
