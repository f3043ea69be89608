"""This module shows a lane's counts to Prometheus, in its form, made when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from serving.lane.histogram import LATENCY_EDGES, Histogram
from serving.lane.metrics_declared import BREAKER_STATES, METRICS, Declared
from serving.lane.notices import read_shadow

if TYPE_CHECKING:
    from serving.lane.app import LaneApp

Samples = Iterable[tuple[tuple[str, ...], Any]]


class LaneCollector:
    """This collects the metrics of one lane, for a registry of `prometheus_client`.

    Args:
        lane: The lane.
    """

    def __init__(self, lane: LaneApp) -> None:
        self._lane = lane

    def collect(self) -> Iterator[Metric]:
        """Yield every declared metric as it stands."""
        samples = {**_counted(self._lane), **_standing(self._lane), **_shadowed(self._lane)}
        for each in METRICS:
            yield _family(each, self._lane.endpoint, samples.get(each.name, ()))


def exposition(lane: LaneApp) -> Callable[[str], tuple[bytes, str]]:
    """Return what writes a lane's metrics in the form that a reader accepts, with its type."""
    registry = CollectorRegistry()
    registry.register(LaneCollector(lane))
    ProcessCollector(registry=registry)

    def write(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return write


def _counted(lane: LaneApp) -> Mapping[str, Samples]:
    """Return what the meters counted since the replica began."""
    meters = lane.meters
    tallies, steps = meters.all_tallies(), meters.steps
    return {
        "headrace_requests_total": [
            ((tally.label, str(status)), count)
            for tally in tallies
            for status, count in tally.statuses.items()
        ],
        "headrace_request_seconds": [
            ((tally.label,), (tally.took, LATENCY_EDGES)) for tally in tallies if tally.took
        ],
        "headrace_requests_in_flight": [((), meters.in_flight)],
        "headrace_refusals_total": _labelled(meters.refusals),
        "headrace_decisions_total": _labelled(meters.answers),
        "headrace_decisions_repeated_total": [((), meters.repeats)],
        "headrace_fallbacks_total": list(meters.fallbacks.items()),
        "headrace_breaker_state": [
            ((model, state), int(state == now))
            for model, now in meters.breakers.items()
            for state in BREAKER_STATES
        ],
        "headrace_batch_decisions": [((), (meters.batch_sizes, meters.batch_sizes.edges))],
        "headrace_features_seconds": [((), (steps["features"], steps["features"].edges))],
        "headrace_score_seconds": [((), (steps["score"], steps["score"].edges))],
        "headrace_log_append_seconds": [((), (steps["log"], steps["log"].edges))],
        "headrace_outcomes_total": _labelled(meters.outcomes),
        "headrace_events_total": _labelled(meters.events.told),
        "headrace_events_suppressed_total": _labelled(meters.events.suppressed),
    }


def _standing(lane: LaneApp) -> Mapping[str, Samples]:
    """Return how the lane stands: its log, and what it answers with."""
    log = lane.log.stats()
    standing: dict[str, Samples] = {
        "headrace_log_bytes": [((), log.bytes)],
        "headrace_log_decisions": [((), log.decisions)],
    }
    decider = lane.decider
    if decider is None:
        return standing | {"headrace_generation": [((), 0)]}
    table, champion = decider.table, decider.champion
    shares = table.traffic.shares() if table.traffic is not None else {}
    return standing | {
        "headrace_generation": [((), table.generation)],
        "headrace_champion_info": [((champion.ref, champion.scorer.runtime), 1)],
        "headrace_challenger_share": [
            ((each.model.ref,), shares.get(each.model.ref, 0.0)) for each in table.compared
        ],
        "headrace_on_demand_total": [
            ((view, result), count)
            for view, counts in decider.computed().items()
            for result, count in counts.items()
        ],
    }


def _shadowed(lane: LaneApp) -> Mapping[str, Samples]:
    """Return what the endpoint's shadow says of itself in its notice."""
    decider = lane.decider
    notice = None if decider is None else read_shadow(decider.table.notices, lane.endpoint)
    figures = () if notice is None else notice.figures
    return {
        "headrace_shadow_scored_total": [((each.model,), each.scored) for each in figures],
        "headrace_shadow_failed_total": [((each.model,), each.failed) for each in figures],
        "headrace_shadow_dropped_total": [((each.model,), each.dropped) for each in figures],
        "headrace_shadow_behind_bytes": [((each.model,), each.behind) for each in figures],
    }


def _labelled(counts: Mapping[str, int]) -> Samples:
    return [((label,), count) for label, count in counts.items()]


def _family(metric: Declared, endpoint: str, samples: Samples) -> Metric:
    """Return a metric with its samples, of which all have the endpoint as first label."""
    labels = ("endpoint", *metric.labels)
    if metric.kind == "counter":
        counter = CounterMetricFamily(metric.name, metric.text, labels=labels)
        for values, value in samples:
            counter.add_metric((endpoint, *values), value)
        return counter
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.text, labels=labels)
        for values, (counted, edges) in samples:
            histogram.add_metric((endpoint, *values), _buckets(counted, edges), counted.total)
        return histogram
    if metric.kind == "info":
        info = InfoMetricFamily(metric.name.removesuffix("_info"), metric.text, labels=["endpoint"])
        for values, _ in samples:
            info.add_metric([endpoint], dict(zip(metric.labels, values, strict=True)))
        return info
    gauge = GaugeMetricFamily(metric.name, metric.text, labels=labels)
    for values, value in samples:
        gauge.add_metric((endpoint, *values), value)
    return gauge


def _buckets(counted: Histogram, edges: Sequence[float]) -> list[tuple[str, float]]:
    cumulated = [(repr(edge), float(count)) for edge, count in counted.cumulated(edges)]
    return [*cumulated, ("+Inf", float(sum(counted.counts)))]
