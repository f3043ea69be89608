"""This module compares a rule with what is deployed: models, outcomes, and the traffic so far.

It looks at how many decisions there are and how long their outcomes take, and at no score: whoever
sees evidence before a rule is chosen can choose the rule that promotes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.calls import Finding
from headrace.clock import as_us
from headrace.errors import HeadraceError
from headrace.settings import settings
from serving._evidence_rows import decisions_of
from serving._outcomes_known import known_outcomes
from serving._rule_at_endpoint import deployed_problems, planned_problems, task_problems
from serving._rule_text import block_name
from serving.hosted import decisions_folder
from serving.outcome_kinds import kinds_of
from serving.rollout.log_time import moment_of
from serving.rule import Rule

if TYPE_CHECKING:
    from serving.endpoints import Endpoints, EndpointSpec
    from serving.route import Route

_DAY_US = 86_400_000_000
_LOOK_BACK_DAYS = 56
_HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0}
# An outcome is looked for without a limit: that is what a window is held against.
_TRAFFIC = """
WITH mine AS (
    SELECT id, epoch_us(decided_at) AS us FROM ({decisions})
    WHERE epoch_us(decided_at) <= $as_of AND epoch_us(decided_at) > $as_of - $back
), known AS ({known}), joined AS (
    SELECT m.us, k.first_us - m.us AS lag FROM mine m
    LEFT JOIN known k ON k.id = m.id AND k.name = $outcome AND k.first_us >= m.us
)
SELECT
    count(*) AS decisions,
    coalesce((max(us) - min(us)) / {day}, 0) AS days,
    count(*) FILTER (us <= $as_of - $window) AS mature,
    count(*) FILTER (us <= $as_of - $window AND lag <= $window) AS known,
    count(lag) AS outcomes,
    quantile_cont(lag, 0.5) / 3.6e9 AS median_hours,
    quantile_cont(lag, 0.95) / 3.6e9 AS most_hours
FROM joined
"""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """This is what the log says of decisions and outcomes in its last eight weeks.

    Args:
        decisions: How many there are.
        days: From the first of them to the last.
        mature: How many are as old as the rule's label window.
        known: Of how many of those the outcome was known within it.
        outcomes: Of how many anything was told, whenever it was known.
        median_hours: How long half of the outcomes took at most; None without any.
        most_hours: How long 95 % of them took at most.
    """

    decisions: int
    days: float
    mature: int
    known: int
    outcomes: int
    median_hours: float | None
    most_hours: float | None

    @property
    def a_day(self) -> float:
        """Decisions a day; 0 where there are too few to tell."""
        return self.decisions / self.days if self.decisions > 1 and self.days > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Fit:
    """This is how a rule fits an endpoint.

    Args:
        endpoint: The endpoint.
        problems: What does not fit: with these the rule is refused, or can never promote.
        warnings: What is to be known.
        traffic: What the log says.
        blocks: With how many closed blocks a verdict can come at the earliest.
        days: After how many days that is, from the begin of an experiment; None where nobody can
            tell.
        is_deployed: Whether it is the endpoint's rule already.
        said: What the traffic means, in sentences.
    """

    endpoint: str
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    traffic: Traffic
    blocks: int
    days: float | None
    is_deployed: bool
    said: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "endpoint": self.endpoint,
            "fits": not self.problems,
            "problems": [{"problem": f.problem, "remedy": f.remedy} for f in self.problems],
            "warnings": [{"problem": f.problem, "remedy": f.remedy} for f in self.warnings],
            "traffic": {**vars(self.traffic), "a_day": self.traffic.a_day},
            "expected": {"blocks": self.blocks, "days": self.days},
            "is_deployed": self.is_deployed,
        }

    def told(self) -> str:
        """Return it as people read it."""
        lines = [f"At the endpoint '{self.endpoint}':"]
        lines += [f"  {sentence}" for sentence in self.said]
        for mark, found in (("-", self.problems), ("?", self.warnings)):
            for each in found:
                lines += [f"  {mark} {each.problem}", f"    Fix: {each.remedy}"]
        lines.append("It does not fit." if self.problems else "It fits.")
        return "\n".join(lines)


def fit_of(endpoints: Endpoints, name: str, rule: Rule) -> Fit:
    """Return how a rule fits an endpoint as it is deployed, and the traffic that it had so far.

    Args:
        endpoints: Where it is recorded.
        name: The endpoint.
        rule: The rule, which need not be its own.

    Raises:
        UnknownNameError: There is no such endpoint.
        DamagedArtifactError: A record of the log is damaged.
    """
    route, spec = endpoints.route(name), endpoints.spec(name)
    traffic = traffic_of(decisions_folder(settings(), name), rule, spec.clock)
    blocks, days = earliest(rule, traffic)
    found = [*_deployed(rule, route, spec), *_of_the_log(rule, traffic, days)]
    deployed = None if spec.rule is None else Rule(**spec.rule)
    is_deployed = deployed is not None and deployed.hash == rule.hash
    if deployed is not None and not is_deployed and route.rivals:
        said = f"It is another rule than the deployed '{deployed.name}' ({deployed.hash[:12]})"
        remedy = "Deploy it when nothing is compared, or let it begin anew."
        found.append(_warning(f"{said}: with it, what is compared now begins anew.", remedy))
    return Fit(
        endpoint=name,
        problems=tuple(each for each in found if not each.warning),
        warnings=tuple(each for each in found if each.warning),
        traffic=traffic,
        blocks=blocks,
        days=days,
        is_deployed=is_deployed,
        said=tuple(_sentences(rule, traffic, blocks, days)),
    )


def traffic_of(folder: Path, rule: Rule, clock: str) -> Traffic:
    """Return what a log says of decisions and outcomes; scores are not read.

    Args:
        folder: The endpoint's decision log; where there is none, nothing was decided.
        rule: The outcome that is its label, and the window.
        clock: Whether time passes in the log alone: "replayed", or "live".
    """
    from headrace.decisions import open_view

    as_of = as_us(moment_of(folder, clock))
    with open_view(folder) as connection:
        query = _TRAFFIC.format(
            decisions=decisions_of(connection), known=known_outcomes(connection), day=_DAY_US
        )
        asked: dict[str, Any] = {"as_of": as_of, "back": _LOOK_BACK_DAYS * _DAY_US}
        asked |= {"window": round(rule.label_window_hours * 3.6e9), "outcome": rule.outcome}
        (row,) = connection.sql(query, params=asked).to_arrow_table().to_pylist()
    return Traffic(**row)


def earliest(rule: Rule, traffic: Traffic) -> tuple[int, float | None]:
    """Return after how many blocks, and days, a verdict can come at the earliest.

    Args:
        rule: What it asks for.
        traffic: What there was so far, which is taken to go on.
    """
    blocks = rule.min_blocks
    if rule.looks is not None and rule.max_blocks is not None:
        blocks = max(blocks, math.ceil(rule.max_blocks / rule.looks))
    labelled = 1.0 if not traffic.mature else traffic.known / traffic.mature
    counting = traffic.a_day * (1.0 if rule.missing_outcomes == "zero" else labelled)
    if counting <= 0:
        return blocks, None
    if rule.block == "count":
        a_block = float(rule.block_size or 1)
        blocks = max(blocks, math.ceil(rule.min_decisions / a_block))
        days = blocks * a_block / counting
    else:
        length = _HOURS[rule.block] / 24
        blocks = max(blocks, math.ceil(rule.min_decisions / (counting * length)))
        days = blocks * length
    return blocks, max(days + rule.label_window_hours / 24, rule.min_days)


def _deployed(rule: Rule, route: Route, spec: EndpointSpec) -> Iterator[Finding]:
    """Yield what does not fit the models and outcomes that are declared."""
    from features.on_demand_call import OnDemandCall
    from features.online_lookup import Lookup
    from serving.bundles import card_of

    outcomes = list(kinds_of(spec.outcomes).values())
    for each in planned_problems(rule, views=(), outcomes=outcomes, traffic=None):
        if not each.warning or route.traffic is None:  # people may have given it a share
            yield each
    cards: dict[str, Any] = {}
    models = dict.fromkeys([route.champion, *(rival.model for rival in route.rivals)])
    for ref in models:
        try:
            cards[ref] = card_of(ref)
        except HeadraceError as error:
            said = f"What {ref} takes is not known, so columns are not checked: {error.problem}"
            yield _warning(said, error.remedy)
            yield from task_problems(rule, ref, spec.task)
    if len(cards) < len(models):
        for ref, card in cards.items():
            yield from task_problems(rule, ref, card.task)
        return
    columns = [key for document in spec.lookups for key, _ in Lookup.from_json(document).keys]
    calls = [OnDemandCall.from_json(document) for document in spec.on_demand]
    columns += [each.column for call in calls for each in call.arguments if each.view is None]
    yield from deployed_problems(rule, cards=cards, columns=columns)


def _of_the_log(rule: Rule, traffic: Traffic, days: float | None) -> Iterator[Finding]:
    """Yield what can never be, if all goes on as it did."""
    if traffic.mature and rule.missing_outcomes != "zero":
        share = traffic.known / traffic.mature
        if share < rule.min_coverage:
            took = (
                ""
                if traffic.most_hours is None
                else (f"; of those that came, 95 % took up to {traffic.most_hours:,.1f} hours")
            )
            told = traffic.outcomes / traffic.decisions
            remedy = "Have outcomes told, or lower 'min_coverage' where censoring explains it."
            if told >= rule.min_coverage and traffic.most_hours is not None:
                remedy = f"Set 'label_window_hours' to {math.ceil(traffic.most_hours)} or more."
            yield _problem(
                f"Of {traffic.mature:,} mature decisions {share:.1%} had an outcome within "
                f"{rule.label_window_hours:g} hours, and {rule.min_coverage:.4g} is needed{took}.",
                remedy,
            )
    if days is not None and rule.max_days is not None and days > rule.max_days:
        yield _problem(
            f"At {traffic.a_day:,.0f} decisions a day a verdict takes {days:,.1f} days at least, "
            f"and the rule ends a comparison after {rule.max_days:g}.",
            "Set 'max_days' higher, or 'min_blocks' and 'min_decisions' lower.",
        )


def _sentences(rule: Rule, traffic: Traffic, blocks: int, days: float | None) -> Iterator[str]:
    if not traffic.decisions:
        yield "Nothing was decided there in the last eight weeks: how long it takes is not known."
        return
    yield f"{traffic.decisions:,} decisions in {traffic.days:,.1f} days."
    if traffic.most_hours is not None and traffic.median_hours is not None:
        yield (
            f"Half of the outcomes were known after {traffic.median_hours:,.1f} hours, 95 % after "
            f"{traffic.most_hours:,.1f}; the window is {rule.label_window_hours:g}."
        )
    elif traffic.mature:
        yield "Not one outcome was told yet."
    if days is not None:
        yield (
            f"A verdict takes {blocks:,} {block_name(rule, blocks)}: {days:,.1f} days at the "
            "earliest, and longer for a small advantage."
        )


def _problem(problem: str, remedy: str) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule="endpoint rule")


def _warning(problem: str, remedy: str) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule="endpoint rule", warning=True)
