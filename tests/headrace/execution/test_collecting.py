"""What a collection removes, what it must keep, and that flows and records do well afterwards."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headrace import Flow, Report, flow, operator
from headrace.clock import VirtualClock, using_clock
from headrace.errors import ParameterError, StoreError
from headrace.execution import Session, run_plan
from headrace.execution.collecting import Collected, collect
from headrace.execution.keeping import Keep
from headrace.execution.outcome import FlowRun
from headrace.execution.verifying import verified
from headrace.lineage.records import Approval
from headrace.store import LocalStore
from headrace.store.occupancy import StoreInUseError, alone

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)
LAST_ONLY = Keep(last=1)


@operator()
def brew(*, litres: int) -> Report:
    """Brew some tea."""
    return Report.of({"passed": True, "litres": litres})


@operator()
def pour(pot: Report, *, cups: int) -> Report:
    """Pour tea into cups."""
    return Report.of({"passed": True, "each": pot.document["litres"] / cups})


@flow
def tea(*, litres: int = 2, cups: int = 4) -> Report:
    """Make tea."""
    return pour(brew(litres=litres), cups=cups)


@flow
def more_tea(*, litres: int = 2, cups: int = 4) -> Report:
    """Make tea for others."""
    return pour(brew(litres=litres), cups=cups)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """A year that begins when the test does."""
    with using_clock(VirtualClock(NEW_YEAR)) as clock:
        yield clock


@pytest.fixture
def store(session: Session) -> LocalStore:
    assert isinstance(session.store, LocalStore)
    return session.store


def made(
    session: Session, *, of: Flow[..., Report] = tea, litres: int = 2, cups: int = 4
) -> FlowRun:
    return run_plan(of.plan(litres=litres, cups=cups), session)


def digest(run: FlowRun, node: str) -> str:
    return run.outcomes[node].outputs["result"].digest


def collected(
    session: Session, keep: Keep, *, dry_run: bool = False, roots: tuple[str, ...] = ()
) -> Collected:
    assert isinstance(session.store, LocalStore)
    return collect(session.store, session.lineage, keep=keep, roots=lambda: roots, dry_run=dry_run)


def test_what_only_old_runs_reach_goes_and_the_newest_of_each_flow_stays(
    session: Session, store: LocalStore, clock: VirtualClock
):
    old = made(session, litres=1)
    clock.advance_to(NEW_YEAR + timedelta(days=40))
    new, other = made(session, litres=2), made(session, of=more_tea, litres=3)
    clock.advance_to(NEW_YEAR + timedelta(days=80))

    found = collected(session, LAST_ONLY)

    assert set(found.digests) == {digest(old, "brew"), digest(old, "pour")}
    assert set(store.digests()) == {
        digest(run, node) for run in (new, other) for node in ("brew", "pour")
    }
    assert found.removed["document"].count == 2
    assert found.runs == {"running or paused": 0, "recent": 0, "newest": 2, "tagged": 0}


def test_what_a_recent_run_reused_stays_with_it(
    session: Session, store: LocalStore, clock: VirtualClock
):
    made(session, cups=4)
    clock.advance_to(NEW_YEAR + timedelta(days=40))
    again = made(session, cups=8)
    clock.advance_to(NEW_YEAR + timedelta(days=50))

    collected(session, Keep(newer_than=timedelta(days=30)))

    assert again.outcomes["brew"].state == "cached"
    assert set(store.digests()) == {digest(again, "brew"), digest(again, "pour")}


def test_a_tagged_run_and_one_that_waits_for_a_person_keep_what_they_have(
    session: Session, store: LocalStore, clock: VirtualClock
):
    tagged, waiting, plain = (made(session, litres=litres) for litres in (1, 2, 3))
    session.lineage.tag_run(tagged.id, "keep", "for the paper", actor="ann")
    asked = store.put_document({"question": "May it ship?"})
    session.lineage.ask(
        Approval(
            run_id=waiting.id,
            node="ask",
            question="May it?",
            about={"x": asked.digest},
            asked_at=NEW_YEAR,
        )
    )
    session.lineage.finish_run(waiting.id, "paused", "", NEW_YEAR)
    clock.advance_to(NEW_YEAR + timedelta(days=400))

    found = collected(session, Keep())

    assert set(found.digests) == {digest(plain, "brew"), digest(plain, "pour")}
    assert store.has(asked.digest)


def test_a_model_in_service_keeps_everything_that_led_to_it(
    session: Session, store: LocalStore, clock: VirtualClock
):
    served, forgotten = made(session, litres=1), made(session, litres=2)
    clock.advance_to(NEW_YEAR + timedelta(days=400))

    collected(session, Keep(), roots=(digest(served, "pour"),))

    assert set(store.digests()) == {digest(served, "brew"), digest(served, "pour")}
    assert not store.has(digest(forgotten, "brew"))


def test_a_dry_run_removes_nothing_and_says_what_the_run_then_does(
    session: Session, store: LocalStore, clock: VirtualClock
):
    made(session, litres=1)
    clock.advance_to(NEW_YEAR + timedelta(days=40))
    before = set(store.digests())

    said = collected(session, Keep(), dry_run=True)
    untouched = set(store.digests())
    done = collected(session, Keep())

    assert untouched == before
    assert (said.removed, said.kept, said.digests) == (done.removed, done.kept, done.digests)
    assert set(store.digests()) == set()


def test_a_flow_makes_again_what_was_collected_and_old_runs_are_still_explained(
    session: Session, store: LocalStore, clock: VirtualClock
):
    old = made(session)
    clock.advance_to(NEW_YEAR + timedelta(days=40))
    collected(session, Keep())

    again = made(session)

    assert {path: o.state for path, o in again.outcomes.items()} == {
        "brew": "executed",
        "pour": "executed",
    }
    assert again.outcomes["brew"].message == (
        "what was stored is gone or damaged, so it is made again"
    )
    assert digest(again, "pour") == digest(old, "pour")
    graph = session.lineage.closure(digest(old, "pour"), "up")
    assert {node.attributes.get("run_id") for node in graph.nodes} >= {old.id, again.id}
    assert [i.state for i in session.lineage.invocations(old.id)] == ["executed", "executed"]


def test_only_what_is_gone_is_made_again(session: Session, store: LocalStore, clock: VirtualClock):
    made(session, cups=4)
    clock.advance_to(NEW_YEAR + timedelta(days=40))
    kept = made(session, cups=8)
    collected(session, LAST_ONLY)

    again = made(session, cups=4)

    assert again.outcomes["brew"].state == "cached"
    assert again.outcomes["pour"].state == "executed"
    assert kept.state == "completed"


def test_while_a_run_goes_on_nothing_is_removed_and_the_run_is_named(
    session: Session, store: LocalStore, clock: VirtualClock
):
    run = made(session)
    session.lineage.take_up_run(run.id, {"host": "elsewhere"})
    clock.advance_to(NEW_YEAR + timedelta(days=400))

    with pytest.raises(StoreInUseError) as caught:
        collected(session, Keep())

    assert str(caught.value) == (
        f"The store at '{store.root}' is in use by run:{run.id[:12]} (tea); nothing was removed.\n"
        "  Fix: wait until it has ended, then collect again; --dry-run works meanwhile."
    )
    assert store.has(digest(run, "brew"))


HOLDER = """
import sys
from pathlib import Path
from headrace.store import LocalStore

with LocalStore(Path(sys.argv[1])).in_use():
    print("in", flush=True)
    sys.stdin.read()
"""


def test_another_process_that_uses_the_store_keeps_everything_until_it_ends_even_by_a_kill(
    session: Session, store: LocalStore, clock: VirtualClock
):
    made(session)
    clock.advance_to(NEW_YEAR + timedelta(days=400))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()

    with pytest.raises(StoreInUseError) as caught:
        collected(session, Keep())
    holder.kill()
    holder.communicate()
    found = collected(session, Keep())

    assert caught.value.problem == f"The store at '{store.root}' is in use; nothing was removed."
    assert len(found.digests) == 2


def test_a_run_that_begins_during_a_collection_waits_for_its_end(store: LocalStore):
    with alone(store.root):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(store.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        said_meanwhile, _, _ = select.select([holder.stdout], [], [], 1.5)
    said_after = holder.stdout.readline()
    holder.communicate(b"")

    assert not said_meanwhile
    assert said_after == b"in\n"


def test_what_nobody_recorded_gets_a_day(session: Session, store: LocalStore):
    stored = store.put_document({"put": "by hand"})
    now = datetime.now(UTC)

    with using_clock(VirtualClock(now + timedelta(hours=23))):
        early = collected(session, Keep())
    with using_clock(VirtualClock(now + timedelta(hours=25))):
        late = collected(session, Keep())

    assert early.digests == ()
    assert late.digests == (stored.digest,)


def test_what_writers_left_behind_and_what_was_set_aside_goes_with_time(
    session: Session, store: LocalStore
):
    (store.root / "staging" / "1-killed").mkdir()
    (store.root / "staging" / "1-killed" / "half").write_bytes(b"12345")
    stored = store.put_document({"auc": 0.5})
    store.discard(stored.digest)
    now = datetime.now(UTC)
    keep = Keep(newer_than=timedelta(days=30))

    with using_clock(VirtualClock(now + timedelta(minutes=59))):
        at_once = collected(session, keep)
    with using_clock(VirtualClock(now + timedelta(days=2))):
        next_day = collected(session, keep)
    with using_clock(VirtualClock(now + timedelta(days=31))):
        next_month = collected(session, keep)

    assert at_once.removed == {}
    assert [(s, share.bytes) for s, share in next_day.removed.items()] == [("abandoned", 5)]
    assert list(next_month.removed) == ["set aside"]
    assert not any((store.root / "quarantine").iterdir())


def test_a_damaged_object_that_a_kept_run_made_stays_to_be_looked_at(
    session: Session, store: LocalStore, clock: VirtualClock
):
    run = made(session)
    manifest = next(store.root.glob(f"objects/*/{digest(run, 'brew')}/manifest.json"))
    manifest.unlink()

    found = collected(session, LAST_ONLY)

    assert found.digests == ()
    assert found.kept["damaged"].count == 1


def test_what_a_killed_collection_left_in_the_trash_goes_when_the_store_is_next_opened(
    store: LocalStore,
):
    stored = store.put_document({"auc": 0.5})
    path = next(store.root.glob(f"objects/*/{stored.digest}"))
    path.rename(store.root / "trash" / path.name)

    LocalStore(store.root)

    assert not any((store.root / "trash").iterdir())
    assert not store.has(stored.digest)


def test_what_cannot_be_removed_is_said(session: Session, store: LocalStore, clock: VirtualClock):
    made(session)
    clock.advance_to(NEW_YEAR + timedelta(days=400))
    (store.root / "trash").rmdir()
    (store.root / "trash").write_text("")

    with pytest.raises(StoreError) as caught:
        collected(session, Keep())

    assert caught.value.remedy == "give this user the right to write there, then collect again."
    assert len(list(store.digests())) == 2


@pytest.mark.parametrize(
    ("words", "keep"),
    [
        pytest.param([], Keep(newer_than=timedelta(days=30), last=5), id="nothing said"),
        pytest.param(["8w"], Keep(newer_than=timedelta(weeks=8)), id="an age alone"),
        pytest.param(["last=3"], Keep(last=3), id="a number alone"),
        pytest.param(
            ["last=3", "12h", "1d", "last=2"],
            Keep(newer_than=timedelta(days=1), last=3),
            id="the most of each",
        ),
    ],
)
def test_rules_for_keeping_add_up(words: list[str], keep: Keep):
    assert Keep.parse(words) == keep


@pytest.mark.parametrize("word", ["", "30", "d", "-1d", "last", "last=-1", "30 d", "²d", "1e3d"])
def test_a_rule_that_says_nothing_is_refused(word: str):
    with pytest.raises(ParameterError) as caught:
        Keep.parse([word])

    assert str(caught.value) == (
        f"'{word}' does not say which runs to keep.\n"
        "  Fix: give an age, such as 30d, 12h or 8w, or how many of each flow, such as last=5; "
        "given together they add up."
    )


def test_damage_is_told_with_the_runs_it_concerns(
    session: Session, store: LocalStore, clock: VirtualClock
):
    first, second = made(session, cups=4), made(session, cups=8)
    path = next(store.root.glob(f"objects/*/{digest(first, 'brew')}/document.json"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"2", b"9"))

    damages = [damage for _, damage in verified(store, session.lineage) if damage is not None]

    (damage,) = damages
    assert damage.digest == digest(first, "brew")
    assert damage.runs == tuple(sorted([first.id, second.id]))
    assert damage.text() == (
        f"The artifact {damage.digest[:12]} is damaged: the bytes of its file 'document.json' were "
        f"changed.\n  runs: {', '.join(f'run:{run[:12]}' for run in damage.runs)}\n  models: none"
    )


def test_a_sound_store_has_no_damage(session: Session, store: LocalStore):
    made(session)

    found = list(verified(store, session.lineage))

    assert len(found) == 2
    assert all(damage is None for _, damage in found)
