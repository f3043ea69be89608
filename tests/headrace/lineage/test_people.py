"""These tests specify tags of runs, and questions with their answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.errors import ParameterError, UnknownNameError
from headrace.lineage import Approval, Lineage, RunRecord

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = "ab" * 16


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    found = Lineage(tmp_path / "lineage.db")
    found.start_run(RunRecord(id=RUN, flow="brew", started_at=NOON))
    return found


def question(**changes: object) -> Approval:
    asked = Approval(
        run_id=RUN, node="approve", question="Sell it?", about={"about[0]": "d1"}, asked_at=NOON
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def test_a_tag_is_set_changed_and_taken_away(lineage: Lineage) -> None:
    lineage.tag_run(RUN, "keep", "", actor="ada")
    lineage.tag_run(RUN, "team", "tea", actor="ada")
    lineage.tag_run(RUN, "team", "coffee", actor="bob")
    before = lineage.tags([RUN])
    lineage.untag_run(RUN, "keep")

    assert before == {RUN: {"keep": "", "team": "coffee"}}
    assert lineage.tags([RUN, "another"]) == {RUN: {"team": "coffee"}}


def test_a_tag_that_is_not_there_is_not_taken_away(lineage: Lineage) -> None:
    lineage.tag_run(RUN, "keep", "", actor="ada")

    with pytest.raises(UnknownNameError) as raised:
        lineage.untag_run(RUN, "kep")

    assert str(raised.value) == (
        "There is no tag of the run abababababab named 'kep'. Did you mean 'keep'?\n"
        "  Fix: name a tag that it has."
    )


def test_a_tag_needs_a_name_and_a_run(lineage: Lineage) -> None:
    with pytest.raises(ParameterError, match="' keep' is no name for a tag"):
        lineage.tag_run(RUN, " keep", "", actor="ada")
    with pytest.raises(UnknownNameError, match="There is no run 'nothing'"):
        lineage.tag_run("nothing", "keep", "", actor="ada")


def test_a_question_is_asked_once_and_keeps_its_answer(lineage: Lineage) -> None:
    lineage.ask(question())
    given = question(approved=True, actor="ada", note="fine", decided_at=NOON, origin="prefect")

    lineage.answer(given)
    again = lineage.ask(question(asked_at=datetime(2026, 2, 1, tzinfo=UTC)))

    assert again == given
    assert lineage.approvals(RUN) == [given]


def test_a_question_about_something_else_is_a_new_one(lineage: Lineage) -> None:
    lineage.ask(question())
    lineage.answer(question(approved=True, actor="ada", decided_at=NOON))

    again = lineage.ask(question(about={"about[0]": "d2"}))

    assert again.approved is None
    assert lineage.approvals(RUN) == [question(about={"about[0]": "d2"})]


def test_an_answer_stands_the_same_again_changes_nothing(lineage: Lineage) -> None:
    lineage.ask(question())
    first = lineage.answer(question(approved=False, actor="ada", decided_at=NOON))
    same = lineage.answer(question(approved=False, actor="bob", decided_at=NOON))

    with pytest.raises(ParameterError) as raised:
        lineage.answer(question(approved=True, actor="bob", decided_at=NOON))

    assert same == first
    assert str(raised.value) == (
        "'approve' of run:abababababab was refused by ada already.\n"
        "  Fix: start a new run to be asked again."
    )


def test_an_answer_needs_a_question_and_somebody_who_answers(lineage: Lineage) -> None:
    lineage.ask(question())

    with pytest.raises(UnknownNameError) as unknown:
        lineage.answer(question(node="aprove", approved=True, actor="ada"))
    with pytest.raises(ParameterError) as nobody:
        lineage.answer(question(approved=True, actor=" "))

    assert str(unknown.value) == (
        "There is no question of the run abababababab at the node 'aprove'. "
        "Did you mean 'approve'?\n"
        "  Fix: name a node that asks, or none when there is only one."
    )
    assert str(nobody.value) == (
        "The answer at 'approve' names nobody who answers.\n  Fix: say who approves or refuses."
    )
