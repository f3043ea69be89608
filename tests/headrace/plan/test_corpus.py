"""The corpus: every seeded mistake is found, alone and at its line; no correct flow is refused."""

from __future__ import annotations

import pytest

from benchmarks._plan_corpus import CORRECT, SEEDED, Case, cases, judged
from benchmarks._plan_corpus.parts import flights
from headrace import flow


@pytest.mark.parametrize("case", cases(SEEDED), ids=lambda case: case.name)
def test_a_seeded_mistake_is_found_at_its_line_and_nothing_else_is_said(case: Case):
    assert judged(case) == ""


@pytest.mark.parametrize("case", cases(CORRECT), ids=lambda case: case.name)
def test_a_correct_flow_is_not_refused(case: Case):
    assert judged(case) == ""


def test_the_corpus_is_large_enough_to_mean_something():
    seeded, right = cases(SEEDED), cases(CORRECT)

    assert len(seeded) >= 150
    assert len({case.rule for case in seeded}) >= 35
    assert len(right) >= 50
    assert len({case.name for case in seeded + right}) == len(seeded) + len(right)


@flow
def _wrong():
    """Break a rule that is not the one expected."""
    return flights(mont=1)  # mistake


@flow
def _right():
    """Break nothing."""
    return flights()  # mistake


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(flow=_right, rule="wrong kind", says="x"), id="nothing is wrong"),
        pytest.param(Case(flow=_wrong, rule="wrong kind", says="'mont'"), id="another rule"),
        pytest.param(Case(flow=_wrong, rule="unknown argument", says="month x"), id="other words"),
        pytest.param(Case(flow=_wrong), id="a correct flow that is not"),
    ],
)
def test_the_judge_does_complain(case: Case):
    assert judged(case) != ""
