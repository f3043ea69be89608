"""These tests specify how a run waits for a person, and how it is taken up again."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace import Report, flow, operator
from headrace.control import when
from headrace.errors import DefinitionError, ParameterError
from headrace.execution import RunError, Session, resumable_run, resume_run
from headrace.lineage import RunRecord
from operators.approve import approve


@operator()
def count(*, last: int, log: str) -> Report:
    """Count up to a number, and say so in a file."""
    with Path(log).open("a", encoding="utf-8") as said:
        said.write("count\n")
    return Report.of({"passed": True, "sum": sum(range(last))})


@operator(effect=True)
def act(report: Report, *, log: str) -> Report:
    """Act, and say so in a file."""
    with Path(log).open("a", encoding="utf-8") as said:
        said.write("act\n")
    return report


@operator(effect=True)
def stumble(report: Report, *, stone: str) -> Report:
    """Fail while a file lies in the way."""
    if Path(stone).exists():
        raise ValueError("there is a stone")
    return report


@flow
def asking(*, last: int, log: str) -> Report:
    """Act on a count if a person agrees."""
    counted = count(last=last, log=log)
    agreed = approve([counted], question="May it act?")
    with when(agreed):
        done = act(counted, log=log)
    return done


@flow
def stumbling(*, log: str, stone: str) -> Report:
    """Count, then stumble."""
    return stumble(count(last=3, log=log), stone=stone)


def answered(session: Session, run_id: str, *, approved: bool) -> None:
    (question,) = session.lineage.approvals(run_id)
    given = {"actor": "ada", "note": "looked at it", "origin": "command line"}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    session.lineage.answer(replace(question, approved=approved, decided_at=now, **given))


def states(finished: Any) -> dict[str, str]:
    return {path: outcome.state for path, outcome in finished.outcomes.items()}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_flow_pauses_at_a_question_when_everything_else_is_done(
    session: Session, log: Path
) -> None:
    finished = asking.run_with({"last": 4, "log": str(log)}, session=session)

    assert finished.state == "paused"
    assert states(finished) == {"count": "executed", "approve": "waiting", "act": "waiting"}
    assert session.lineage.run(finished.id).state == "paused"
    (question,) = session.lineage.approvals(finished.id)
    assert question.question.splitlines()[0] == "May it act?"
    assert question.about == {"about[0]": finished["count"].digest}


def test_an_approved_run_goes_on_as_the_same_run_and_computes_nothing_twice(
    session: Session, log: Path
) -> None:
    paused = asking.run_with({"last": 4, "log": str(log)}, session=session)
    answered(session, paused.id, approved=True)

    finished = resume_run(asking, resumable_run(session.lineage, paused.id))

    assert (finished.id, finished.state) == (paused.id, "completed")
    assert states(finished) == {"count": "cached", "approve": "executed", "act": "executed"}
    assert log.read_text().split() == ["count", "act"]
    answer = finished["approve"].document  # type: ignore[attr-defined]
    assert (answer["passed"], answer["approved_by"], answer["note"]) == (
        True,
        "ada",
        "looked at it",
    )


def test_what_is_refused_skips_what_needs_it_and_the_run_is_complete(
    session: Session, log: Path
) -> None:
    paused = asking.run_with({"last": 4, "log": str(log)}, session=session)
    answered(session, paused.id, approved=False)

    finished = resume_run(asking, resumable_run(session.lineage, paused.id))

    assert finished.state == "completed"
    assert states(finished) == {"count": "cached", "approve": "executed", "act": "skipped"}
    assert log.read_text().split() == ["count"]


def test_an_answer_counts_only_for_what_it_was_given_about(session: Session, log: Path) -> None:
    paused = asking.run_with({"last": 4, "log": str(log)}, session=session)
    answered(session, paused.id, approved=True)
    run = replace(session.lineage.run(paused.id), parameters={"last": 5, "log": str(log)})

    finished = resume_run(asking, run)

    assert finished.state == "paused"
    assert [a.approved for a in session.lineage.approvals(paused.id)] == [None]


def test_a_paused_flow_that_is_called_for_its_result_says_how_to_answer(
    session: Session, log: Path
) -> None:
    paused = asking.run_with({"last": 4, "log": str(log)}, session=session)

    with pytest.raises(RunError) as raised:
        paused.require_completed()

    assert str(raised.value) == (
        "Flow 'asking' waits for a person at 'approve'.\n"
        f"  Fix: Answer with `headrace approve run:{paused.id[:12]}`, then run "
        f"`headrace resume run:{paused.id[:12]}`."
    )


def test_asking_outside_a_flow_run_is_refused() -> None:
    with pytest.raises(DefinitionError) as raised:
        approve([Report.of({"passed": True})], question="May it act?")

    assert str(raised.value) == (
        "A person can be asked only while a flow runs.\n"
        "  Fix: Call the operator in a flow, and run that."
    )


def test_a_failed_run_goes_on_from_what_was_done(
    session: Session, log: Path, tmp_path: Path
) -> None:
    stone = tmp_path / "stone"
    stone.touch()
    failed = stumbling.run_with({"log": str(log), "stone": str(stone)}, session=session)
    stone.unlink()

    finished = resume_run(stumbling, resumable_run(session.lineage, f"run:{failed.id[:8]}"))

    assert (failed.state, finished.id, finished.state) == ("failed", failed.id, "completed")
    assert states(finished) == {"count": "cached", "stumble": "executed"}
    record = session.lineage.run(failed.id)
    assert (record.state, record.message) == ("completed", "")
    assert len(session.lineage.runs()) == 1


def recorded(session: Session, **changes: Any) -> RunRecord:
    import platform

    from headrace.execution.living import own_start

    machine = {"host": platform.node(), "pid": os.getpid(), "process_started": own_start()}
    run = RunRecord(
        id="a" * 32,
        flow="asking",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        **{"machine": machine, **changes},
    )
    session.lineage.start_run(run)
    return run


def test_a_complete_run_is_not_taken_up(session: Session) -> None:
    recorded(session, state="completed")

    with pytest.raises(ParameterError) as raised:
        resumable_run(session.lineage, "latest:asking")

    assert str(raised.value) == (
        "run:aaaaaaaaaaaa is complete; there is nothing to take up.\n"
        "  Fix: Run it anew with `headrace runs rerun run:aaaaaaaaaaaa`; what is known is reused."
    )


def test_a_run_that_is_running_is_not_taken_up(session: Session) -> None:
    run = recorded(session)

    with pytest.raises(ParameterError) as raised:
        resumable_run(session.lineage, "a" * 32)

    assert str(raised.value) == (
        f"run:aaaaaaaaaaaa is running, in process {os.getpid()} on {run.machine['host']}.\n"
        "  Fix: Wait for it, or end that process first."
    )


def test_a_run_whose_process_is_gone_is_closed_and_taken_up(session: Session) -> None:
    run = recorded(session)
    gone = {**run.machine, "process_started": run.machine["process_started"] - 1000}
    session.lineage.take_up_run(run.id, gone)

    found = resumable_run(session.lineage, "a" * 32)

    assert (found.state, found.message) == ("crashed", "its process ended without a word")


def test_a_run_that_waits_for_an_answer_says_what_it_asks(session: Session, log: Path) -> None:
    paused = asking.run_with({"last": 4, "log": str(log)}, session=session)

    with pytest.raises(ParameterError) as raised:
        resumable_run(session.lineage, paused.id)

    name = f"run:{paused.id[:12]}"
    assert str(raised.value) == (
        f"{name} waits for an answer at 'approve': May it act?\n"
        f"  Fix: Answer with `headrace approve {name}`."
    )


def test_only_a_run_can_be_taken_up(session: Session, log: Path) -> None:
    asking.run_with({"last": 4, "log": str(log)}, session=session)

    with pytest.raises(ParameterError) as raised:
        resumable_run(session.lineage, "latest:asking/count")

    assert str(raised.value) == (
        "'latest:asking/count' is no run.\n  Fix: Name one, as `headrace runs` lists it."
    )
