"""The state of a log changes with what is logged, and with nothing else."""

from __future__ import annotations

from headrace.decisions import compact
from headrace.decisions.state import state_of

COLUMNS = ("distance", "wind", "carrier")


def test_it_changes_with_every_record_and_not_with_looking(folder, open_log, decision) -> None:
    log = open_log()
    log.columns(COLUMNS)
    states = [state_of(folder)]
    for name in ("one", "two"):
        log.append([decision(name)])
        states.append(state_of(folder))
        assert log.decision(name) is not None
        assert state_of(folder) == states[-1]
    log.close()
    sealed = state_of(folder)
    compact(folder, remember=1)
    compacted = state_of(folder)

    assert sealed == states[2]
    assert len({*states, compacted}) == 4


def test_a_damaged_record_is_another_state(folder, open_log, decision) -> None:
    log = open_log()
    log.columns(COLUMNS)
    log.append([decision("one")])
    log.close()
    before = state_of(folder)
    [segment] = folder.rglob("*.log")

    segment.write_bytes(segment.read_bytes()[:-1])

    assert state_of(folder) != before
