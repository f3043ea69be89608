"""This module takes real days: losses of models that differ in what they know of each flight.

Three models are trained on January to April, with May to stop early: with all features, with the
weather as the only view, and with what the timetable says. The days are those from June on.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from benchmarks._flights import FlightData, flight_data
from benchmarks._promotion_days import Days, Flags, Vector, from_rows
from serving._losses import losses
from serving.rule import Rule

_LOSS = Rule(name="loss", metric="log_loss", label_window_hours=36)
_BOUNDS = (date(2013, 5, 1), date(2013, 6, 1), date(2013, 7, 1))
_TEST_MONTH, _FEWEST_FLIGHTS = 6, 100
# a loss less its mean may be below 0, and no loss is: both models get this much more of it
LIFT = 1.0


@dataclass(frozen=True, kw_only=True)
class Pair:
    """These are the real days of two models, with the mean difference taken out.

    Args:
        champion: What the champion knows: "all", "weather" or "timetable".
        challenger: What the challenger knows.
        days: A single run of all days.
        losses: Losses of both models on each flight, equal in the mean over flights.
        facts: What was measured of the days' differences.
    """

    champion: str
    challenger: str
    days: Days
    losses: tuple[Vector, Vector]
    facts: dict[str, float]


def real_pairs(rule: Rule, zone: str = "America/New_York") -> list[Pair]:
    """Return all ordered pairs of the models, the one with the worst skewness first.

    Args:
        rule: Its metric must be "mae": a loss enters as an error, so that its mean can be taken
            out and nothing else of it changes.
        zone: Whose midnight parts days.
    """
    at_us, day_losses = _losses(flight_data())
    rule = rule.model_copy(update={"timezone": zone})
    whole = _whole_days(at_us, rule, day_losses["all"])
    at_us, kept = at_us[whole], {name: each[whole] for name, each in day_losses.items()}
    pairs = []
    for champion, challenger in itertools.permutations(kept, 2):
        ours, theirs = kept[champion], kept[challenger]
        before = _days(at_us, ours, theirs, rule)
        days = _days(at_us, ours, theirs + float(before.values.mean()), rule)
        pairs.append(
            Pair(
                champion=champion,
                challenger=challenger,
                days=days,
                losses=(ours + LIFT, theirs + float((ours - theirs).mean()) + LIFT),
                facts=facts_of(days),
            )
        )
    return sorted(pairs, key=lambda pair: pair.facts["skewness"])


def facts_of(days: Days) -> dict[str, float]:
    """Return how the day differences of one run are distributed, and what they have in common."""
    values = days.values[0]
    centred = values - values.mean()
    variance = float(centred.var())
    requests = float(days.counts.sum())
    within = float(days.squares.sum()) / requests - (float(days.sums.sum()) / requests) ** 2

    def correlation(lag: int) -> float:
        return float((centred[lag:] * centred[:-lag]).mean()) / variance

    return {
        "days": values.size,
        "requests_a_day": float(np.median(days.counts)),
        "design_effect": variance / (within / float(days.counts.mean())),
        "deviation": variance**0.5,
        "skewness": float((centred**3).mean()) / variance**1.5,
        "kurtosis": float((centred**4).mean()) / variance**2 - 3,
        "correlation_of_neighbours": correlation(1),
        "correlation_after_a_week": correlation(7),
        "weekday_share_of_variance": _weekday_share(centred, variance),
    }


def _weekday_share(centred: Vector, variance: float) -> float:
    means = [float(centred[k::7].mean()) for k in range(7)]
    return float(np.mean(np.square(means))) / variance


def _losses(data: FlightData) -> tuple[Vector, dict[str, Vector]]:
    """Return when each flight of the later months was decided, and the models' losses."""
    import pyarrow.compute as pc

    from operators.build import build
    from operators.scoring import load
    from operators.split import split_by_time
    from operators.train_xgboost import train_xgboost

    weather = data.rows[0]
    views: dict[str, list[Any]] = {"all": data.rows, "weather": [weather], "timetable": []}
    result, at_us = {}, np.empty(0)
    for name, rows in views.items():
        examples = build(data.labels, rows)
        validation_from, test_from, until = _BOUNDS
        train, validation, _, _ = split_by_time(
            examples, validation_from=validation_from, test_from=test_from, until=until
        )
        model = train_xgboost(train, validation)
        table = examples.arrow()
        table = table.filter(pc.greater_equal(pc.month(table["decided_at"]), _TEST_MONTH))
        table = table.sort_by("decided_at")
        asked = {f.name: table[f.name].to_pylist() for f in model.card.features}
        score = np.asarray(load(model, threads=2).score(asked), dtype=np.float64)
        outcome = table["label"].to_numpy().astype(np.float64)
        result[name] = losses(outcome, score, _LOSS)
        at_us = pc.cast(table["decided_at"], "int64").to_numpy()
    return at_us, result


def _whole_days(at_us: Vector, rule: Rule, loss: Vector) -> Flags:
    """Return which flights are of days with more than a few of them."""
    days = _days(at_us, loss, loss, rule)
    few = np.repeat(days.counts[0] < _FEWEST_FLIGHTS, days.counts[0].astype(int))
    return ~few


def _days(at_us: Vector, ours: Vector, theirs: Vector, rule: Rule) -> Days:
    flags = np.ones(at_us.size, dtype=bool)
    rows = {
        "at_us": at_us,
        "champion": ours + LIFT,
        "challenger": theirs + LIFT,
        "outcome": np.zeros(at_us.size),
        "shadowed": flags,
        "known": flags,
        "censored": ~flags,
    }
    return from_rows(rows, rule, runs=1, keep=1)
