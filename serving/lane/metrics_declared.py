"""This module declares what metrics a lane shows: their names, types, labels and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
BREAKER_STATES = ("closed", "open", "probing")
"""What a challenger's breaker may be."""


@dataclass(frozen=True)
class Declared:
    """This is a metric that a lane shows.

    Args:
        name: Its name, with the ending of its kind.
        kind: Its type.
        labels: Its labels after `endpoint`.
        text: What it says, with its unit.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str


METRICS = (
    Declared("headrace_requests_total", "counter", ("path", "status"), "Requests answered."),
    Declared(
        "headrace_request_seconds", "histogram", ("path",),
        "Time from the whole request to the answer, of requests for decisions answered with 200.",
    ),
    Declared("headrace_requests_in_flight", "gauge", (), "Requests that are under way."),
    Declared("headrace_refusals_total", "counter", ("code",), "Requests refused, by code."),
    Declared("headrace_decisions_total", "counter", ("model",), "Decisions, by who answered."),
    Declared(
        "headrace_decisions_repeated_total", "counter", (),
        "Decisions answered from the log, because their id was known.",
    ),
    Declared(
        "headrace_fallbacks_total", "counter", ("model", "reason"),
        "Decisions of a challenger that the champion answered.",
    ),
    Declared(
        "headrace_breaker_state", "gauge", ("model", "state"),
        "1 for the state of a challenger's breaker, 0 for the others.",
    ),
    Declared("headrace_batch_decisions", "histogram", (), "Decisions that were scored at once."),
    Declared(
        "headrace_features_seconds", "histogram", (),
        "Time in which a batch's features were put together, looked up and computed.",
    ),
    Declared("headrace_score_seconds", "histogram", (), "Time in which a batch was scored."),
    Declared("headrace_log_append_seconds", "histogram", (), "Time in which a batch was logged."),
    Declared("headrace_outcomes_total", "counter", ("kind",), "Outcomes taken, by kind."),
    Declared(
        "headrace_shadow_scored_total", "counter", ("model",),
        "Decisions that a model scored in shadow, since it follows this comparison.",
    ),
    Declared("headrace_shadow_failed_total", "counter", ("model",), "Of these, where it failed."),
    Declared(
        "headrace_shadow_dropped_total", "counter", ("model",),
        "Decisions that a shadow left out because it was too far behind.",
    ),
    Declared(
        "headrace_shadow_behind_bytes", "gauge", ("model",),
        "Bytes of the decision log that a shadow has not read yet.",
    ),
    Declared("headrace_log_bytes", "gauge", (), "Bytes of the log that are not compacted yet."),
    Declared(
        "headrace_log_decisions", "gauge", (), "Decisions in the log that are not compacted yet."
    ),
    Declared("headrace_generation", "gauge", (), "The generation that is answered with."),
    Declared("headrace_champion_info", "info", ("model", "runtime"), "1 for who answers."),
    Declared(
        "headrace_challenger_share", "gauge", ("model",),
        "Share of the traffic that a challenger answers, 0 to 1; 0 in shadow.",
    ),
    Declared(
        "headrace_on_demand_total", "counter", ("view", "result"),
        "On-demand views computed since this generation, by result: computed or failed.",
    ),
    Declared("headrace_events_total", "counter", ("event",), "Lines of the structured log."),
    Declared(
        "headrace_events_suppressed_total", "counter", ("event",),
        "Lines of the structured log that were left out, because there were too many.",
    ),
)  # fmt: skip
"""What a lane shows of itself; beside it `process_*`, as every Prometheus client has them."""
