"""This module holds what a planned artifact knows, and what happens when a body looks inside."""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.schemas import TableSchema


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """This is an artifact before it exists: which node makes it and what is known of it.

    Args:
        node: Path of the node that makes it.
        slot: Name of the node's output.
        kind: Artifact kind.
        schema: What is known of the columns; None when nothing is. For a model, the columns of
            the set that it is fitted on.
        task: For a model, what it predicts: "classification" or "estimation".
        partitioned: Whether it stands for partitions whose number only the data knows.
    """

    node: str
    slot: str
    kind: str
    schema: TableSchema | None = None
    task: str | None = None
    partitioned: bool = False

    def __str__(self) -> str:
        kind = f"Partitions[{self.kind}]" if self.partitioned else self.kind
        return f"<{kind} to be made by {self.node}>"


_SHOWN = re.compile(r"<[\w\[\]]+ to be made by [^>]+>")


def shown_in(text: str) -> str | None:
    """Return the planned artifact that was written into a text, such as by an f-string."""
    found = _SHOWN.search(text)
    return None if found is None else found[0]


class TraceStopped(BaseException):
    """This flow body cannot be read on: what comes after it could not be traced.

    A BaseException, so that an `except Exception` in the flow cannot swallow it.
    """

    def __init__(self, problem: str, *, remedy: str, rule: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.problem}\n  Fix: {self.remedy}"


class DataTouched(TraceStopped):
    """This flow body looked at data that does not exist while it is planned."""


def data_touched(symbol: Symbol, what: str) -> DataTouched:
    """Return the error for using `what` on a planned artifact."""
    remedy = "Move what needs the data into an operator and pass the artifact to it."
    if symbol.partitioned and what in ("iteration", "len()", "items"):
        remedy = "Write `map_over(operator, partitions)`, or let an operator take a list of them."
    if what == "==":
        remedy = (
            "Compare contents in an operator; ask with `is` whether two names are one artifact."
        )
    return DataTouched(
        f"The flow body uses `{what}` of the {symbol.kind} from '{symbol.node}', "
        "which has no data while the flow is planned.",
        remedy=remedy,
        rule="data touched",
    )


def condition_used(symbol: Symbol) -> DataTouched:
    """Return the error for branching on a planned artifact."""
    if symbol.kind == "Report":
        name = symbol.node.rsplit("/", 1)[-1].split("#")[0]
        remedy = f"Write `with when({name}): ...`, giving `when` the Report that decides."
    else:
        remedy = (
            "Let an operator return a Report with `passed`, and write `with when(report): ...`; "
            "to ask whether something was given, write `is None`."
        )
    return DataTouched(
        f"The flow body branches on the {symbol.kind} from '{symbol.node}', "
        "whose value does not exist while the flow is planned.",
        remedy=remedy,
        rule="branch on a symbol",
    )
