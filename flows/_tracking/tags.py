"""This module puts the tags of past runs into MLflow, beside what was recorded when they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows._tracking import records
from headrace.settings import settings
from serving._mlflow import MlflowDown, MlflowRefusal, server_at

if TYPE_CHECKING:
    from headrace.lineage import RunRecord

_PREFIX = "headrace.tag."


def tag_in_mlflow(run: RunRecord, name: str, value: str | None) -> str | None:
    """Give the MLflow run of a run a tag, as `headrace.tag.<name>`, or take it away.

    Args:
        run: The run.
        name: Name of the tag; what MLflow allows in no name becomes `_`.
        value: Its value; None takes the tag away.

    Returns:
        Why MLflow does not know it, a clause; None when it does.
    """
    if run.mlflow_run_id is None:
        return "the run is not in MLflow"
    server = server_at(settings().mlflow_url)
    key = records.name(_PREFIX + name)
    try:
        if value is None:
            server.post("/runs/delete-tag", run_id=run.mlflow_run_id, key=key)
        else:
            told = {"run_id": run.mlflow_run_id, "key": key, "value": records.tag(value)}
            server.post("/runs/set-tag", **told)
    except MlflowDown:
        return f"MLflow at {server.url} does not answer"
    except MlflowRefusal as refusal:
        return refusal.problem.rstrip(".")
    return None


def page_in_mlflow(run: RunRecord) -> str | None:
    """Return the address of a run's page in MLflow; None when MLflow does not know or answer."""
    if run.mlflow_run_id is None:
        return None
    server = server_at(settings().mlflow_url)
    try:
        found = server.get("/runs/get", run_id=run.mlflow_run_id)["run"]["info"]
    except (MlflowDown, MlflowRefusal):
        return None
    return server.run_url(str(found["experiment_id"]), run.mlflow_run_id)
