"""Past runs are found by what is known of them, and only by that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql

from headrace.errors import UnknownNameError
from headrace.lineage import ArtifactRecord, EdgeRecord, InvocationRecord, Lineage, RunRecord
from headrace.lineage.search import (
    MetricCondition,
    MetricName,
    RunSearch,
    metrics_of,
    search_runs,
)

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)
AUC = MetricName(name="auc")


def recorded(lineage: Lineage, run_id: str, day: int, **changes: Any) -> None:
    """Record a run of `tea` on a day of January 2013, ten hours after midnight."""
    at = NEW_YEAR + timedelta(days=day - 1, hours=10)
    fields: dict[str, Any] = {
        "flow": "tea",
        "state": "completed",
        "origin": "command line",
        "actor": "ann",
        "parameters": {"cups": 4},
    }
    lineage.start_run(RunRecord(id=run_id, started_at=at, **(fields | changes)))


def made(
    lineage: Lineage, run_id: str, node: str, kind: str, summary: dict[str, Any], **changes: Any
) -> None:
    """Record that a node made an artifact of which this is known."""
    digest = f"{node} {summary}"
    lineage.record(
        InvocationRecord(
            id=f"{run_id}/{node}",
            run_id=run_id,
            node=node,
            operator="shop.judge",
            state=changes.get("state", "executed"),
            started_at=NEW_YEAR,
            outputs=(EdgeRecord(name="result", digest=digest, kind=kind),),
        ),
        [ArtifactRecord(digest=digest, kind=kind, summary=summary)],
    )


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    """Four runs: a good one, one that reuses it, a poor one, and one that failed in Zürich."""
    found = Lineage(tmp_path / "lineage.db")
    recorded(found, "a1", 1, parameters={"cups": 8, "pot": {"litres": 2.0}, "kind": "8"})
    recorded(found, "b2", 2, actor="bob", origin="python")
    recorded(found, "c3", 3, flow="coffee", parameters={"cups": 8.5, "milk": True})
    recorded(found, "d4", 4, state="failed", message="Kein Wasser in ZÜRICH.", parameters={})
    made(found, "a1", "judge", "Evaluation", {"metrics": {"auc": 0.8, "brier": 0.2}})
    made(found, "a1", "train", "Model", {"metrics": {"auc": 0.95}})
    made(
        found, "b2", "judge", "Evaluation", {"metrics": {"auc": 0.8, "brier": 0.2}}, state="cached"
    )
    made(found, "c3", "judge", "Evaluation", {"metrics": {"auc": 0.6, "worst": None}})
    made(found, "c3", "count", "Report", {"late": 12, "passed": True})
    found.tag_run("a1", "baseline", "", actor="ann")
    found.tag_run("c3", "for", "Herbst", actor="ann")
    return found


def found(lineage: Lineage, **conditions: Any) -> list[str]:
    """Return the ids of the runs for which the conditions hold."""
    return [each.run.id for each in search_runs(lineage, RunSearch(**conditions))]


def over(bound: float, metric: MetricName = AUC, comparison: Any = ">") -> Any:
    return (MetricCondition(metric=metric, comparison=comparison, bound=bound),)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param({}, ["d4", "c3", "b2", "a1"], id="none: the newest first"),
        pytest.param({"limit": 2}, ["d4", "c3"], id="a limit"),
        pytest.param({"flow": "tea"}, ["d4", "b2", "a1"], id="a flow"),
        pytest.param({"states": ("failed", "crashed")}, ["d4"], id="any of the states"),
        pytest.param({"actor": "bob"}, ["b2"], id="an actor"),
        pytest.param({"origin": "python"}, ["b2"], id="an origin"),
        pytest.param({"since": NEW_YEAR + timedelta(days=2)}, ["d4", "c3"], id="since a day"),
        pytest.param({"before": NEW_YEAR + timedelta(days=1)}, ["a1"], id="before a day"),
        pytest.param({"tags": {"baseline": None}}, ["a1"], id="a tag of any value"),
        pytest.param({"tags": {"for": "Herbst"}}, ["c3"], id="a tag of this value"),
        pytest.param({"tags": {"for": "herbst"}}, [], id="a tag's value is exact"),
        pytest.param({"tags": {"for": None, "baseline": None}}, [], id="both tags"),
        pytest.param({"parameters": {"cups": 8}}, ["a1"], id="a parameter"),
        pytest.param({"parameters": {"cups": 8.0}}, ["a1"], id="8.0 is 8"),
        pytest.param({"parameters": {"kind": 8}}, ["a1"], id="a text that looks like a number"),
        pytest.param({"parameters": {"pot.litres": 2}}, ["a1"], id="a nested parameter"),
        pytest.param({"parameters": {"milk": True}}, ["c3"], id="a flag"),
        pytest.param({"parameters": {"milk": 1}}, [], id="1 is not true"),
        pytest.param({"parameters": {"milk.fat": 1}}, [], id="nothing inside a flag"),
        pytest.param({"words": ("zürich",)}, ["d4"], id="a word of the message, in any case"),
        pytest.param({"words": ("HERBST",)}, ["c3"], id="a word of a tag"),
        pytest.param({"words": ("litres", "ann")}, ["a1"], id="words of parameter and actor"),
        pytest.param({"words": ("run:b",)}, ["b2"], id="the beginning of an id"),
        pytest.param({"words": ("coff",)}, ["c3"], id="a part of the flow's name"),
        pytest.param({"words": ("coffee", "bob")}, [], id="every word must be there"),
        pytest.param({"metrics": over(0.7)}, ["b2", "a1"], id="a metric, made or reused"),
        pytest.param({"metrics": over(0.8)}, [], id="more is not as much"),
        pytest.param({"metrics": over(0.8, comparison=">=")}, ["b2", "a1"], id="as much or more"),
        pytest.param({"metrics": over(0.6, comparison="!=")}, ["b2", "a1"], id="another value"),
        pytest.param(
            {"metrics": over(0.7) + over(0.3, MetricName(name="brier"), "<"), "actor": "ann"},
            ["a1"],
            id="two metrics and an actor",
        ),
        pytest.param(
            {"metrics": over(0.9, MetricName(name="auc", node="train"))}, ["a1"], id="of a model"
        ),
        pytest.param(
            {"metrics": over(12, MetricName(name="late", node="count"), "=")},
            ["c3"],
            id="of a report",
        ),
        pytest.param(
            {"metrics": over(1, MetricName(name="passed", node="count"), "=")},
            ["c3"],
            id="a flag counts as 1 or 0",
        ),
        pytest.param({"sort_by": AUC}, ["b2", "a1", "c3"], id="the highest first"),
        pytest.param(
            {"sort_by": AUC, "lowest_first": True, "limit": 1}, ["c3"], id="the lowest first"
        ),
    ],
)
def test_a_run_is_found_when_every_condition_holds(
    conditions: dict[str, Any], expected: list[str], lineage: Lineage
) -> None:
    assert found(lineage, **conditions) == expected


def test_what_is_found_comes_with_its_tags_and_the_metrics_asked_for(lineage: Lineage) -> None:
    (only,) = search_runs(
        lineage,
        RunSearch(
            metrics=over(0.7) + over(0.9, MetricName(name="auc", node="train")),
            sort_by=MetricName(name="brier"),
        ),
    )

    assert only.run == lineage.run("a1")
    assert only.tags == {"baseline": ""}
    assert only.metrics == {"judge.auc": 0.8, "train.auc": 0.95, "judge.brier": 0.2}


def test_metrics_of_a_run_are_those_of_its_evaluations(lineage: Lineage) -> None:
    assert metrics_of(lineage, "a1") == {"judge": {"auc": 0.8, "brier": 0.2}}
    assert metrics_of(lineage, "c3") == {"judge": {"auc": 0.6}}
    assert metrics_of(lineage, "d4") == {}


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        pytest.param(
            {"flow": "tee"},
            "There is no run with the flow 'tee'. Did you mean 'tea'?",
            id="flow",
        ),
        pytest.param(
            {"tags": {"basline": None}},
            "There is no run with the tag 'basline'. Did you mean 'baseline'?",
            id="tag",
        ),
        pytest.param(
            {"actor": "carl"},
            "There is no run with the actor 'carl'. Known: 'ann', 'bob'.",
            id="actor",
        ),
        pytest.param(
            {"metrics": over(0.5, MetricName(name="auk"))},
            "There is no evaluation with the metric 'auk'. Did you mean 'auc'?",
            id="metric",
        ),
    ],
)
def test_a_name_that_is_in_no_run_is_refused_with_the_nearest(
    conditions: dict[str, Any], problem: str, lineage: Lineage
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        found(lineage, **conditions)

    assert caught.value.problem == problem


def test_more_runs_are_found_than_one_statement_takes(tmp_path: Path) -> None:
    many = Lineage(tmp_path / "many.db")
    with many.database.writing() as connection:
        from headrace.lineage.tables import run

        rows = [
            vars(RunRecord(id=f"{i:04}", flow="tea", started_at=NEW_YEAR + timedelta(minutes=i)))
            for i in range(2_000)
        ]
        connection.execute(run.insert(), rows)

    ids = found(many, words=("tea",), limit=1_900)

    assert ids == [f"{i:04}" for i in range(1_999, 99, -1)]


def test_the_search_can_be_put_to_postgresql_as_well(lineage: Lineage) -> None:
    from headrace.lineage.search import figures_query

    wanted = RunSearch(flow="tea", tags={"baseline": None}, metrics=over(0.7))

    statement = str(figures_query(AUC, wanted).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]

    assert "artifact.summary #> %(" in statement
