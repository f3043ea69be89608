"""This module prepares real flights for the benchmarks of serving: tables, models, requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from features.airport_congestion import airport_congestion
from features.airport_weather import airport_weather
from features.carrier_history import carrier_history
from features.tail_history import tail_history
from features.view import FeatureView
from headrace import Examples, Labels, Model, Table, TrainSet, ValidationSet

VIEWS: tuple[FeatureView, ...] = (
    airport_weather,
    tail_history,
    carrier_history,
    airport_congestion,
)
MAY_LACK = ["tail_history"]
WINDOW_HOURS = 36.0
_VALIDATION_FROM, _TEST_FROM, _UNTIL = date(2013, 5, 1), date(2013, 6, 1), date(2013, 7, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class FlightData:
    """These are the flights of the bundled flow, computed by its operators.

    Args:
        flights: All flights of the year on one time line.
        labels: Whether they came late.
        rows: The rows of `VIEWS`, in that order.
        train: Examples of January to April.
        validation: Examples of May.
        later: Examples of all the year.
    """

    flights: Table[Any]
    labels: Labels[Any]
    rows: list[Table[Any]]
    train: TrainSet[Any]
    validation: ValidationSet[Any]
    later: Examples[Any]


def flight_data() -> FlightData:
    """Return the flights of the year, about six seconds after it was asked for."""
    from operators import nycflights13 as nyc
    from operators.build import build
    from operators.compute_features import compute_features
    from operators.label_by_outcome import label_by_outcome
    from operators.split import split_by_time

    flights = nyc.time_flights(nyc.read_flights(), nyc.read_airports())
    landed, weather = nyc.landings(flights), nyc.time_weather(nyc.read_weather())
    sources = (weather, landed, landed, flights)
    rows = [compute_features(s, view=v) for v, s in zip(VIEWS, sources, strict=True)]
    labels, _ = label_by_outcome(
        flights, outcome="arrival_delay", above=15.0, window_hours=WINDOW_HOURS
    )
    later = build(labels, rows)
    train, validation, _, _ = split_by_time(
        later, validation_from=_VALIDATION_FROM, test_from=_TEST_FROM, until=_UNTIL
    )
    return FlightData(
        flights=flights,
        labels=labels,
        rows=rows,
        train=train,
        validation=validation,
        later=later,
    )


def two_models(data: FlightData) -> tuple[Model, Model]:
    """Return two models of January to April: the bundled flow's trees, and shallower ones."""
    from operators.train_xgboost import train_xgboost

    first = train_xgboost(data.train, data.validation)
    second = train_xgboost(data.train, data.validation, max_depth=4, learning_rate=0.2)
    return first, second


def requests(data: FlightData, model: Model, count: int) -> list[dict[str, Any]]:
    """Return what `count` flights of June would ask, with all features of the model.

    Flights without history are left out: mlflow refuses a null where its signature says integer.
    """
    import pyarrow.compute as pc

    card = model.card
    table = data.later.arrow()
    wanted = pc.and_(
        pc.greater_equal(pc.month(table["decided_at"]), _TEST_FROM.month),
        pc.less(pc.month(table["decided_at"]), _UNTIL.month),
    )
    for feature in card.features:
        if feature.dtype == "int":
            wanted = pc.and_(wanted, pc.is_valid(table[feature.name]))
    table = table.filter(wanted).slice(0, count)
    if table.num_rows < count:
        raise RuntimeError(f"There are {table.num_rows:,} flights to ask about, not {count:,}.")
    ids = table["flight_id"].to_pylist()
    columns = {f.name: table[f.name].to_pylist() for f in card.features}
    return [
        {
            "entity": {"flight_id": ids[i]},
            "features": {name: values[i] for name, values in columns.items()},
        }
        for i in range(count)
    ]
