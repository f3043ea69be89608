from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.usage import FeatureValue, flows_using, measured_on_test, values_of
from headrace.lineage import ArtifactRecord, EdgeRecord, InvocationRecord, Lineage, RunRecord
from headrace.store import LocalStore

T0 = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path / "lineage.db")


def table(digest: str, *columns: tuple[str, str | None], kind: str = "Table") -> ArtifactRecord:
    return ArtifactRecord(
        digest=digest,
        kind=kind,
        schema={"columns": [{"name": name, "source": source} for name, source in columns]},
    )


def run(
    lineage: Lineage, flow: str, name: str, day: int, *steps: tuple[str, str, ArtifactRecord]
) -> None:
    """Record a run of operators, each with what it reads and what it makes."""
    at = T0 + timedelta(days=day)
    lineage.start_run(RunRecord(id=name, flow=flow, started_at=at, state="completed"))
    for position, (operator, read, made) in enumerate(steps):
        lineage.record(
            InvocationRecord(
                id=f"{name}/{position}",
                run_id=name,
                node=operator,
                operator=f"operators.{operator}.{operator}",
                state="executed",
                started_at=at + timedelta(minutes=position),
                inputs=(EdgeRecord(name="of", digest=read, kind="Table"),) if read else (),
                outputs=(EdgeRecord(name="out", digest=made.digest, kind=made.kind),),
            ),
            [made],
        )


def test_who_meets_a_column_of_the_view_uses_it_to_the_column(lineage: Lineage):
    rows = table("rows", ("origin", None), ("temp", "weather"), ("humid", "weather"))
    examples = table("examples", ("label", None), ("temp", "weather"), kind="Examples")
    model = ArtifactRecord(digest="model", kind="Model")
    run(lineage, "delays", "first", 0, ("compute", "", rows))
    run(lineage, "delays", "second", 1, ("compute", "", rows), ("build", "rows", examples))
    run(lineage, "planes", "third", 2, ("train", "examples", model))
    run(lineage, "other", "fourth", 3, ("compute", "", table("x", ("temp", "weather_station"))))

    whole = flows_using(lineage, "weather")
    by_column = {name: flows_using(lineage, "weather", name) for name in ("temp", "humid", "snow")}

    assert [(use.flow, use.runs, use.last_run) for use in whole] == [
        ("planes", 1, "third"),
        ("delays", 2, "second"),
    ]
    assert (whole[1].operators, whole[1].state) == (("compute", "build"), "completed")
    assert [use.flow for use in by_column["temp"]] == ["planes", "delays"]
    assert [(use.flow, use.operators) for use in by_column["humid"]] == [
        ("delays", ("compute", "build"))
    ]
    assert by_column["snow"] == ()


def test_earlier_versions_of_a_view_count_too(lineage: Lineage):
    run(lineage, "delays", "one", 0, ("read", "", table("rows", ("temp", "weather@v0"))))

    assert [use.flow for use in flows_using(lineage, "weather", "temp")] == ["delays"]


def test_the_newest_evaluation_says_what_a_feature_is_worth(lineage: Lineage, tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    documents = [
        {"model": "m", "importance": {"temp": {"value": 0.1, "low": 0.0, "high": 0.2}}},
        {"model": "m", "importance": {"temp": {"value": 0.3, "low": None, "high": None}, "x": 0.5}},
        {"model": "another", "importance": {"temp": 0.9}},
    ]
    for day, document in enumerate(documents):
        digest = store.put_document(document).digest
        summary = {"model": document["model"]}
        made = ArtifactRecord(digest=digest, kind="Evaluation", summary=summary)
        run(lineage, "delays", f"run {day}", day, ("evaluate", "m", made))

    found = measured_on_test(lineage, store, "m")

    assert found == {"temp": (0.3, None, None), "x": (0.5, None, None)}
    assert measured_on_test(lineage, store, "nobody's") == {}


def test_an_evaluation_that_is_gone_or_says_nothing_leaves_it_to_an_older_one(
    lineage: Lineage, tmp_path: Path
):
    store = LocalStore(tmp_path / "store")
    kept = store.put_document({"model": "m", "importance": {"temp": 0.2}}).digest
    silent = store.put_document({"model": "m"}).digest
    for day, digest in enumerate([kept, silent, "f" * 64]):
        made = ArtifactRecord(digest=digest, kind="Evaluation", summary={"model": "m"})
        run(lineage, "delays", f"run {day}", day, ("evaluate", "m", made))

    assert measured_on_test(lineage, store, "m") == {"temp": (0.2, None, None)}


def test_values_are_those_of_the_view_the_most_valuable_first():
    taken = [("temp", "weather"), ("humid", "weather@v1"), ("hour", None), ("late", "carrier")]

    values = values_of(
        "weather", taken, {"temp": 0.1, "humid": 0.3, "hour": 0.6}, {"temp": (0.02, 0.01, 0.03)}
    )

    assert values == (
        FeatureValue(feature="temp", share=0.1, loss=0.02, low=0.01, high=0.03),
        FeatureValue(feature="humid", share=0.3),
    )
    assert values_of("weather", taken, {}, {}, "humid") == (FeatureValue(feature="humid"),)
