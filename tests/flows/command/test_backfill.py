"""`headrace run FLOW --backfill RANGE`: one run a partition, none of what is done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from flows._backfill import Decision, Past, asked_for, backfill, decision
from flows._command.run import run
from headrace import Partitions, Report, flow, map_over, operator, when
from headrace.errors import ParameterError
from headrace.execution import Session, run_plan
from headrace.lineage import RunRecord
from headrace.partitioning import Daily, Monthly
from headrace.settings import using_settings

HARVEST = dedent(
    '''
    """Flows about apples."""

    from __future__ import annotations

    import time
    from datetime import date
    from pathlib import Path
    from typing import Annotated

    from pydantic import Field

    from headrace import Report, Table, flow, operator
    from headrace.errors import DataError
    from headrace.partitioning import Monthly
    from operators.ingest import read_csv


    @operator()
    def count(apples: Table, *, smallest: float) -> Report:
        """Count apples."""
        grams = apples.frame()["grams"]
        if (grams < 0).any():
            raise DataError("An apple weighs less than nothing.", remedy="Weigh it again.")
        return Report.of({"apples": int((grams >= smallest).sum())})


    @operator()
    def wait_for(counted: Report, *, path: str) -> Report:
        """Wait until somebody makes a file, and say that it waits."""
        Path(path + ".waits").touch()
        while not Path(path).exists():
            time.sleep(0.05)
        return counted


    @operator(effect=True)
    def sell(counted: Report) -> Report:
        """Sell apples."""
        return Report.of({"sold": counted.document["apples"]})


    @operator()
    def thank(sold: Report) -> Report:
        """Thank those who bought."""
        return Report.of({"thanks": sold.document["sold"]})


    @flow(grants=["file:*"], partition=Monthly("month"))
    def harvest(*, month: str, smallest: Annotated[float, Field(ge=0)] = 70.0) -> Report:
        """Sell the apples of a month."""
        return thank(sell(count(read_csv(path=f"{month}.csv"), smallest=smallest)))


    @flow(grants=["file:*"], partition=Monthly("month"))
    def slow(*, month: date) -> Report:
        """Count the apples of a month, and take a while in February."""
        counted = count(read_csv(path=f"{month:%Y-%m}.csv"), smallest=0.0)
        return wait_for(counted, path="go") if month.month == 2 else counted
    '''
)


class Orchard:
    """This is a repository with flows, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = ("HEADRACE_", "PREFECT_", "MLFLOW_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.command = [str(Path(sys.executable).with_name("headrace")), "run", "--local"]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def lines(self, *words: str) -> list[str]:
        """Run a command and return its lines without ids of runs and seconds."""
        done = self(*words)
        assert done.stderr == ""
        text = re.sub(r"run:[0-9a-f]{12}", "run:…", done.stdout)
        return re.sub(r"in \d+\.\d s", "in … s", text).splitlines()

    def write(self, month: str, *grams: float) -> None:
        text = "grams\n" + "".join(f"{each}\n" for each in grams)
        (self.folder / f"{month}.csv").write_text(text, encoding="utf-8")


@pytest.fixture
def orchard(tmp_path: Path) -> Orchard:
    """Make a repository with three months of apples."""
    package = tmp_path / "orchard"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "apples.py").write_text(HARVEST, encoding="utf-8")
    (tmp_path / "headrace.toml").write_text('roots = ["orchard"]\n', encoding="utf-8")
    made = Orchard(tmp_path)
    made.write("2013-01", 60, 80.5)
    made.write("2013-02", 90, 71)
    made.write("2013-03", 80, 90, 100)
    return made


def test_a_range_is_run_once_and_then_only_what_its_code_or_data_has_changed(
    orchard: Orchard,
) -> None:
    ask = ("harvest", "--backfill", "2013-01..2013-03")

    first = orchard.lines(*ask)
    again = orchard.lines(*ask)
    orchard.write("2013-02", 90, 71, 100)
    new_data = orchard.lines(*ask, "--dry-run")
    orchard.lines(*ask)
    source = orchard.folder / "orchard" / "apples.py"
    source.write_text(source.read_text().replace("grams >= smallest", "grams > smallest"))
    new_code = orchard.lines(*ask)
    other = orchard.lines(*ask, "-p", "smallest=10", "--dry-run")

    assert first == [
        "harvest: 3 of 2013-01..2013-03",
        "  ✓ 2013-01  ran in … s: 4 executed",
        "  ✓ 2013-02  ran in … s: 4 executed",
        "  ✓ 2013-03  ran in … s: 4 executed",
        "harvest: 3 partitions: 3 ran.",
    ]
    done = [f"  ○ 2013-0{n}  done before: run:… completed" for n in (1, 2, 3)]
    assert again[1:] == [*done, "harvest: 3 partitions: 3 done before."]
    assert [new_data[1], new_data[3]] == [done[0], done[2]]
    assert new_data[2].startswith("  → 2013-02  would run: read_csv will run: ")
    assert "2013-02.csv" in new_data[2]
    assert new_data[4] == "harvest: 3 partitions: 2 done before, 1 would run."
    for line, month in zip(new_code[1:4], ("01", "02", "03"), strict=True):
        assert line.startswith(f"  ✓ 2013-{month}  ran in … s: ")
        assert "count will run: " in line
        assert "orchard.apples.count" in line
    assert other[-1] == "harvest: 3 partitions: 3 would run."


def test_a_partition_that_fails_stops_no_other_and_alone_runs_again(orchard: Orchard) -> None:
    orchard.write("2013-02", -1)
    ask = ("harvest", "--backfill", "2013-01..2013-03")

    failed = orchard(*ask, "--json")
    orchard.write("2013-02", 90)
    mended = orchard(*ask, "--json")

    def told(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
        return [(each["key"], each["state"]) for each in json.loads(done.stdout)["partitions"]]

    assert failed.returncode == 1
    assert told(failed) == [("2013-01", "ran"), ("2013-02", "failed"), ("2013-03", "ran")]
    february = json.loads(failed.stdout)["partitions"][1]
    assert february["message"] == (
        "count: An apple weighs less than nothing.\n  Fix: Weigh it again."
    )
    assert february["counts"] == {"executed": 1, "skipped": 2, "failed": 1}
    assert mended.returncode == 0
    assert told(mended) == [("2013-01", "done"), ("2013-02", "ran"), ("2013-03", "done")]
    assert (
        "failed: count: An apple weighs less" in json.loads(mended.stdout)["partitions"][1]["why"]
    )


def interrupted(orchard: Orchard, sent: signal.Signals, *words: str) -> tuple[int, str]:
    """Send a signal to a run that is in the middle of February; return its exit code and output."""
    process = subprocess.Popen(
        [*orchard.command, *words],
        cwd=orchard.folder,
        env=orchard.environment,
        stdout=subprocess.PIPE,
        text=True,
        # a test run in the background ignores it, and would pass that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        while not (orchard.folder / "go.waits").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(sent)
        time.sleep(1)
        (orchard.folder / "go").touch()
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, printed


def test_a_kill_in_the_middle_loses_nothing(orchard: Orchard) -> None:
    ask = ("slow", "--backfill", "2013-01..2013-03")

    code, _ = interrupted(orchard, signal.SIGKILL, *ask)
    again = orchard.lines(*ask)

    assert code == -signal.SIGKILL
    assert again[1] == "  ○ 2013-01  done before: run:… completed"
    assert again[2].startswith("  ✓ 2013-02  ran in … s: 1 executed, 2 cached; run:… crashed")
    assert again[3:] == [
        "  ✓ 2013-03  ran in … s: 2 executed",
        "slow: 3 partitions: 2 ran, 1 done before.",
    ]


def test_a_second_backfill_of_the_flow_is_refused_while_the_first_one_runs(
    orchard: Orchard,
) -> None:
    ask = ("slow", "--backfill", "2013-01..2013-03")
    first = subprocess.Popen(
        [*orchard.command, *ask],
        cwd=orchard.folder,
        env=orchard.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while not (orchard.folder / "go.waits").exists():
            assert first.poll() is None
            time.sleep(0.05)

        second = orchard(*ask)
        only_said = orchard(*ask, "--dry-run")
        other = orchard("harvest", "--backfill", "2013-01")

        (orchard.folder / "go").touch()
        printed, _ = first.communicate(timeout=60)
    finally:
        first.kill()
        first.wait()
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"Error: Flow 'slow' is being filled back already, by process {first.pid}.\n"
        "  Fix: Wait for it, or end it, and start again: what is done is kept. `--dry-run` says "
        "what is left.\n"
    )
    assert "left alone: it is running now" in only_said.stdout
    assert other.returncode == 0
    assert printed.splitlines()[-1] == "slow: 3 partitions: 3 ran."


@pytest.mark.slow
def test_who_presses_ctrl_c_is_told_how_far_it_is(orchard: Orchard) -> None:
    ask = ("slow", "--backfill", "2013-01..2013-03")

    code, printed = interrupted(orchard, signal.SIGINT, *ask)
    again = orchard.lines(*ask)

    assert code != 0
    assert printed.splitlines()[-1] == "slow: 3 partitions: 1 ran, 2 not reached."
    assert again[1] == "  ○ 2013-01  done before: run:… completed"
    assert again[2].startswith("  ✓ 2013-02  ran in … s: ")
    assert again[-1] == "slow: 3 partitions: 2 ran, 1 done before."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"flow": "harvest", "dry_run": True},
            "`--dry-run` goes with `--backfill`.\n"
            "  Fix: Write `headrace run FLOW --backfill 2013-01..2013-03 --dry-run`.",
            id="what goes with a range",
        ),
        pytest.param(
            {"flow": "harvest", "debugger": True},
            "`--debugger` goes with `--node`.\n"
            "  Fix: Write `headrace run --node run:<id>/<node> --debugger`.",
            id="what goes with a node",
        ),
        pytest.param(
            {"node": "run:1/x", "backfill": "2013"},
            "`--node` and `--backfill` do not go together.\n  Fix: Leave out one of them; a node "
            "is called on the inputs that its run recorded.",
            id="a node and a range",
        ),
        pytest.param(
            {"node": "run:1/x", "parameter": ["a=1"]},
            "`--node` and `-p` do not go together.\n  Fix: Leave out one of them; a node is called "
            "on the inputs that its run recorded.",
            id="a node and a parameter",
        ),
        pytest.param(
            {},
            "Which flow is to run is not said.\n  Fix: Name one, as in `headrace run "
            "flight_delay`; `headrace flows` lists them.",
            id="no flow",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as refused:
        run(**options)

    assert str(refused.value) == message


@operator()
def measure(*, day: str) -> Report:
    """Measure a day."""
    return Report.of({"passed": day.endswith("1"), "day": day})


@operator()
def parts(measured: Report) -> Partitions[Report]:
    """Cut a day in two."""
    return Partitions.of({"am": Report.of({"half": 1}), "pm": measured})


@operator()
def look(part: Report) -> Report:
    """Look at a part."""
    return Report.of({"seen": part.document})


@operator()
def together(seen: list[Report]) -> Report:
    """Put what was seen together."""
    return Report.of({"parts": len(seen)})


@operator()
def rejoice(measured: Report) -> Report:
    """Rejoice at a day that passed."""
    return Report.of({"joy": True})


@operator(deterministic=False)
def draw(measured: Report) -> Report:
    """Draw lots."""
    return Report.of({"drawn": 4})


@flow(partition=Daily("day"))
def days(*, day: str) -> Report:
    """Look at each part of a day, and rejoice at some."""
    measured = measure(day=day)
    with when(measured):
        rejoice(measured)
    return together(map_over(look, parts(measured)))


@flow(partition=Daily("day"))
def lots(*, day: str) -> Report:
    """Draw lots for a day."""
    return draw(measure(day=day))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Return a session on an empty home."""
    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        yield Session.of_settings()


def filled(session: Session, which: Any, text: str) -> list[tuple[str, str, str]]:
    """Fill a range and return key, state and why of each partition, without ids."""

    def start(each: Any) -> Any:
        return run_plan(which.plan_with(each.arguments).require_sound(), session)

    asked = asked_for(which, text, {})
    return [
        (each.key, each.state, re.sub("run:[0-9a-f]+", "run:…", each.why))
        for each in backfill(asked, decide=Past(which, session).decide, start=start)
    ]


def test_maps_and_skipped_branches_are_done_too(session: Session) -> None:
    first = filled(session, days, "2013-01-01..2013-01-02")

    again = filled(session, days, "2013-01-01..2013-01-02")

    assert [state for _, state, _ in first] == ["ran", "ran"]
    assert again == [
        ("2013-01-01", "done", "run:… completed"),
        ("2013-01-02", "done", "run:… completed"),
    ]


def test_a_result_of_chance_is_never_done(session: Session) -> None:
    filled(session, lots, "2013-01-01")

    ((_, state, why),) = filled(session, lots, "2013-01-01")

    assert state == "ran"
    assert why.startswith("draw will run: ")


def test_what_the_store_has_lost_is_made_again(session: Session) -> None:
    filled(session, lots, "2013-01-01")
    invocations = session.lineage.invocations(session.lineage.runs(1)[0].id)
    lost = next(i for i in invocations if i.node == "measure").outputs[0]
    session.store.discard(lost.digest)

    ((_, state, why),) = filled(session, lots, "2013-01-01")

    assert (state, why) == (
        "ran",
        "measure will run: what was stored is gone or damaged, so it is made again (and 1 more)",
    )


def test_a_partition_whose_plan_fails_is_told_and_the_next_one_runs(session: Session) -> None:
    @flow(partition=Monthly("month"))
    def picky(*, month: str) -> Report:
        """Refuse January."""
        if month == "2013-01":
            raise ParameterError("There was no January.", remedy="Begin in February.")
        return measure(day=month)

    told = filled(session, picky, "2013-01..2013-02")

    assert [state for _, state, _ in told] == ["failed", "ran"]


@flow
def whole() -> Report:
    """Measure without a partition."""
    return measure(day="x")


@pytest.mark.parametrize(
    ("which", "text", "others", "message"),
    [
        pytest.param(
            whole,
            "2013",
            {},
            "Flow 'whole' has no partition, so there is nothing to fill back.\n"
            '  Fix: Declare which parameter names it: `@flow(partition=Daily("day"))`, from '
            "headrace.partitioning.",
            id="no partition",
        ),
        pytest.param(
            days,
            "2013-03..2013-01",
            {},
            "The range '2013-03..2013-01' ends before it begins.\n  Fix: Write 2013-01..2013-03.",
            id="the wrong way round",
        ),
        pytest.param(
            days,
            "2013",
            {"day": "2013-01-01"},
            "The parameter 'day' comes from the range '2013', and is given as '2013-01-01' too.\n"
            "  Fix: Leave out `-p day=...`.",
            id="the parameter twice",
        ),
        pytest.param(
            days,
            "2013",
            {"dya": 1},
            "Flow 'days' cannot start: there is no parameter 'dya'. Did you mean 'day'?\n"
            "  Fix: See its parameters with `headrace flows`.",
            id="an unknown parameter",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(
    which: Any, text: str, others: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as refused:
        asked_for(which, text, others)

    assert str(refused.value) == message


def record(state: str, **more: Any) -> RunRecord:
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    return RunRecord(id="abcdef0123456789", flow="f", started_at=moment, state=state, **more)


@pytest.mark.parametrize(
    ("runs", "state", "why"),
    [
        pytest.param([], "run", "it never ran", id="none"),
        pytest.param([record("running")], "running", "it is running now", id="running"),
        pytest.param([record("paused")], "paused", "it waits for a person", id="paused"),
        pytest.param(
            [record("failed", message="x: no room\nmore")],
            "run",
            "run:abcdef012345 failed: x: no room",
            id="failed",
        ),
        pytest.param([record("crashed")], "run", "run:abcdef012345 crashed", id="crashed"),
        pytest.param(
            [record("failed"), record("completed")],
            "done",
            "run:abcdef012345 completed",
            id="completed before",
        ),
    ],
)
def test_the_runs_on_record_decide(runs: list[RunRecord], state: str, why: str) -> None:
    decided = decision(runs, lambda run: "")

    assert (decided.state, decided.why) == (state, why)


def test_what_changed_since_it_was_completed_runs_again() -> None:
    decided = decision([record("completed")], lambda run: "count will run: code")

    assert decided == Decision(state="run", why="count will run: code", run="abcdef0123456789")
