"""This module writes past runs for people: as a list, and one in full."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.lineage import Lineage, RunRecord

_RUN_ID = re.compile(r"run:([0-9a-f]{12})[0-9a-f]+")


def write_runs(
    found: Sequence[tuple[RunRecord, Mapping[str, str], Mapping[str, float]]],
) -> None:
    """Write a line for each run; tags and metrics have a column where a run has some.

    Args:
        found: Runs with their tags and the metrics to show.
    """
    tagged = any(tags for _, tags, _ in found)
    metrics = sorted({name for _, _, figures in found for name in figures})
    heads = ["run", "flow", "state", "started (UTC)", "from", "by", *metrics]
    rows = [
        [
            f"run:{run.id[:12]}",
            run.flow,
            run.state,
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            run.origin,
            run.actor,
            *(figure(figures.get(name)) for name in metrics),
            *([tags_in_a_line(tags)] if tagged else []),
        ]
        for run, tags, figures in found
    ]
    _screen.write_table([*heads, *(["tags"] if tagged else [])], rows)


def tags_in_a_line(tags: Mapping[str, str]) -> str:
    """Return tags as `name=value`, a bare name where there is no value; ids are shortened."""
    shown = (f"{name}={value}" if value else name for name, value in tags.items())
    return _RUN_ID.sub(r"run:\1", ", ".join(shown))


def figure(value: float | None) -> str:
    """Return a metric as tables show it; nothing where there is none."""
    return "" if value is None else f"{value:.4f}".removesuffix(".0000")


def value_in_a_line(value: Any) -> str:
    """Return a parameter's value as it is given on the command line."""
    return (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )


def run_as_json(lineage: Lineage, run: RunRecord) -> dict[str, Any]:
    """Return all there is to show of a run as JSON-like data for scripts."""
    from flows._tracking.tags import page_in_mlflow
    from headrace.lineage.search import metrics_of
    from headrace.settings import settings

    last = {invocation.node: invocation.state for invocation in lineage.invocations(run.id)}
    links = {}
    if run.prefect_run_id is not None:
        links["Prefect run"] = f"{settings().prefect_url}/runs/flow-run/{run.prefect_run_id}"
    page = page_in_mlflow(run)
    if page is not None:
        links["MLflow run"] = page
    return {
        **asdict(run),
        "tags": lineage.tags([run.id]).get(run.id, {}),
        "nodes": dict(Counter(last.values())),
        "evaluations": metrics_of(lineage, run.id),
        "links": links,
    }


def write_run(told: Mapping[str, Any]) -> None:
    """Write a run in full, from what `run_as_json` returns."""
    short = f"run:{told['id'][:12]}"
    _screen.write(f"{short} of '{told['flow']}' by {told['actor'] or 'nobody named'}")
    ended = f", ended {told['ended_at']:%Y-%m-%d %H:%M:%S}" if told["ended_at"] else ""
    _screen.write(
        f"  {told['state']}; started {told['started_at']:%Y-%m-%d %H:%M:%S} UTC{ended} "
        f"from {told['origin']}"
    )
    if told["message"]:
        _screen.write(f"  {told['message']}")
    counts = ", ".join(f"{count} {state}" for state, count in told["nodes"].items())
    _screen.write(f"  nodes: {counts or 'none'}; seed {told['seed']}")
    if told["tags"]:
        _screen.write(f"  tags: {tags_in_a_line(told['tags'])}")
    for name, value in told["parameters"].items():
        _screen.write(f"  -p {name}={value_in_a_line(value)}")
    rows = [
        [node, name, figure(value)]
        for node, metrics in told["evaluations"].items()
        for name, value in metrics.items()
    ]
    if rows:
        _screen.write()
        _screen.write_table(["evaluation", "metric", "value"], rows)
    _screen.write()
    for title, address in {**told["links"], "Explain": f"headrace explain {short}"}.items():
        _screen.write(f"  {title + ':':<20} {address}")
