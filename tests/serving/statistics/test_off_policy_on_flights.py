"""A policy is valued on real flights from a log that chance wrote, where what is true is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from operators.nycflights13 import read_flights
from serving.statistics.off_policy import OffPolicyValue, off_policy_value

LATE = 15  # minutes
IN_VAIN = 0.6  # what a warning is worth if the flight is on time; told right, either way, is 1


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """A sixth of the flights of 2013 that arrived, by their days."""
    frame = read_flights().frame()
    frame = frame[frame["arr_delay"].notna()].iloc[::6]
    day = pd.to_datetime(frame[["year", "month", "day"]])
    hour = frame["sched_dep_time"] // 100
    late = frame["arr_delay"] > LATE
    return frame.assign(day=day, hour=hour, late=late).reset_index(drop=True)


def _earned(flights: pd.DataFrame, warned: np.ndarray) -> np.ndarray:
    """Return what a passenger has of each decision, 0 to 1."""
    late = flights["late"].to_numpy()
    return np.where(warned, np.where(late, 1.0, IN_VAIN), np.where(late, 0.0, 1.0))


def _valued(flights: pd.DataFrame, estimator: str, *, seed: int) -> tuple[OffPolicyValue, float]:
    """Value "warn from three o'clock on" on a log that warned by chance; return the truth too.

    The log warned of one early flight in ten and of half of the late evening's. Flights are late
    more often in the evening: what agreed with the policy is no fair sample of it.
    """
    hour = flights["hour"].to_numpy()
    chance = np.interp(hour, [5, 12, 22], [0.1, 0.2, 0.5])
    warned = np.random.default_rng(seed).random(len(hour)) < chance
    policy = hour >= 15
    found = off_policy_value(
        reward=_earned(flights, warned),
        action=warned,
        propensity=np.where(warned, chance, 1 - chance),
        target=policy,
        features=flights[["hour", "month", "distance"]].to_numpy(dtype=float),
        block=flights["day"].to_numpy(),
        estimator=estimator,
        min_effective=5000,
        alpha=0.05,
    )
    return found, float(_earned(flights, policy).mean())


@pytest.mark.parametrize("estimator", ["snips", "dr"])
def test_the_value_on_real_flights_is_within_its_error_of_what_they_would_have_earned(
    estimator: str, flights: pd.DataFrame
) -> None:
    """Three errors: less than one log in 370 is further off, as the truth is of these flights."""
    found, truth = _valued(flights, estimator, seed=1)

    assert abs(found.value - truth) < 3 * found.value_error
    assert found.value_error < 0.01
    assert found.blocks == 365
    assert found.enough
    assert found.overlaps
    assert 0 < found.lower < truth - found.baseline  # it would have earned more, and that is sure


def test_the_mean_of_the_flights_that_agree_says_something_else(flights: pd.DataFrame) -> None:
    """The control."""
    hour = flights["hour"].to_numpy()
    chance = np.interp(hour, [5, 12, 22], [0.1, 0.2, 0.5])
    warned = np.random.default_rng(1).random(len(hour)) < chance
    found, truth = _valued(flights, "snips", seed=1)

    agree = warned == (hour >= 15)

    assert abs(_earned(flights, warned)[agree].mean() - truth) > 3 * found.value_error


def test_the_days_of_flights_share_their_luck_and_the_error_knows(flights: pd.DataFrame) -> None:
    """The spread of a warning's worth over days is far more than single flights would give it."""
    earned = _earned(flights, np.ones(len(flights)))
    always = {
        "reward": earned,
        "action": np.ones(len(flights)),
        "propensity": np.ones(len(flights)),
        "target": np.ones(len(flights)),
        "features": np.zeros((len(flights), 0)),
        "estimator": "ips",
        "min_effective": 100,
        "alpha": 0.05,
    }

    by_day = off_policy_value(**always, block=flights["day"].to_numpy())
    alone = off_policy_value(**always, block=np.arange(len(flights)))

    assert by_day.baseline == alone.baseline
    assert by_day.baseline_error > 3 * alone.baseline_error
