"""An operator with a timeout runs in a process of its own, and is really stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest

import headrace
from headrace import Labels
from headrace.errors import DataError, GrantError, ServiceError
from headrace.execution import FlowRun, NodeOutcome, Session, run_plan
from headrace.settings import using_settings

# The bodies must be importable by another process, so they are a package of their own.
BODIES = dedent(
    '''
    """Operators with a timeout, and flows of one of them each."""

    from __future__ import annotations

    import os
    import signal
    import subprocess
    import sys
    import time
    from pathlib import Path
    from typing import Annotated, Protocol, TypeVar

    from headrace import (
        Col, Labels, Model, Partitions, Report, Schema, Table, flow, map_over, operator,
    )
    from headrace.errors import DataError
    from headrace.grants import require
    from headrace.models import ModelCard
    from headrace.recording import current_invocation
    from headrace.settings import settings

    S = TypeVar("S", bound=Schema)


    class Trip(Schema, Protocol):
        trip: Annotated[int, Col(role="entity")]
        late: Annotated[float, Col(unit="min")]


    class Judged(Trip, Protocol):
        label: Annotated[int, Col(role="label")]


    class OwnError(Exception):
        """An error that pickles and cannot be unpickled, as many libraries have."""

        def __init__(self, what: str, where: str) -> None:
            super().__init__(f"{what} {where}")


    @operator()
    def read_trips() -> Table[Trip]:
        """Make trips."""
        return Table[Trip].of({"trip": [1, 2, 3], "late": [1.0, 20.0, 30.0]})


    @operator(timeout=60)
    def look_around(trips: Table[Trip]) -> Report:
        """Say where it runs."""
        require("file:trips.csv")
        invocation = current_invocation()
        return Report.of({
            "pid": os.getpid(),
            "run": invocation.run_id,
            "node": invocation.node,
            "flow": invocation.flow,
            "home": str(settings().home),
        })


    @operator(timeout=60)
    def judge(trips: Table[S], *, above: float) -> Labels[Judged]:
        """Label trips."""
        frame = trips.frame()
        return Labels.of(frame.assign(label=(frame.late > above).astype("int64")))


    @operator(timeout=60)
    def train(trips: Table[Trip]) -> tuple[Model, Report]:
        """Make a model and a report."""
        card = ModelCard(task="estimation", flavor="text", label="late", features=())
        return (
            Model.of({"model.txt": b"all are late"}, card=card),
            Report.of({"passed": True, "rows": trips.rows}),
        )


    @operator(timeout=6)
    def sleep_long(trips: Table[Trip], *, pids: str) -> Report:
        """Sleep, with a child process that sleeps too."""
        helper = subprocess.Popen(["sleep", "600"])
        Path(pids).write_text(f"{os.getpid()} {helper.pid}")
        time.sleep(600)
        return Report.of({})


    @operator(timeout=60)
    def sleep_while_the_run_lives(trips: Table[Trip], *, pids: str) -> Report:
        """Sleep."""
        Path(pids).write_text(f"{os.getpid()} {os.getppid()}")
        time.sleep(600)
        return Report.of({})


    @operator(timeout=60)
    def exit_hard(trips: Table[Trip]) -> Report:
        """Leave without a word."""
        os._exit(3)


    @operator(timeout=60)
    def be_killed(trips: Table[Trip]) -> Report:
        """Die as at the hands of a machine that is out of memory."""
        os.kill(os.getpid(), signal.SIGKILL)
        return Report.of({})


    @operator(timeout=60, retries=1)
    def die_once(trips: Table[Trip], *, mark: str) -> Report:
        """Die at the first attempt."""
        if not Path(mark).exists():
            Path(mark).touch()
            os._exit(1)
        return Report.of({"passed": True})


    @operator(timeout=60)
    def refuse(trips: Table[Trip]) -> Report:
        """Find the data wrong."""
        raise DataError("Trip 3 has no day.", remedy="Give it one.")


    @operator(timeout=60)
    def divide(trips: Table[Trip]) -> Report:
        """Fail as Python does."""
        return Report.of({"share": trips.rows / 0})


    @operator(timeout=60)
    def fail_oddly(trips: Table[Trip]) -> Report:
        """Fail with an error of its own."""
        raise OwnError("lost", "at sea")


    @operator(timeout=60)
    def reach_out(trips: Table[Trip]) -> Report:
        """Read what was not granted."""
        require("file:salaries.csv")
        return Report.of({})


    @operator(timeout=60)
    def total(trips: Table[Trip]) -> Report:
        """Sum up."""
        return Report.of({"late": float(trips.frame().late.sum())})


    @operator()
    def part_here(trips: Table[Trip]) -> Partitions[Table[Trip]]:
        """Part trips."""
        frame = trips.frame()
        parts = {"late": frame[frame.late > 10], "not": frame[frame.late <= 10]}
        return Partitions.of({name: Table[Trip].of(rows) for name, rows in parts.items()})


    @operator(timeout=60)
    def part_there(trips: Table[Trip]) -> Partitions[Table[Trip]]:
        """Part trips in another process."""
        return part_here.body(trips)


    @operator()
    def name_here(parts: Partitions[Table[Trip]]) -> Report:
        """Name the parts."""
        return Report.of({name: table.rows for name, table in parts.items.items()})


    @operator(timeout=60)
    def name_there(parts: Partitions[Table[Trip]]) -> Report:
        """Name the parts in another process."""
        return name_here.body(parts)


    @operator()
    def together(reports: list[Report]) -> Report:
        """Put sums together."""
        return Report.of({"late": [report.document["late"] for report in reports]})


    @flow(grants=["file:trips.csv"])
    def looking() -> Report:
        """Look around."""
        return look_around(read_trips())


    @flow
    def judging(*, above: float = 10.0) -> Labels[Judged]:
        """Judge."""
        return judge(read_trips(), above=above)


    @flow
    def training() -> tuple[Model, Report]:
        """Train."""
        return train(read_trips())


    @flow
    def sleeping(*, pids: str) -> Report:
        """Sleep."""
        return sleep_long(read_trips(), pids=pids)


    @flow
    def sleeping_on(*, pids: str) -> Report:
        """Sleep while the run lives."""
        return sleep_while_the_run_lives(read_trips(), pids=pids)


    @flow
    def stumbling(*, mark: str) -> Report:
        """Die once."""
        return die_once(read_trips(), mark=mark)


    @flow
    def failing(*, how: str) -> Report:
        """Fail in one of several ways."""
        bodies = {each.name: each for each in (
            exit_hard, be_killed, refuse, divide, fail_oddly, reach_out
        )}
        return bodies[how](read_trips())


    @flow
    def summing() -> Report:
        """Sum up each part."""
        return together(map_over(total, part_here(read_trips())))


    @flow
    def parting() -> Report:
        """Part in another process."""
        return name_here(part_there(read_trips()))


    @flow
    def naming() -> Report:
        """Name parts in another process."""
        return name_there(part_here(read_trips()))
    '''
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a package of operators that any process can import."""
    root = tmp_path_factory.mktemp("first_party") / "isolated_bodies"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "trips.py").write_text(BODIES, encoding="utf-8")
    sys.path.insert(0, str(root.parent))
    yield root
    sys.path.remove(str(root.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] == "isolated_bodies"]:
        del sys.modules[name]


@pytest.fixture
def session(package: Path, tmp_path: Path) -> Iterator[Session]:
    """Return a session on an empty home, with the package as the first-party root."""
    with using_settings(home=tmp_path / "home", roots=[package]):
        yield Session.of_settings()


def run(name: str, session: Session, **arguments: Any) -> FlowRun:
    from isolated_bodies import trips

    return run_plan(getattr(trips, name).plan(**arguments), session)


def failed(name: str, session: Session, **arguments: Any) -> NodeOutcome:
    """Run a flow of which one node fails, and return what came of that node."""
    finished = run(name, session, **arguments)
    (outcome,) = (o for o in finished.outcomes.values() if o.state == "failed")
    return outcome


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def becomes_gone(pid: int, seconds: float = 5) -> bool:
    """Say whether a process ends; the kernel takes a moment to end one."""
    end = time.monotonic() + seconds
    while not is_gone(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return is_gone(pid)


def test_the_body_runs_in_a_process_of_its_own_and_knows_its_invocation_and_grants(
    session: Session,
) -> None:
    finished = run("looking", session)

    said = finished.returned().document
    assert said.pop("pid") != os.getpid()
    assert said.pop("home")
    assert said == {"run": finished.id, "node": "look_around", "flow": "looking"}


def test_the_body_has_the_settings_of_the_process_that_runs_the_flow(
    session: Session, tmp_path: Path
) -> None:
    said = run("looking", session).returned().document

    assert said["home"] == str(tmp_path / "home")


def test_a_body_that_sleeps_is_stopped_at_its_timeout_with_the_processes_it_started(
    session: Session, tmp_path: Path
) -> None:
    started = time.monotonic()

    outcome = failed("sleeping", session, pids=str(tmp_path / "pids"))

    took = time.monotonic() - started
    assert took < 60  # of the 600 that it would sleep
    assert isinstance(outcome.error, ServiceError)
    assert outcome.message == (
        "Operator 'sleep_long' was stopped after 6 seconds, its timeout.\n"
        "  Fix: Give it more time with `timeout=`, or less to do."
    )
    body, helper = map(int, (tmp_path / "pids").read_text().split())
    assert becomes_gone(body)
    assert becomes_gone(helper)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        pytest.param("exit_hard", "3", id="an exit"),
        pytest.param("be_killed", "-9", id="a kill"),
    ],
)
def test_a_process_that_dies_fails_its_node_alone(session: Session, how: str, code: str) -> None:
    outcome = failed("failing", session, how=how)

    assert isinstance(outcome.error, ServiceError)
    assert outcome.message == (
        f"The process of operator '{how}' ended with code {code} and no answer.\n"
        "  Fix: Look for a lack of memory or a crash of a library in its output above."
    )


def test_a_process_that_died_is_tried_again(session: Session, tmp_path: Path) -> None:
    finished = run("stumbling", session, mark=str(tmp_path / "mark"))

    assert finished.returned().document == {"passed": True}


def test_an_error_of_the_body_arrives_with_its_kind_and_remedy(session: Session) -> None:
    error = failed("failing", session, how="refuse").error

    assert type(error) is DataError
    assert (error.problem, error.remedy) == ("Trip 3 has no day.", "Give it one.")


def test_an_error_of_python_arrives_as_what_it_is(session: Session) -> None:
    outcome = failed("failing", session, how="divide")

    assert isinstance(outcome.error, ZeroDivisionError)
    assert outcome.message == "ZeroDivisionError: division by zero"


def test_an_error_that_cannot_cross_processes_is_told_by_name_and_text(session: Session) -> None:
    outcome = failed("failing", session, how="fail_oddly")

    assert "OwnError: lost at sea" in outcome.message


def test_what_was_not_granted_is_refused_there_too(session: Session) -> None:
    outcome = failed("failing", session, how="reach_out")

    assert isinstance(outcome.error, GrantError)
    assert outcome.message == (
        "The operator reads 'file:salaries.csv', but its flow is granted nothing.\n"
        "  Fix: Add it to the flow: `@flow(grants=['file:salaries.csv'])`."
    )


def test_its_outputs_are_stored_with_the_promised_schema_and_reused(session: Session) -> None:
    first = run("judging", session)

    again = run("judging", session)

    assert again.outcomes["judge"].state == "cached"
    loaded = headrace.load(f"run:{first.id}/judge")
    assert isinstance(loaded, Labels)
    assert loaded.schema is not None
    assert loaded.schema.name == "Judged"
    assert [(c.name, c.role, c.unit) for c in loaded.schema.columns] == [
        ("trip", "entity", None),
        ("late", None, "min"),
        ("label", "label", None),
    ]
    assert loaded.frame()["label"].to_list() == [0, 1, 1]


def test_several_outputs_come_back_in_their_order(session: Session) -> None:
    model, report = run("training", session).returned()

    assert model.read("model.txt") == b"all are late"
    assert model.card.label == "late"
    assert report.document == {"passed": True, "rows": 3}


def test_each_partition_is_a_process_of_its_own(session: Session) -> None:
    finished = run("summing", session)

    assert finished.returned().document == {"late": [50.0, 1.0]}
    assert finished.outcomes["total"].message == "2 partitions, 0 of them cached"


def test_partitions_can_be_made_there(session: Session) -> None:
    assert run("parting", session).returned().document == {"late": 2, "not": 1}


def test_partitions_can_be_given_there(session: Session) -> None:
    assert run("naming", session).returned().document == {"late": 2, "not": 1}


SCRIPT = dedent(
    """
    from headrace import Report, flow, operator


    @operator(timeout=5)
    def think() -> Report:
        '''Think.'''
        return Report.of({})


    @flow
    def thinking() -> Report:
        '''Think.'''
        return think()


    print(thinking.run().outcomes["think"].message)
    """
)


def test_an_operator_of_a_script_cannot_have_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env=os.environ | {"HEADRACE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == (
        "Operator 'think' has a timeout, so it runs in a process of its own, which cannot import "
        "it from a notebook or script.\n"
        "  Fix: Move it into a module of a package, or leave out the timeout.\n"
    )


def test_the_body_ends_with_the_process_that_runs_the_flow(package: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
        "from isolated_bodies.trips import sleeping_on\n"
        f"sleeping_on.run(pids={str(pids)!r})\n"
    )
    environment = {"HEADRACE_HOME": str(tmp_path / "home"), "HEADRACE_ROOTS": str(package)}
    runner = subprocess.Popen([sys.executable, "-c", script], env=os.environ | environment)
    try:
        while not (pids.exists() and len(pids.read_text().split()) == 2):
            assert runner.poll() is None
            time.sleep(0.05)
        body, parent = map(int, pids.read_text().split())
    finally:
        runner.kill()
        runner.wait()

    try:
        assert parent == runner.pid
        assert becomes_gone(body)
    finally:
        if not is_gone(body):
            psutil.Process(body).kill()
