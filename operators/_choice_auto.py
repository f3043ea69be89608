"""This module decides by which method votes between classes are settled, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from headrace.errors import DataError
from operators._choice_methods import Ballot, Settled, by_estimate, by_gold, by_majority
from operators._crowd_checks import checks_of, winners
from operators._dawid_skene import Floats, dawid_skene
from operators._gold_weights import gold_weighted

Method = Literal["auto", "majority", "dawid_skene", "gold_weighted"]

LEAST_OVERLAP = 2
LEAST_ITEMS = 100
LEAST_GOLD = 50
_TELLING_VOTES = 5  # of a person: fewer that are all alike say nothing of the person


def settled_by(ballot: Ballot, method: Method) -> Settled:
    """Return what votes came to, by the method that was asked for or the safest one that fits.

    Raises:
        DataError: Dawid and Skene's method was asked for where it cannot work, or weights by gold
            where there is no gold.
    """
    gold_items = int((ballot.gold >= 0).sum())
    if method == "majority":
        return by_majority(ballot)
    if method == "gold_weighted":
        if not gold_items:
            raise DataError(
                "Raters cannot be weighed by gold: none of the items with a vote has a known "
                "answer.",
                remedy='Ask for items whose answer is known, or take `method="auto"`.',
            )
        settled = by_gold(ballot)
        if gold_items < LEAST_GOLD:
            settled.findings["warnings"] = [f"only {gold_items} gold items weigh the raters"]
        return settled
    impossible = _impossible(ballot)
    if method == "dawid_skene":
        return _forced(ballot, impossible)
    reasons = [*impossible, *_too_few(ballot)]
    if not reasons:
        settled, reasons = _estimated(ballot)
        if not reasons:
            return settled
    findings = {"not_dawid_skene": reasons}
    if gold_items >= LEAST_GOLD:
        return _safest_by_gold(ballot, findings)
    return _with(by_majority(ballot), findings)


def _impossible(ballot: Ballot) -> list[str]:
    """Return why the method cannot work at all: EM would collapse, in silence."""
    reasons = []
    overlap = float(np.median(np.bincount(ballot.crowd.item)))
    if overlap < LEAST_OVERLAP:
        reasons.append(
            f"the median item has {overlap:g} vote, and raters who never meet cannot be compared"
        )
    one_sided = _one_sided(ballot)
    if one_sided:
        more = f" and {len(one_sided) - 1} more give" if len(one_sided) > 1 else " gives"
        reasons.append(f"'{one_sided[0]}'{more} one answer only, with which the method collapses")
    return reasons


def _one_sided(ballot: Ballot) -> list[str]:
    """Return the rules and models that give one answer only.

    People who do are spammers, with whom the method copes as long as they are a minority: when
    voters of one answer gave half of all votes, they are listed too.
    """
    crowd = ballot.crowd
    given = np.zeros((crowd.raters, crowd.classes), dtype=bool)
    given[crowd.rater, crowd.answer] = True
    votes = np.bincount(crowd.rater, minlength=crowd.raters)
    single = given.sum(axis=1) == 1
    machine = np.array([source in ("rule", "model") for source in ballot.sources], dtype=bool)
    known = single & (machine | (votes >= _TELLING_VOTES))
    half = known[crowd.rater].mean() >= 0.5
    listed = known if half else single & machine
    return [name for name, is_listed in zip(ballot.voters, listed, strict=True) if is_listed]


def _too_few(ballot: Ballot) -> list[str]:
    reasons = []
    if ballot.crowd.items < LEAST_ITEMS:
        reasons.append(f"there are {ballot.crowd.items} items, fewer than {LEAST_ITEMS}")
    if len(np.unique(ballot.crowd.answer)) < 2:
        reasons.append("all votes are for one answer")
    return reasons


def _forced(ballot: Ballot, impossible: Sequence[str]) -> Settled:
    if impossible:
        raise DataError(
            f"Dawid and Skene's method cannot settle these votes: {'; '.join(impossible)}.",
            remedy='Take `method="auto"` or "majority", or let at least two raters answer each '
            "item, with rules that know every answer.",
        )
    settled, reasons = _estimated(ballot)
    warnings = [*_too_few(ballot), *reasons]
    if warnings:
        settled.findings["warnings"] = warnings
    return settled


def _estimated(ballot: Ballot) -> tuple[Settled, list[str]]:
    """Return what the method comes to, and what speaks against it."""
    estimate = dawid_skene(ballot.crowd)
    checks = checks_of(ballot.crowd, estimate)
    reasons = [check.why for check in checks if not check.passed]
    if not estimate.converged:
        reasons.append(f"it had not come to rest after {estimate.iterations} steps")
    gold = _on_gold(ballot, estimate.posterior)
    if gold is not None and gold["method"] < gold["majority"]:
        reasons.append(
            f"on {gold['items']} gold items it is right in {gold['method']:.1%}, majority in "
            f"{gold['majority']:.1%}"
        )
    settled = by_estimate(ballot, estimate)
    settled.findings["checks"] = {check.name: check.value for check in checks}
    if gold is not None:
        settled.findings["on_gold"] = gold
    return settled, reasons


def _safest_by_gold(ballot: Ballot, findings: dict[str, Any]) -> Settled:
    """Return votes weighed by gold, unless majority is more often right on that very gold."""
    gold = _on_gold(ballot, gold_weighted(ballot.crowd, ballot.record()))
    if gold is not None and gold["method"] < gold["majority"]:
        why = f"majority is right more often on {gold['items']} gold items"
        return _with(by_majority(ballot), findings | {"not_gold_weighted": [why]})
    return _with(by_gold(ballot), findings | {"on_gold": gold})


def _on_gold(ballot: Ballot, likely: Floats) -> dict[str, Any] | None:
    """Return how often a method and majority are right on gold; ties count by their share."""
    known = np.flatnonzero(ballot.gold >= 0)
    if not len(known):
        return None
    truth = ballot.gold[known]
    return {
        "items": len(known),
        "method": float(winners(likely)[known, truth].mean()),
        "majority": float(winners(ballot.crowd.counts())[known, truth].mean()),
    }


def _with(settled: Settled, findings: dict[str, Any]) -> Settled:
    settled.findings.update(findings)
    return settled
