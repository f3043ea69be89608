"""This operator makes training examples of what an endpoint served and what came of it.

A decision counts once its outcome has had its time, whichever it is: taking outcomes as they come
would favour those that come early. Where several models answered, by chances that were logged, each
decision can be weighted to what it would count if all models had been equally likely: that is
Horvitz and Thompson's inverse probability ("A generalization of sampling without replacement from a
finite universe", JASA 47, 1952), self-normalised as by Swaminathan and Joachims ("The
self-normalized estimator for counterfactual learning", NIPS 2015), and clipped where one says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from headrace import Examples, Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError
from headrace.schemas import TableSchema
from operators._decision_fates import fates_of
from operators._decision_findings import findings
from operators._decision_table import OVERRIDDEN, Wanted, examples_columns
from operators._decision_weights import inverse_propensity
from operators._decisions_made import counts_of, examples_of

Policy = Literal["drop", "censor"] | float


def _wanted(parameters: Any) -> Wanted:
    policy = parameters["policy"]
    return Wanted(
        outcome=parameters["outcome"],
        above=parameters["above"],
        fill=None if isinstance(policy, str) else float(policy),
        keeps_censored=policy == "censor",
        weighted=parameters["weight"] == "inverse_propensity",
        unit=parameters["unit"],
    )


def _check(call: PlannedCall) -> list[Finding]:
    schema = call.schema("decisions")
    found = [] if schema is None else list(findings(schema, _wanted(call.parameters)))
    if call.parameters["clip"] is not None and call.parameters["weight"] == "none":
        found.append(
            Finding(
                problem=f"The weights are to be clipped at {call.parameters['clip']:g}, but there "
                "are none.",
                remedy='Leave out `clip`, or give weight="inverse_propensity".',
                rule="weights",
            )
        )
    return found


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    schema, wanted = call.schema("decisions"), _wanted(call.parameters)
    if schema is None or list(findings(schema, wanted)):
        return {"examples": None}
    return {"examples": _schema(schema, wanted)}


@operator(check=_check, produces=_produces)
def decisions_to_examples(
    decisions: Table[Any],
    *,
    outcome: str = "",
    window_hours: Annotated[float, Field(gt=0)],
    policy: Policy = "drop",
    above: float | None = None,
    weight: Literal["none", "inverse_propensity"] = "none",
    clip: Annotated[float, Field(gt=0)] | None = None,
    unit: str | None = None,
    overridden: Literal["keep", "drop"] = "keep",
) -> tuple[Examples[Any], Report]:
    """Make examples of mature decisions: features as they were used, labels as they are known.

    Args:
        decisions: What `served_decisions` read; its `as_of` says up to when outcomes are known.
        outcome: Name of the outcome that is the label; "" for the one without a name.
        window_hours: Hours from the decision within which an outcome must become known. A younger
            decision is left out, whatever is known of it. A correction counts whenever it came.
        policy: What becomes of a mature decision without a label: "drop" leaves it out, "censor"
            keeps it with a null label and `censored`, and a number is taken for its outcome, such
            as 0 for "no click"; but not where the outcome was told to be unknown for ever.
        above: Label 1 where the outcome is above this, else 0; None labels with the outcome.
        weight: "inverse_propensity" weights each decision to what it would count if all models
            that had a chance had been equally likely; the mean weight is 1.
        clip: The most that a decision may count before weights are brought to a mean of 1, as a
            multiple of one under equal chances; None for no limit. It trades bias for spread.
        unit: Column that becomes the group of the examples, such as "unit" or "entity.tail".
        overridden: Whether decisions are kept of which the client gave a feature that a view has.

    Returns:
        The examples, by time of the decision: `id`, `decided_at`, the entity's columns,
        `label_known_at`, `label`, `propensity_weight` if weighted, `overridden` (JSON) and the
        features, nulls as they were served; and the report: how many decisions there were, became
        examples, or were left out, and why; and of the weights the largest, how many were clipped,
        and how many equal ones would tell as much (`effective`).

    Raises:
        DefinitionError: It is no table of decisions, or lacks the outcome or the unit.
        LeakageError: An outcome is said to be known after `as_of`.
        DataError: Nothing is left, or a decision has no chance to be weighted by.
    """
    wanted = _wanted(
        {"policy": policy, "outcome": outcome, "above": above, "weight": weight, "unit": unit}
    )
    if decisions.schema is None:
        raise DefinitionError(
            "The decisions have no schema, so nothing says what is a feature.",
            remedy="Give what `served_decisions` made.",
        )
    for finding in findings(decisions.schema, wanted):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    rows = decisions.arrow()
    fates = fates_of(rows, outcome, window_hours=window_hours)
    usable = fates.labelled.copy()
    if policy != "drop":
        usable |= fates.silent | fates.late
    if wanted.keeps_censored:
        usable |= fates.never
    kept = usable
    if overridden == "drop":
        kept = usable & (rows[OVERRIDDEN].fill_null("").to_numpy(zero_copy_only=False) == "")
    counts = counts_of(rows, fates, usable, kept)
    _require_some(counts, rows.num_rows)
    weights, weighting = None, None
    if wanted.weighted:
        weights, weighting = inverse_propensity(rows.filter(kept), clip)
    columns = examples_columns(decisions.schema, wanted)
    examples = examples_of(rows, columns, fates=fates, kept=kept, wanted=wanted, weights=weights)
    document = {
        "passed": True,
        "outcome": outcome,
        "window_hours": window_hours,
        "policy": policy,
        "above": above,
        "as_of": fates.as_of,
        **counts,
        "weights": weighting,
    }
    return Examples.of(examples, schema=_schema(decisions.schema, wanted)), Report.of(document)


def _schema(schema: TableSchema, wanted: Wanted) -> TableSchema:
    return TableSchema(
        name=f"{schema.name} as examples",
        columns=tuple(column for column, _ in examples_columns(schema, wanted)),
    )


def _require_some(counts: dict[str, Any], rows: int) -> None:
    if counts["examples"]:
        return
    if not rows:
        raise DataError(
            "There are no decisions to make examples of.",
            remedy="Look at the time that `served_decisions` was asked for, and at its endpoint.",
        )
    left = {"immature": counts["immature"], **counts["unlabelled_by_reason"]}
    left["overridden"] = counts["overridden_left_out"]
    said = ", ".join(f"{count:,} {why}" for why, count in left.items() if count)
    raise DataError(
        f"No decision of {rows:,} becomes an example: {said}.",
        remedy="Wait until windows have passed, shorten `window_hours`, take `as_of` later, or say "
        "what counts where nothing was told with `policy`.",
    )
