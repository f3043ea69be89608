"""This module writes the text on the page of an MLflow run, in Markdown; it is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving._figures import figures_table, headlines
from serving._markdown import figure, table

if TYPE_CHECKING:
    from headrace.artifacts import Evaluation, Model
    from headrace.lineage import InvocationRecord, RunRecord

_MOST_LINES = 60
_MOST_RESULTS = 12


@dataclass(frozen=True, kw_only=True)
class NodeLine:
    """This is one node as the text lists it.

    Args:
        node: Path of the node.
        state: What became of it.
        why: Why it was executed or reused, or what went wrong; links in Markdown.
        seconds: How long it took.
    """

    node: str
    state: str
    why: str
    seconds: float

    @classmethod
    def of(cls, invocation: InvocationRecord, remark: str = "") -> NodeLine:
        """Return the line of an invocation."""
        return cls(
            node=invocation.node,
            state=invocation.state,
            why=", ".join(text for text in (_first_line(invocation.message), remark) if text),
            seconds=invocation.seconds,
        )


def flow_note(
    run: RunRecord,
    lines: Sequence[NodeLine],
    *,
    results: Sequence[str],
    prefect_url: str | None,
    message: str,
) -> str:
    """Return the text of a flow's run: what came of it, where to look, what its nodes did.

    Args:
        run: The run.
        lines: Its nodes.
        results: Selections and evaluations, in Markdown; they come first.
        prefect_url: Page of the flow run in Prefect, None outside it.
        message: Why it failed, else empty.
    """
    said = []
    if message:
        said.append("**Failed.**\n\n" + "\n".join(f"    {line}" for line in message.splitlines()))
    said += results[:_MOST_RESULTS]
    said.append(f"Flow `{run.flow}`, run `run:{run.id}`, by {run.actor or 'nobody named'}.")
    if prefect_url:
        said.append(f"[Flow run in Prefect]({prefect_url})")
    said.append(f"Everything about it: `headrace explain run:{run.id[:12]}`")
    if lines:
        said.append(_node_table(lines))
    return "\n\n".join(said)


def selection_said(name: str, chosen: Model, metric: str | None) -> str:
    """Return which model was selected, as the first lines of a run's page say it.

    Args:
        name: The candidate's, as the runs are called.
        chosen: The candidate.
        metric: What it was selected by, None when that is not known.
    """
    card = chosen.card
    value = None if metric is None else card.metrics.get(metric)
    by = "" if value is None else f": {metric} {figure(value)} on validation"
    return f"**Selected `{name}`**{by} ({card.flavor}, `artifact:{chosen.digest[:12]}`)."


def evaluation_said(made: Evaluation, metric: str | None) -> str:
    """Return an evaluation's one or two first figures with their intervals beside the baseline."""
    document = made.document
    names = headlines(document, first=metric)
    if not names:
        return ""
    rows = document.get("rows")
    on = f"{document.get('on', 'test')} set"
    measured = "" if rows is None else f"\n\nMeasured on {rows:,} rows of the {on}."
    return figures_table(document, names) + measured


def selection_table(models: Sequence[Model], chosen: str) -> str:
    """Return the candidates and their validation metrics as a Markdown table.

    Args:
        models: The candidates.
        chosen: Digest of the one that was selected.
    """
    rows = selection_rows(models, chosen)
    metrics = list(dict.fromkeys(key for row in rows for key in row["metrics"]))
    cells = [
        ["selected" if row["selected"] else "", row["model"][:12], row["flavor"]]
        + [figure(row["metrics"].get(key)) for key in metrics]
        for row in rows
    ]
    return table(["", "model", "flavor", *metrics], cells)


def selection_rows(models: Sequence[Model], chosen: str) -> list[dict[str, Any]]:
    """Return the candidates as JSON-like rows."""
    return [
        {
            "model": model.digest,
            "flavor": model.card.flavor,
            "selected": model.digest == chosen,
            "metrics": dict(model.card.metrics),
            "parameters": dict(model.card.parameters),
        }
        for model in models
    ]


def _node_table(lines: Sequence[NodeLine]) -> str:
    rows = [[n.node, n.state, n.why, f"{n.seconds:.2f}"] for n in lines[:_MOST_LINES]]
    said = table(["node", "state", "why", "seconds"], rows)
    left = len(lines) - len(rows)
    return said + (f"\n\nand {left} more: `headrace explain` lists them all." if left else "")


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
