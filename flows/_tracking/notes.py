"""This module writes the text on the page of an MLflow run, in Markdown; it is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.artifacts import Model
    from headrace.lineage import InvocationRecord, RunRecord

_MOST_LINES = 60


@dataclass(frozen=True, kw_only=True)
class NodeLine:
    """This is one node as the text lists it.

    Args:
        node: Path of the node.
        operator: Name of the operator.
        state: What became of it.
        seconds: How long it took.
        remark: More about it, in Markdown.
    """

    node: str
    operator: str
    state: str
    seconds: float
    remark: str = ""

    @classmethod
    def of(cls, invocation: InvocationRecord, remark: str = "") -> NodeLine:
        """Return the line of an invocation."""
        return cls(
            node=invocation.node,
            operator=invocation.operator,
            state=invocation.state,
            seconds=invocation.seconds,
            remark=remark or invocation.message.split("\n", 1)[0],
        )


def flow_note(
    run: RunRecord, lines: Sequence[NodeLine], *, prefect_url: str | None, message: str
) -> str:
    """Return the text of a flow's run: where to look, why it failed, what its nodes did."""
    said = [f"Flow `{run.flow}`, run `run:{run.id}`, started by {run.actor or 'nobody known'}."]
    if prefect_url:
        said.append(f"[Flow run in Prefect]({prefect_url})")
    said.append(f"Lineage: `headrace lineage run:{run.id}`")
    if message:
        said.append("**Failed.**\n\n" + "\n".join(f"    {line}" for line in message.splitlines()))
    if lines:
        said.append(_node_table(lines))
    return "\n\n".join(said)


def selection_table(models: Sequence[Model], chosen: str) -> str:
    """Return the candidates and their validation metrics as a Markdown table.

    Args:
        models: The candidates.
        chosen: Digest of the one that was selected.
    """
    rows = selection_rows(models, chosen)
    metrics = list(dict.fromkeys(key for row in rows for key in row["metrics"]))
    said = [_row(["", "model", "flavor", *metrics]), _row(["---"] * (3 + len(metrics)))]
    for row in rows:
        values = [_figure(row["metrics"].get(key)) for key in metrics]
        selected = "selected" if row["selected"] else ""
        said.append(_row([selected, row["model"][:12], row["flavor"], *values]))
    return "\n".join(said)


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
    said = [_row(["node", "operator", "state", "seconds", ""]), _row(["---"] * 5)]
    said += [
        _row([n.node, n.operator, n.state, f"{n.seconds:.2f}", n.remark])
        for n in lines[:_MOST_LINES]
    ]
    if len(lines) > _MOST_LINES:
        said.append(f"\nand {len(lines) - _MOST_LINES} more: `headrace lineage` lists them all.")
    return "\n".join(said)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def link(text: str, url: str) -> str:
    """Return a Markdown link."""
    return f"[{text}]({url})"


def readable(values: Mapping[str, Any]) -> str:
    """Return values as one line, for a remark."""
    return ", ".join(f"{key} {_figure(value)}" for key, value in values.items())
