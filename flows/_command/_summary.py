"""This module sums up a run for people: what ran, how good the models are, where to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows._command import _screen
from flows._orchestration.presence import server_lost

if TYPE_CHECKING:
    from headrace.execution import FlowRun

_SHOWN = (
    "auc",
    "log_loss",
    "brier",
    "average_precision",
    "accuracy",
    "rmse",
    "mae",
    "r2",
    "micro_f1",
    "jaccard",
)


def show_outcome(finished: FlowRun, *, as_json: bool) -> None:
    """Show what came of a run; exits with 1 unless it is complete or waits for a person."""
    import typer

    if as_json:
        from flows._command._outcome import outcome_as_json

        _screen.write_json(outcome_as_json(finished))
    else:
        write_summary(finished)
    if finished.state not in ("completed", "paused"):
        raise typer.Exit(1)


def write_summary(run: FlowRun) -> None:
    """Write what came of a run."""
    failed = [o for o in run.outcomes.values() if o.state == "failed"]
    _screen.write()
    _write_models(run)
    _write_evaluations(run)
    _write_told(run)
    counts = ", ".join(
        f"{count} {state}"
        for state in ("executed", "cached", "skipped", "failed", "waiting")
        if (count := run.count(state))
    )
    seconds = sum(o.seconds for o in run.outcomes.values())
    _screen.write(f"run:{run.id[:12]} {run.state}: {counts}; {seconds:.1f} s in operators.")
    if not run.pure_executed() and run.state == "completed":
        _screen.write("No pure operator was executed: everything was known already.")
    for outcome in failed:
        _screen.write(f"  ✗ {outcome.path}: {outcome.message}")
    name = f"run:{run.id[:12]}"
    for outcome in run.outcomes.values():
        if outcome.state == "waiting" and outcome.invocation is not None:
            _screen.write(f"  ? {outcome.path} {outcome.message}")
    if run.state == "paused":
        _screen.write(
            f"  Answer with `headrace approve {name}`, then go on with `headrace resume {name}`."
        )
    elif failed:
        _screen.write(f"  Go on with `headrace resume {name}`; what is done is reused.")
    if server_lost.is_set():
        _screen.write("  The Prefect server went away; it shows this end when it is back.")
    for title, address in _links(run).items():
        _screen.write(f"  {title + ':':<20} {address}")


def _write_models(run: FlowRun) -> None:
    from headrace.artifacts import Model, SelectedModel

    models: dict[str, Model] = {}
    seen: set[str] = set()
    selected = None
    for path, outcome in run.outcomes.items():
        for artifact in outcome.outputs.values():
            if isinstance(artifact, SelectedModel):
                selected = artifact.digest
            elif isinstance(artifact, Model) and artifact.digest not in seen:
                models[path] = artifact  # a model that is passed on is shown where it was made
                seen.add(artifact.digest)
    if not models:
        return
    rows = []
    shown = [n for n in _SHOWN if any(n in m.card.metrics for m in models.values())]
    for path, model in models.items():
        metrics = [f"{model.card.metrics[n]:.4f}" if n in model.card.metrics else "" for n in shown]
        rows.append([path, *metrics, "selected" if model.digest == selected else ""])
    _screen.write("On the validation set:")
    _screen.write_table(["model", *shown, ""], rows)
    _screen.write()


def _write_evaluations(run: FlowRun) -> None:
    from headrace.artifacts import Evaluation

    for path, outcome in run.outcomes.items():
        for artifact in outcome.outputs.values():
            if isinstance(artifact, Evaluation):
                _write_evaluation(path, artifact.document)


def _write_told(run: FlowRun) -> None:
    """Write what reports themselves tell in sentences."""
    from headrace.artifacts import Report

    told = [
        str(artifact.document["told"])
        for outcome in run.outcomes.values()
        for artifact in outcome.outputs.values()
        if isinstance(artifact, Report) and artifact.document.get("told")
    ]
    for text in told:
        _screen.write(text)
    if told:
        _screen.write()


def _write_evaluation(path: str, document: Mapping[str, Any]) -> None:
    metrics: Mapping[str, Any] = document.get("metrics", {})
    baseline: Mapping[str, Any] = document.get("baseline", {})
    rows = [
        [name, _interval(metrics[name]), _number(baseline.get(name))]
        for name in _SHOWN
        if name in metrics
    ]
    on, count = document.get("on", "test"), document.get("rows", 0)
    _screen.write(f"On the {on} set ({count:,} rows), by '{path}':")
    _screen.write_table(["metric", "value with interval", "majority baseline"], rows)
    _screen.write()


def _interval(metric: Any) -> str:
    if not isinstance(metric, Mapping):
        return _number(metric)
    low, high = metric.get("low"), metric.get("high")
    spread = "" if low is None or high is None else f"  [{low:.4f}, {high:.4f}]"
    return f"{_number(metric.get('value'))}{spread}"


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("value")
    return f"{value:.4f}" if isinstance(value, int | float) else "-"


def _links(run: FlowRun) -> dict[str, str]:
    links = dict(run.links)
    links["Explain"] = f"headrace explain run:{run.id[:12]}"
    links["Lineage"] = f"headrace lineage run:{run.id[:12]}/<node> --up"
    return links
