"""This module watches a promotion: is the new champion worse than the old one, in reverse shadow?

The comparison is the one of a challenger the other way round: blocks of the old champion's
advantage, less what the rule's watch concedes. It begins with the 20th block. Before, its level is
not kept: at 1 % and looking from the 10th block on, a new champion that is no worse is rolled back
in 1 % of the cases if blocks are independent and normal, in 3 % if neighbours correlate by 0.2, and
in 4 % if blocks are skewed as an exponential. Until then the guardrails alone watch, as they do
where the outcome depends on the answer: who answers nobody has none.
"""

from __future__ import annotations

from serving._blocks import advantage
from serving._check import Check, failed, make_check, passed, unknown
from serving._checks import has_outcomes, has_scores, is_fresh, is_one_pair
from serving._comparison import Comparison, compared
from serving._evidence_document import Block, Evidence
from serving._rule_text import block_name
from serving.rule import Rule
from serving.rule_stages import FEWEST_WATCHED, Watch

_OLD = "old champion"


def watched(rule: Rule, watch: Watch, evidence: Evidence) -> Comparison:
    """Return the old champion's advantage over the new one; of evidence that is whole."""
    pairs = _pairs(rule, watch, evidence)
    return compared(
        [block for block, _ in pairs],
        [value for _, value in pairs],
        alpha=watch.alpha,
        fewest=FEWEST_WATCHED,
        planned=max(FEWEST_WATCHED, watch.blocks),
        effective=True,
    )


def watch_checks(
    rule: Rule, watch: Watch, evidence: Evidence, comparison: Comparison
) -> list[Check]:
    """Return the checks of a watch, of evidence that is whole.

    Args:
        rule: The rule.
        watch: Its watch.
        evidence: Its champion is the new one, its challenger the old one.
        comparison: What `watched` found.
    """
    checks = [is_one_pair(evidence), has_outcomes(rule, evidence.totals), is_fresh(rule, evidence)]
    pairs = _pairs(rule, watch, evidence)
    if rule.metric == "outcome":
        seen = sum(block.labelled > 0 for block in evidence.blocks)
        said = "Who answers nobody has no outcomes: guardrails alone watch."
        return [*checks, passed("no worse than before", said), _lasted(rule, watch, seen)]
    values = [value for _, value in pairs]
    return [
        *checks,
        has_scores(rule, evidence.totals, who=_OLD),
        _is_no_worse(rule, watch, values, comparison),
        _lasted(rule, watch, len(values)),
    ]


def _pairs(rule: Rule, watch: Watch, evidence: Evidence) -> list[tuple[Block, float]]:
    found = []
    for block in evidence.blocks:
        value = advantage(block.champion_loss, block.challenger_loss, rule, effect=watch.max_drop)
        if value is not None:
            found.append((block, value))
    return found


def _is_no_worse(rule: Rule, watch: Watch, values: list[float], comparison: Comparison) -> Check:
    name, blocks = "no worse than before", block_name(rule)
    if not comparison.bounds:
        return passed(name, f"Before {FEWEST_WATCHED} {blocks}, guardrails alone watch.")
    last = comparison.bounds[-1]
    figures = {"mean": last.mean, "lower": last.lower, "log_e": last.log_e}
    if last.mean is None or last.lower is None or last.log_e is None:
        if max(values) <= 0:  # no block speaks for the old champion
            return passed(name, f"In no {block_name(rule, 1)} the old champion was better.")
        return unknown(name, f"The {blocks} do not vary, or too much to be figures.", **figures)
    conceded = f" beyond the {watch.max_drop:.4g} conceded" if watch.max_drop else ""
    said = (
        f"Over {blocks}, the old champion is {abs(last.mean):.4g} "
        f"{'better' if last.mean >= 0 else 'worse'}{conceded}; the {100 * (1 - watch.alpha):.6g}% "
        f"lower confidence bound of its advantage is {last.lower:.4g}"
    )
    if comparison.is_proof:
        return make_check(name, "failed", "rollback", f"{said}: beyond chance.", figures)
    return passed(name, f"{said}, not above 0.", **figures)


def _lasted(rule: Rule, watch: Watch, seen: int) -> Check:
    said = f"The promotion was watched for {seen:,} of {watch.blocks:,} {block_name(rule)}."
    figures = {"blocks": seen, "needed": watch.blocks}
    return (passed if seen >= watch.blocks else failed)("watched long enough", said, **figures)
