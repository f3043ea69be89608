"""This module finds features of learning sets that nobody could know at the decision.

`build` never makes such a set; an operator of one's own may, and whoever splits or fits it later
could not tell. So the set is refused where it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.calls import PlannedCall
from headrace.schemas import Column, TableSchema
from headrace.signature import Wrong
from headrace.symbols import Symbol

_SETS = ("Examples", "TrainSet", "ValidationSet", "TestSet")


def leaking_features(
    call: PlannedCall, outputs: Mapping[str, Symbol], *, path: str
) -> Iterator[Wrong]:
    """Yield the features of a call's outputs that are known too late, once for all outputs.

    Args:
        call: The planned call; what leaked into its inputs was said where these were made.
        outputs: What the call makes.
        path: The node's path.
    """
    said = {
        feature.name
        for symbols in call.inputs.values()
        for symbol in symbols
        for feature, _ in _late(symbol)
    }
    for symbol in outputs.values():
        for feature, decision in _late(symbol):
            if feature.name in said:
                continue
            said.add(feature.name)
            than = f"at the decision, '{decision}'" if decision else "at a decision"
            yield Wrong(
                "leak",
                f"'{path}': feature '{feature.name}' of the {symbol.kind} is known at "
                f"'{feature.known_at}', not {than}.",
                "Take its role away, or bring it in by a feature view, as it was known by then.",
            )


def _late(symbol: Symbol) -> Iterator[tuple[Column, str | None]]:
    """Yield the features that are known too late, with the time of the decision where there is."""
    schema: TableSchema | None = symbol.schema
    if schema is None or symbol.kind not in _SETS:
        return
    decision = next((c.name for c in schema.with_role("decision_time")), None)
    outcome = {c.name for c in schema.with_role("known_time")}
    for feature in schema.with_role("feature"):
        if feature.known_at in {None, decision}:
            continue
        if decision is not None or feature.known_at in outcome:
            yield feature, decision
