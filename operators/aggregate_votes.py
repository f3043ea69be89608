"""This operator turns votes of people, rules and models into one label an item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from headrace import Labels, Report, Votes, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError
from headrace.labels.columns import Vote, VotedLabel
from headrace.labels.schema import LabelSchema
from headrace.schemas import schema_of
from operators._choice_auto import Method
from operators._vote_choices import Outcome, settle_multi, settle_single
from operators._vote_report import report_of
from operators._vote_values import settle_numbers, settle_rankings, settle_spans
from operators._votes_read import VotesRead, read_votes

_SETTLE = {
    "single": settle_single,
    "multi": settle_multi,
    "number": settle_numbers,
    "ranking": settle_rankings,
    "span": settle_spans,
}


def _check(call: PlannedCall) -> list[Finding]:
    return list(_findings(call.parameters["schema"], call.parameters["method"]))


def _findings(schema: LabelSchema, method: Method) -> Iterator[Finding]:
    fit: dict[str, tuple[str, ...]] = {
        "single": ("auto", "majority", "dawid_skene", "gold_weighted"),
        "multi": ("auto", "majority", "dawid_skene", "gold_weighted"),
        "number": ("auto", "majority", "gold_weighted"),
    }
    fitting = fit.get(schema.kind, ("auto", "majority"))
    if method not in fitting:
        yield Finding(
            problem=f"Votes of the kind '{schema.kind}' cannot be settled by '{method}'.",
            remedy=f"Take one of: {', '.join(fitting)}.",
            rule="wrong method",
        )


@operator(check=_check)
def aggregate_votes(
    votes: Votes[Vote],
    others: list[Votes[Vote]] | None = None,
    *,
    schema: LabelSchema,
    method: Method = "auto",
) -> tuple[Labels[VotedLabel], Report]:
    """Settle votes: one label an item, with how sure it is and whether votes differ.

    A gold item has its known answer; then an adjudicator's answer decides; the others are settled
    by a method. Every rater counts once an item, by their last answer. Skips and abstentions count
    for nothing; items without any answer are left out and counted. The order of rows is without
    effect, and so is how votes are dealt out to `votes` and `others`.

    Choices, by "auto": Dawid and Skene's method (1979) finds raters' errors and the labels together
    from at least 100 items of which the median has two votes or more, if no rule or model knows one
    answer only, and if nothing speaks against it: it must give each class between half and twice
    its share by majority, be right on gold at least as often, and not see more in the votes than
    they can tell. Else, with 50 gold items, raters are weighed by them; else majority decides. The
    report says which, and why. A method that is named is used, or refused where it cannot work.

    Several choices are settled one by one. Numbers become the median ("gold_weighted": a weighted
    mean), rankings are settled by Borda's count, spans are kept that more than half mark alike.

    Args:
        votes: Votes of one version of the schema; a null label is a skip or an abstention.
        others: More of them, such as those of rules and of models.
        schema: What was asked. Votes of other versions are refused.
        method: How votes become a label; "majority" is what is usual for the kind.

    Returns:
        The labels, one row an item, by entity; and the report: the method and why no other, what
        was left out, ties and conflicts, every rater's record on gold, and agreement.

    Raises:
        DataError: Votes are of other versions, there is no answer, an answer is none of the schema,
            known answers contradict each other, or the named method cannot work on these votes.
        DefinitionError: The method is not for the schema's kind.
    """
    for finding in _findings(schema, method):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    read = read_votes([each.arrow() for each in (votes, *(others or []))], schema)
    outcome = None if read.answers.empty else _SETTLE[schema.kind](read, schema, method)
    columns = _columns(read, outcome, schema)
    labels: Labels[VotedLabel] = Labels.of(columns, schema=schema_of(VotedLabel))
    return labels, Report.of(report_of(read, outcome, columns, schema, method))


def _columns(read: VotesRead, outcome: Outcome | None, schema: LabelSchema) -> dict[str, Any]:
    """Return the labels as columns: gold first, then adjudicators, then what the crowd came to."""
    items = read.items
    label: list[str | None] = [None] * len(items)
    probability = np.ones(len(items))
    method = [""] * len(items)
    source = list(items["source"])
    if outcome is not None:
        probability[outcome.item] = outcome.probability
        for item, answer in zip(outcome.item.tolist(), outcome.label, strict=True):
            label[item], method[item] = answer, outcome.method
    for item, (gold, adjudicated) in enumerate(
        zip(items["gold"], items["adjudicated"], strict=True)
    ):
        if gold is not None:
            label[item], method[item], source[item] = gold, "gold", "gold"
        elif adjudicated is not None:
            label[item], method[item], source[item] = adjudicated, "adjudicated", "adjudicator"
        else:
            continue
        probability[item] = 1.0
    return {
        "entity": list(items["entity"]),
        "as_of": items["as_of"],
        "label_known_at": items["known_at"],
        "label": label,
        "probability": probability,
        "votes": items["votes"].to_numpy(dtype=np.int64),
        "conflict": items["conflict"].to_numpy(dtype=bool),
        "slice": list(items["slice"]),
        "source": source,
        "method": method,
        "schema_version": [schema.version] * len(items),
    }
