"""Features are compared, as a model sees them, with the very set that it was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Col, Schema, TrainSet, ValidationSet
from headrace.decisions import DecisionLog, open_view
from headrace.settings import settings, using_settings
from headrace.store import LocalStore
from operators.train_xgboost import train_xgboost
from serving._check import Check
from serving.bundles import keep_bundle
from serving.rollout._drift_bins import (
    bins_of_numbers,
    bins_of_texts,
    counts_of_numbers,
    counts_of_texts,
    stability_index,
)
from serving.rollout.gathered import Gathered
from serving.rollout.guard_figures import guard_figures, log_copy
from serving.rollout.guardrails import guardrail_checks
from serving.rollout.state import RolloutState
from serving.rule import Rule

FIRST = datetime(2026, 7, 1, tzinfo=UTC)
ROWS = 2000


class Flights(Schema, Protocol):
    flight: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]
    wind: Annotated[float | None, Col(role="feature", known_at="decided_at")]
    carrier: Annotated[str, Col(role="feature", known_at="decided_at")]


def drawn(seed: int, rows: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    wind = np.round(random.gamma(4, 2, rows), 1)
    wind[random.random(rows) < 0.1] = np.nan
    return wind, random.choice(["AA", "B6", "DL", "UA"], rows, p=[0.4, 0.3, 0.2, 0.1])


def trained(kind: Any, seed: int) -> Any:
    wind, carrier = drawn(seed, ROWS)
    at = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS), "h")
    late = (np.nan_to_num(wind, nan=8.0) > 8).astype(int)
    frame = pd.DataFrame({"flight": [f"{n}" for n in range(ROWS)], "decided_at": at})
    frame = frame.assign(known_at=at, late=late, wind=wind, carrier=carrier)
    return kind[Flights].of(frame)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a version that was trained there, and its training set in the store."""
    folder = tmp_path_factory.mktemp("home")
    with using_settings(home=folder):
        train = trained(TrainSet, 1)
        LocalStore(Path(settings().store)).put_table(train.arrow())
        model = train_xgboost(train, trained(ValidationSet, 2), n_estimators=3, max_depth=2)
        keep_bundle(model, name="late", version="2")
    with using_settings(home=folder):
        yield folder


STATE = RolloutState(
    endpoint="late",
    generation=3,
    champion="late/1",
    challenger="late/2",
    experiment="e1",
    stage="shadow",
    share=0.0,
    design=None,
    began=FIRST,
    since=FIRST,
)


def served(
    folder: Path, wind: Any, carrier: Any, names: tuple[str, str] = ("wind", "carrier")
) -> Path:
    """Log a decision a minute with these features."""
    log = DecisionLog.open(folder, writer="test")
    columns = log.columns(list(names))
    at = round(FIRST.timestamp() * 1e6)
    log.append(
        [
            {
                "kind": "decision",
                "id": f"d{n}",
                "at": at + n * 60_000_000,
                "logged": at,
                "columns": columns,
                "features": [None if np.isnan(w) else float(w), str(c)],
                "experiment": "e1",
                "model": "late/1",
                "score": 0.5,
            }
            for n, (w, c) in enumerate(zip(wind, carrier, strict=True))
        ]
    )
    log.close()
    return folder


def checked(folder: Path, state: RolloutState = STATE, **guardrail: Any) -> Check:
    fields: dict[str, Any] = {"name": "r", "metric": "brier", "label_window_hours": 24.0}
    fields["guardrails"] = [{"metric": "feature_drift"} | guardrail]
    rule = Rule(**fields)
    as_of = FIRST + timedelta(days=30)
    look: Any = {"rule": rule, "state": state, "as_of_us": round(as_of.timestamp() * 1e6)}
    with open_view(folder) as connection, log_copy(connection, **look) as log:
        figures = guard_figures(log, **look, live=None)
    gathered = Gathered(as_of=as_of, primary=None, figures=figures)
    (check,) = guardrail_checks(rule, Gathered.from_json(gathered.to_json()), state)
    return check


def test_features_as_in_training_pass(home: Path, tmp_path: Path) -> None:
    folder = served(tmp_path / "log", *drawn(3, 1000))

    check = checked(folder)

    assert check.state == "passed"
    assert check.figures["psi"] < 0.05
    assert check.sentence.startswith(
        "The population stability index of 2 features of late/2 is at most"
    )


@pytest.mark.parametrize(
    ("fault", "feature"),
    [
        pytest.param(lambda wind, carrier: (wind * 2, carrier), "wind", id="another unit"),
        pytest.param(
            lambda wind, carrier: (np.full_like(wind, np.nan), carrier), "wind", id="a dead view"
        ),
        pytest.param(
            lambda wind, carrier: (wind, np.where(carrier == "AA", "AX", carrier)),
            "carrier",
            id="a new category",
        ),
    ],
)
def test_what_is_distributed_otherwise_holds(
    home: Path, tmp_path: Path, fault: Any, feature: str
) -> None:
    folder = served(tmp_path / "log", *fault(*drawn(3, 1000)))

    check = checked(folder)

    assert (check.state, check.action) == ("failed", "hold")
    assert check.figures["drifted"] == [feature]
    assert checked(folder, features=["wind" if feature == "carrier" else "carrier"]).state == (
        "passed"
    )


def test_what_changed_last_week_is_not_hidden_by_the_weeks_before(
    home: Path, tmp_path: Path
) -> None:
    """A decision a minute: 20,000 are two weeks, of which the last half is in another unit."""
    wind, carrier = drawn(3, 20_000)
    wind[10_000:] *= 2

    check = checked(served(tmp_path / "log", wind, carrier))

    assert check.figures["decisions"] == 7 * 24 * 60
    assert check.state == "failed"


def test_the_training_distribution_outlives_the_training_set(home: Path, tmp_path: Path) -> None:
    folder = served(tmp_path / "log", *drawn(3, 1000))
    before = checked(folder)
    store = LocalStore(Path(settings().store))
    for digest in list(store.digests()):
        store.discard(digest)

    assert checked(folder) == before


@pytest.mark.parametrize(
    ("names", "guardrail", "said"),
    [
        (("wind", "carrier"), {"features": ["wnd"]}, "late/2 takes no feature 'wnd'. Did you mean"),
        (("wnd", "carrier"), {}, "the log has no feature 'wind'. Did you mean 'wnd'?"),
        (("wind", "carrier"), {"min_decisions": 2000}, "2,000 are needed."),
    ],
)
def test_what_cannot_be_told_holds_and_says_why(
    home: Path, tmp_path: Path, names: Any, guardrail: Any, said: str
) -> None:
    check = checked(served(tmp_path / "log", *drawn(3, 1000), names=names), **guardrail)

    assert (check.state, check.action) == ("unknown", "hold")
    assert said in check.sentence


def test_a_model_that_was_not_registered_here_has_no_reference(home: Path, tmp_path: Path) -> None:
    stranger = RolloutState(**(vars(STATE) | {"challenger": "late/9"}))

    check = checked(served(tmp_path / "log", *drawn(3, 1000)), stranger)

    assert (check.state, check.action) == ("unknown", "hold")
    assert "There is no registered version with a bundle to serve it from 'late/9'" in (
        check.sentence
    )


NUMBERS = st.lists(st.floats(width=32) | st.just(float("nan")), min_size=1, max_size=60)


@given(NUMBERS, NUMBERS)
def test_every_number_falls_into_one_bin_whichever_way_it_came(
    then: list[float], now: list[float]
) -> None:
    bins = bins_of_numbers(np.array(then))

    again = counts_of_numbers(bins, np.array(then))
    counts = counts_of_numbers(bins, np.array(now))

    assert again == [*bins["counts"], bins["nulls"]]
    assert len(counts) == len(again)
    assert sum(counts) == len(now)
    assert stability_index(again, counts) >= 0


TEXTS = st.lists(st.sampled_from("abcdefghijklmnop") | st.none(), min_size=1, max_size=60)


@given(TEXTS, TEXTS)
def test_every_category_falls_into_one_bin(then: list[str | None], now: list[str | None]) -> None:
    bins = bins_of_texts(Counter(then))

    again = counts_of_texts(bins, Counter(then))
    counts = counts_of_texts(bins, Counter(now))

    assert again == [*bins["counts"], bins["nulls"]]
    assert len(counts) == len(again)
    assert sum(counts) == len(now)
    assert stability_index(again, counts) >= 0


def test_a_float_that_lies_on_an_edge_is_the_same_in_32_bits() -> None:
    """0.1 in 32 bits is above 0.1: of a batch, half of all values would seem to have moved."""
    values = np.repeat([0.1, 0.2, 0.3], 100)
    bins = bins_of_numbers(values)

    batch = counts_of_numbers(bins, values.astype(np.float32))

    assert batch == counts_of_numbers(bins, values)


def test_an_index_is_what_it_is_by_hand() -> None:
    then, now = [499, 499], [249, 749]

    index = stability_index(then, now)

    shares = [(499.5 / 999, 249.5 / 999), (499.5 / 999, 749.5 / 999)]
    assert index == pytest.approx(sum((b - a) * np.log(b / a) for a, b in shares))
