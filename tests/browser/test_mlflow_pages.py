"""What a user sees of runs on MLflow's pages: two side by side, and the way to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Shot = Callable[[str], None]


@pytest.fixture
def compared(prefect: Any, api: Any, mlflow: Any) -> list[dict[str, Any]]:
    """Make two runs that differ in their data and in a parameter; MLflow's records of them."""
    ids = [
        api.launch("ripeness", count=540, trees={"count": 20, "depth": 2}),
        api.launch("ripeness", count=720, trees={"count": 20, "depth": 5}),
    ]
    for run_id in ids:
        prefect.open_run(run_id)
        prefect.wait_for_state("Completed")
    return list(mlflow.runs(*ids))


def test_two_runs_side_by_side_show_parameters_metrics_and_digests(
    mlflow: Any, compared: list[dict[str, Any]], shot: Shot
) -> None:
    mlflow.compare(compared)

    assert mlflow.row("count") == ["540", "720"]
    assert mlflow.row("trees.depth") == ["2", "5"]
    shot("compare")
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in compared]
    metrics = [{m["key"]: m["value"] for m in run["data"]["metrics"]} for run in compared]
    shown = [float(value) for value in mlflow.metric("test_auc")]
    assert shown == pytest.approx([m["test_auc"] for m in metrics], abs=0.0006)
    assert mlflow.row("evaluate.data.test") == [t["evaluate.data.test"] for t in tags]
    assert tags[0]["evaluate.data.test"] != tags[1]["evaluate.data.test"]
