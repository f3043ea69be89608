"""The second domain: ratings of films, two entities, stream views, SQL, nothing about flights."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.catalog import catalog
from features.causality import first_unfounded
from features.join import Facts, join_as_known
from features.online import online_file
from features.online_lookup import lookup_of
from features.online_reader import OnlineReader
from features.stream import push, stream_source
from headrace.clock import VirtualClock, as_us, using_clock
from headrace.settings import using_settings

FOLDER = Path(__file__).parents[2] / "examples" / "movies"


@pytest.fixture(scope="module")
def movies() -> Iterator[Any]:
    sys.path.append(str(FOLDER))
    from movies.flows import will_like

    yield will_like
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def ratings(movies):
    table = movies.read_ratings().arrow()
    assert table.num_rows == 100_004
    return table


def test_the_catalogue_finds_views_of_two_entities_two_of_them_streams(movies):
    found = catalog([FOLDER / "movies"])

    assert not found.broken
    assert {v.name: (v.keys, v.stream) for v in found.list()} == {
        "film_facts": (("film",), False),
        "film_reputation": (("film",), True),
        "viewer_taste": (("viewer",), True),
    }


def test_the_flow_is_sound_before_anything_is_read(movies):
    plan = movies.will_like.plan()

    assert not plan.problems
    assert len(plan.nodes) == 14


def test_the_windows_say_what_counting_by_hand_says(movies, ratings):
    view = movies.viewer_taste
    rows = view.rows(ratings)
    draw = np.random.default_rng(1)
    asked = ratings.take(draw.integers(0, ratings.num_rows, 40))
    facts = Facts(rows=rows, keys=view.keys, event_time="event_time", known_time="known_time")

    joined = join_as_known(asked.select(["viewer", "decided_at"]), [facts], at="decided_at")

    frame = ratings.select(["viewer", "known_time", "stars", "genre"]).to_pandas()
    for row in joined.to_pylist():
        known = frame[
            (frame["viewer"] == row["viewer"]) & (frame["known_time"] <= row["decided_at"])
        ]
        recent = known[known["known_time"] > row["decided_at"] - timedelta(days=90)]
        week = known[known["known_time"] > row["decided_at"] - timedelta(days=7)]
        assert (row["viewer_ratings_90d"] or 0) == len(recent)
        assert (row["viewer_genres"] or 0) == week["genre"].nunique()
        if len(recent):
            assert row["viewer_likes"] == pytest.approx((recent["stars"] >= 4).mean())
        if len(known):
            assert row["viewer_stars"] == pytest.approx(known["stars"].mean())


def test_no_view_uses_what_became_known_later(movies, ratings):
    early = ratings.slice(0, 20_000)

    for view in (movies.viewer_taste, movies.film_reputation):
        assert first_unfounded(view, early) is None


def test_ratings_that_are_pushed_one_by_one_are_online_what_they_are_offline(
    movies, ratings, tmp_path
):
    view = movies.viewer_taste
    busy = pc.equal(ratings.column("viewer"), ratings.column("viewer")[0])
    some = ratings.filter(busy).slice(0, 60).select(view.source_schema.names)
    clock = VirtualClock(some.column("known_time")[0].as_py())
    asked, online = [], []

    with using_settings(home=tmp_path), using_clock(clock):
        lookups = [lookup_of(view)]
        key = {"viewer": some.column("viewer")[0].as_py()}
        for moment in some.column("known_time").unique().to_pylist():
            clock.advance_to(moment)
            push(view, some.filter(pc.equal(some.column("known_time"), moment)))
            with OnlineReader(online_file(), "headrace", lookups) as reader:
                online.append(reader.read(0, key, as_us(moment)).values)
            asked.append({**key, "at": moment})
        rows = view.rows(stream_source(view))

    facts = Facts(rows=rows, keys=view.keys, event_time="event_time", known_time="known_time")
    joined = join_as_known(pa.Table.from_pylist(asked), [facts], at="at")
    names = [c.name for c in view.columns]
    assert online == [[row[name] for name in names] for row in joined.to_pylist()]


def test_a_flow_feeds_a_month_of_ratings_and_the_same_month_again_changes_nothing(movies, tmp_path):
    from movies.flows.follow_ratings import follow_ratings

    with using_settings(home=tmp_path, roots=[FOLDER / "movies"]):
        first = [r.document for r in follow_ratings.run(month="1996-04").returned()]
        again = [r.document for r in follow_ratings.run(month="1996-04").returned()]

    assert [d["view"] for d in first] == ["viewer_taste", "film_reputation"]
    assert first[0]["rows"] == first[0]["new"] > 0
    assert first[0]["entities"] > 0
    assert [(d["new"], d["changed"]) for d in again] == [(0, False), (0, False)]


@pytest.mark.lengthy
def test_a_later_part_of_the_ratings_gives_a_model_that_beats_the_majority(movies, tmp_path):
    with using_settings(home=tmp_path, roots=[FOLDER / "movies"]):
        evaluation = movies.will_like.run(
            validation_from=date(1998, 1, 1),
            test_from=date(1999, 1, 1),
            until=date(2000, 1, 1),
        ).returned()

    gained = evaluation.document["differences"]["log_loss"]
    assert gained["high"] < 0
