"""What MLflow is told; no server needed."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows._tracking import notes, plots, records
from flows._tracking.sending import _batches
from flows._tracking.stage import Metric, NewRun, Stage, StagedModel
from headrace import Evaluation
from headrace.lineage import InvocationRecord


def _invocation(parts: list[dict[str, Any]]) -> InvocationRecord:
    return InvocationRecord(
        id="i1",
        run_id="r1",
        node="train",
        operator="train",
        state="executed",
        key_parts=parts,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def _part(kind: str, digest: str) -> dict[str, str]:
    return {"kind": kind, "name": kind, "digest": digest}


def test_the_code_digest_follows_the_code_and_not_packages_or_data() -> None:
    first = _invocation([_part("code", "1"), _part("package", "3.2"), _part("input", "a")])
    other_data = _invocation([_part("input", "b"), _part("package", "3.3"), _part("code", "1")])
    other_code = _invocation([_part("code", "2"), _part("package", "3.2"), _part("input", "a")])

    digests = [records.code_digest(each) for each in (first, other_data, other_code)]

    assert digests[0] == digests[1] != digests[2]
    assert records.code_digest(_invocation([])) == ""


def test_nested_parameters_become_dotted_names_and_long_ones_end_in_an_ellipsis() -> None:
    given_parameters = {
        "search": {"rounds": 5, "spaces": {}},
        "views": ["a", "b"],
        "since": None,
        "text": "t",
        "long": "x" * 7000,
        "odd[0]": True,
    }

    flat = records.flattened(given_parameters)

    assert flat == {
        "search.rounds": "5",
        "search.spaces": "{}",
        "views": '["a", "b"]',
        "since": "null",
        "text": "t",
        "long": "x" * 5999 + "…",
        "odd_0_": "true",
    }


def test_an_undefined_metric_or_interval_of_an_evaluation_is_left_out() -> None:
    evaluation = Evaluation.of(
        {
            "on": "test",
            "rows": 10,
            "metrics": {
                "auc": {"value": None, "low": None, "high": None, "reason": "one class"},
                "brier": {"value": 0.2, "low": None, "high": None},
            },
            "differences": {"brier": {"value": -0.1, "low": -0.2, "high": 0.0}},
        }
    )

    metrics = records.evaluation_metrics(evaluation)

    assert metrics == {
        "test_rows": 10.0,
        "test_brier": 0.2,
        "test_brier_over_baseline": -0.1,
        "test_brier_over_baseline_low": -0.2,
        "test_brier_over_baseline_high": 0.0,
    }


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=3), max_size=250),
    st.integers(0, 2000),
)
def test_every_value_is_in_exactly_one_request_within_the_limits_of_mlflow(
    tags: dict[str, str], metrics: int
) -> None:
    stage = Stage(
        run_id="r",
        tags=tags,
        params=dict(tags),
        metrics=[Metric(key="m", value=0.0, at_ms=0, step=n) for n in range(metrics)],
    )

    requests = list(_batches(stage))

    sent = [entry["key"] for request in requests for entry in request.get("tags", ())]
    assert sorted(sent) == sorted(tags)
    steps = [entry["step"] for request in requests for entry in request.get("metrics", ())]
    assert steps == list(range(metrics))
    for request in requests:
        assert sum(len(values) for values in request.values()) <= 1000
        assert len(request.get("tags", ())) <= 100
        assert len(request.get("params", ())) <= 100


def test_values_that_are_no_numbers_are_sent_as_mlflow_reads_them() -> None:
    values = (math.nan, math.inf, -math.inf, 0.5)
    stage = Stage(run_id="r", metrics=[Metric(key="m", value=v, at_ms=0) for v in values])

    (request,) = _batches(stage)

    assert [entry["value"] for entry in request["metrics"]] == ["NaN", "Infinity", "-Infinity", 0.5]


def test_a_stage_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    stage = Stage(
        new_run=NewRun(experiment_id="1", name="train", started_ms=5, tags={"a": "b"}),
        model_id="m-1",
        params={"depth": "3"},
        metrics=[Metric(key="auc", value=0.7, at_ms=6, about_model=True, dataset=("train", "d"))],
        datasets=[{"tags": [], "dataset": {"name": "train"}}],
        model=StagedModel(name="m", flavor="xgboost", params={"p": "1"}, tags={"t": "2"}),
        files=True,
        status="FINISHED",
        ended_ms=7,
    )

    stage.write(tmp_path / "stage.json")

    assert Stage.read(tmp_path / "stage.json") == stage


def test_curves_of_either_task_are_drawn_and_missing_ones_are_not() -> None:
    curves = {
        "calibration": {"predicted": [0.1, 0.9], "observed": [0.2, 0.8], "rows": [5, 5]},
        "residuals": {"quantile": [0.0, 1.0], "residual": [-1.0, 2.0]},
        "roc": {"false_rate": [], "true_rate": []},
    }
    slices: list[dict[str, Any]] = [
        {"column": "origin", "value": None, "rows": 500, "metrics": {"auc": None}},
        {"column": "origin", "value": "EWR", "rows": 900, "metrics": {"auc": 0.7}},
    ]

    drawn = plots.draw_all(plots.About(on="test"), curves=curves, importance={}, slices=slices)

    assert drawn.keys() == {"calibration.png", "residuals.png", "slices.png"}
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())


def test_a_model_without_curves_has_no_plots() -> None:
    about = plots.About(on="test")
    few = ({"column": "origin", "value": "EWR", "rows": 99, "metrics": {"auc": 0.7}},)

    assert plots.draw_all(about, curves={}, importance={}, slices=()) == {}
    assert plots.draw_all(about, curves={}, importance={}, slices=few) == {}


def _axes(**drawn: Any) -> dict[str, Any]:
    """Return the axes of each plot on a test set of 1,234 rows."""
    from matplotlib.figure import Figure

    metrics = {"auc": {"value": 0.7396}, "average_precision": 0.55, "positive_rate": 0.25}
    about = plots.About(on="test", rows=1234, metrics=metrics)
    given: dict[str, Any] = {"curves": {}, "importance": {}, "slices": ()} | drawn
    axes = {}
    for name, draw in plots.drawings(about, *given.values()):
        axes[name] = Figure().add_subplot()
        draw(axes[name])
    return axes


def test_a_curve_says_its_area_and_what_it_was_measured_on() -> None:
    curves = {
        "roc": {"false_rate": [0.0, 1.0], "true_rate": [0.0, 1.0]},
        "precision_recall": {"recall": [0.0, 1.0], "precision": [1.0, 0.25]},
        "calibration": {"predicted": [0.1, 0.9], "observed": [0.2, 0.8], "rows": [61, 62]},
    }

    axes = _axes(curves=curves)

    assert {name: drawn.get_title() for name, drawn in axes.items()} == {
        "roc": "ROC, AUC 0.740\ntest set, 1,234 rows",
        "precision_recall": "Precision and recall, AP 0.550\ntest set, 1,234 rows",
        "calibration": "Calibration\ntest set, 1,234 rows",
    }
    base = axes["precision_recall"].get_lines()[0]
    assert (base.get_linestyle(), set(base.get_ydata())) == ("--", {0.25})
    assert base.get_label() == "chance: base rate 0.250"
    assert axes["calibration"].get_lines()[1].get_label() == (
        "model; a dot is 61 to 62 rows of like predictions"
    )


def test_groups_of_few_rows_are_left_out_and_the_title_says_so() -> None:
    slices = [
        {"column": "carrier", "value": value, "rows": rows, "metrics": {"auc": 0.7}}
        for value, rows in (("AA", 100), ("HA", 99), ("OO", 17), ("UA", 1000))
    ]

    drawn = _axes(slices=slices)["slices"]

    labels = [label.get_text() for label in drawn.get_yticklabels()]
    assert labels == ["carrier=UA (1,000)", "carrier=AA (100)"]
    assert drawn.get_title() == ("auc by group; 2 under 100 rows left out\ntest set, 1,234 rows")


def test_the_selection_table_names_every_candidate_and_marks_the_chosen(made: Any) -> None:
    table = notes.selection_table([made.shallow, made.deep], made.selected.digest)

    lines = table.splitlines()
    assert len(lines) == 4
    chosen = next(line for line in lines if line.startswith("| selected |"))
    assert made.selected.digest[:12] in chosen


def test_data_is_named_by_what_it_is_for(made: Any) -> None:
    tables = {"train": made.train, "validation": made.validation, "test": made.test}

    contexts = {
        key: records.dataset(key, table)["tags"][0]["value"]
        for key, table in records.tabular_inputs({**tables, "weather": made.flights})
    }

    assert contexts == {
        "train": "training",
        "validation": "validation",
        "test": "test",
        "weather": "input",
    }


@pytest.mark.parametrize("lines", [0, 61])
def test_a_note_lists_sixty_nodes_at_most(lines: int) -> None:
    from headrace.lineage import RunRecord

    run = RunRecord(id="r1", flow="flight_delay", started_at=datetime(2026, 1, 1, tzinfo=UTC))
    nodes = [notes.NodeLine(node=f"n{i}", state="x", why="", seconds=0) for i in range(lines)]

    note = notes.flow_note(run, nodes, results=(), prefect_url=None, message="")

    assert note.count("\n| n") == min(lines, 61) - (lines == 61) + (lines > 0)
    assert ("and 1 more" in note) == (lines == 61)
