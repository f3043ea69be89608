"""The life of daemons, with small real ones of our own in place of the big servers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import _services
from flows._services import definitions, lifecycle, ports, processes
from flows._services.definitions import Service
from headrace.errors import ServiceError, UnknownNameError
from headrace.settings import Settings, load_settings

ANSWERS = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""
WRITES_ITS_ID = """
import json, os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(json.dumps({"pid": os.getpid()})); time.sleep(600)
"""
DIES = "print('the disk is full'); raise SystemExit(3)"
SULKS = "import time; print('thinking', flush=True); time.sleep(600)"
# its first thread goes, as it does first when a server of many threads is killed on a busy machine
ENDS_SLOWLY = """
import ctypes, socket, sys, threading
held = socket.create_server(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=threading.Event().wait).start()
ctypes.CDLL(None).pthread_exit(None)
"""
SERVICES = definitions.services
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + ANSWERS


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home of its own; whatever a test starts in it is gone afterwards."""
    of = load_settings(
        home=tmp_path,
        prefect_port=_free_port(),
        mlflow_port=_free_port(),
        feast_ui_port=_free_port(),
        labels_port=_free_port(),
        server_start_seconds=20,
    )
    yield of
    for daemon in processes.recorded(of).values():
        processes.stop(daemon, of, patience_seconds=0.1)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which program stands for which server; both answer unless a test says otherwise."""
    chosen = {"prefect": ANSWERS, "mlflow": ANSWERS}
    original = definitions.services

    def small(of: Settings) -> tuple[Service, ...]:
        return tuple(
            dataclasses.replace(
                each,
                command=each.command
                and (sys.executable, "-c", chosen[each.name], str(each.port or each.ready_file)),
            )
            for each in original(of)
            if each.name in chosen
        )

    monkeypatch.setattr(definitions, "services", small)
    monkeypatch.setattr(lifecycle, "services", small)
    return chosen


@pytest.fixture(autouse=True)
def _use(programs: dict[str, str]) -> None:
    """Give every test the small programs."""


def test_up_starts_all_at_once_and_down_ends_them_and_what_they_started(home: Settings):
    events: list[tuple[str, tuple[str, ...]]] = []

    up = _services.up(of=home, report=lambda p: events.append((p.event, p.services)))
    running = _processes_of(home)
    stopped = _services.down(of=home)

    assert [(each.name, each.state) for each in up] == [("prefect", "ready"), ("mlflow", "ready")]
    first_two = [event for event in events if event[0] != "waiting"][:2]
    assert first_two == [("starting", ("Prefect server",)), ("starting", ("MLflow server",))]
    assert len(running) == 4  # two servers, each with a child
    assert sorted(stopped) == ["mlflow", "prefect"]
    assert not [process for process in running if _alive(process)]


def test_the_runner_starts_after_what_it_needs_and_is_ready_when_its_file_names_it(
    home: Settings, programs: dict[str, str]
):
    programs["runner"] = WRITES_ITS_ID
    home.run_folder.mkdir()
    (home.run_folder / "runner.ready").write_text('{"pid": 1}')  # of another time
    events: list[tuple[str, str]] = []

    _services.up(
        of=home,
        only=("runner",),
        report=lambda p: events.append((p.event, " ".join(p.services))),
    )
    after_up = _services.status(of=home)
    _services.down(of=home, report=lambda p: events.append((p.event, " ".join(p.services))))

    assert [event for event in events if event[0] != "waiting"] == [
        ("starting", "Prefect server"),
        ("ready", "Prefect server"),
        ("starting", "flow runner"),
        ("ready", "flow runner"),
        ("stopped", "flow runner"),
        ("stopped", "Prefect server"),
    ]
    assert [each.state for each in after_up] == ["ready", "stopped", "ready"]


def test_the_serving_host_needs_no_other_service_and_ends_with_the_rest(
    home: Settings, programs: dict[str, str]
):
    programs["serving"] = WRITES_ITS_ID
    events: list[tuple[str, str]] = []

    [state] = _services.up(of=home, only=("serving",))
    _services.up(of=home, only=("prefect",))
    _services.down(of=home, report=lambda p: events.append((p.event, " ".join(p.services))))

    assert (state.name, state.title, state.state, state.url) == (
        "serving", "serving host", "ready", None,
    )  # fmt: skip
    assert sorted(events) == [("stopped", "Prefect server"), ("stopped", "serving host")]


def test_a_page_that_nothing_needs_is_left_out_where_its_port_is_held(
    home: Settings, programs: dict[str, str]
):
    programs["feast"] = ANSWERS
    left_out: list[str] = []

    with socket.create_server(("127.0.0.1", home.feast_ui_port)):
        up = _services.up(of=home, report=lambda p: left_out.append(p.reason))
        with pytest.raises(ServiceError) as error:
            _services.up(of=home, only=("feast",))

    assert [each.name for each in up] == ["prefect", "mlflow"]
    assert [reason for reason in left_out if reason] == [str(error.value)]
    assert f"The Feast UI cannot listen on 127.0.0.1:{home.feast_ui_port}" in str(error.value)


def test_the_feast_ui_is_started_only_when_named_where_the_settings_say_so(
    home: Settings, programs: dict[str, str]
):
    programs["feast"] = ANSWERS
    without = home.model_copy(update={"feast_ui": False})

    by_default = _services.up(of=without)
    [named] = _services.up(of=without, only=("feast",))

    assert [each.name for each in by_default] == ["prefect", "mlflow"]
    assert (named.title, named.state) == ("Feast UI", "ready")


def test_there_are_six_services_and_ray_is_told_to_stay_on_this_machine(home: Settings):
    original = {service.name: service for service in SERVICES(home)}

    serving = original["serving"]
    assert list(original) == ["prefect", "mlflow", "feast", "labels", "runner", "serving"]
    assert serving.ready_file == home.run_folder / "serving.ready"
    assert serving.environment["RAY_AUTH_MODE"] == "token"
    assert serving.environment["RAY_AUTH_TOKEN_PATH"] == str(home.home / "serving" / "ray-token")
    assert serving.environment["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    assert serving.environment["HEADRACE_HOME"] == str(home.home)


def test_a_second_up_changes_nothing_and_says_so(home: Settings):
    first = _services.up(of=home)
    events: list[str] = []

    second = _services.up(of=home, report=lambda progress: events.append(progress.event))

    assert second == first
    assert events == ["already up", "already up"]


def test_daemons_lead_sessions_of_their_own_and_hold_no_pipe_of_ours(home: Settings):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # as the pipe of `make run | tee log` is

    _services.up(of=home)
    os.close(writer)

    assert os.read(reader, 1) == b""  # the end: nobody else holds it
    os.close(reader)
    for daemon in processes.recorded(home).values():
        assert os.getsid(daemon.pid) == daemon.pid


def test_status_tells_what_is_ready_what_is_silent_and_what_is_stopped(
    home: Settings, programs: dict[str, str]
):
    before = _services.status(of=home)
    _services.up(of=home, only=("prefect",))
    programs["mlflow"] = SULKS
    with pytest.raises(ServiceError):
        _services.up(of=home.model_copy(update={"server_start_seconds": 0.3}))

    after = _services.status(of=home)

    assert [each.state for each in before] == ["stopped", "stopped"]
    assert [each.state for each in after] == ["ready", "silent"]
    assert [each.pid for each in before] == [None, None]
    assert all(each.pid for each in after)


def test_a_process_id_that_was_given_out_again_is_left_alone(home: Settings):
    bystander = subprocess.Popen([sys.executable, "-c", SULKS], start_new_session=True)
    stale = {"name": "prefect", "title": "Prefect server", "pid": bystander.pid,
             "started": psutil.Process(bystander.pid).create_time() - 3600,
             "port": home.prefect_port, "log": "gone.log"}  # fmt: skip
    home.run_folder.mkdir()
    (home.run_folder / "prefect.json").write_text(json.dumps(stale))

    told = _services.status(of=home)[0].state
    stopped = _services.down(of=home)
    alive = bystander.poll() is None
    bystander.kill()
    bystander.wait()

    assert (told, stopped, alive) == ("stopped", (), True)


def test_up_starts_again_what_was_killed_and_leaves_the_rest(home: Settings):
    first = {each.name: each.pid for each in _services.up(of=home)}
    os.killpg(first["mlflow"], signal.SIGKILL)
    _wait_until(lambda: ports.is_free("127.0.0.1", home.mlflow_port))

    second = {each.name: each.pid for each in _services.up(of=home)}

    assert second["prefect"] == first["prefect"]
    assert second["mlflow"] != first["mlflow"]


def test_up_ends_what_a_killed_server_left_behind_and_its_port_is_free_again(home: Settings):
    first = _services.up(of=home, only=("mlflow",))[0]
    left = _processes_of(home)[1:]
    leader = psutil.Process(first.pid)
    leader.kill()  # it alone: what it started lives on
    _wait_until(lambda: not _alive(leader))

    second = _services.up(of=home, only=("mlflow",))[0]

    assert second.pid != first.pid
    assert len(left) == 1
    assert not [process for process in left if _alive(process)]


def test_up_waits_until_the_last_thread_of_a_killed_server_has_let_go_of_its_port(
    home: Settings, programs: dict[str, str]
):
    programs["mlflow"] = ENDS_SLOWLY
    (service,) = (each for each in definitions.services(home) if each.name == "mlflow")
    daemon = processes.start(service, home)
    _wait_until(lambda: processes.process_of(daemon) is None)
    programs["mlflow"] = ANSWERS
    was_free = ports.is_free("127.0.0.1", home.mlflow_port)
    try:
        up = _services.up(of=home, only=("mlflow",))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(daemon.pid, signal.SIGKILL)

    assert not was_free
    assert [each.state for each in up] == ["ready"]


def test_a_record_that_cannot_be_read_is_no_obstacle(home: Settings):
    home.run_folder.mkdir()
    (home.run_folder / "prefect.json").write_text('{"name": "prefe')

    assert [each.state for each in _services.up(of=home)] == ["ready", "ready"]


def test_a_held_port_is_told_with_its_holder_and_nothing_is_started(home: Settings):
    with socket.create_server(("127.0.0.1", home.mlflow_port)):
        with pytest.raises(ServiceError) as caught:
            _services.up(of=home)
        other = ports.next_free("127.0.0.1", home.mlflow_port + 1)

    command = " ".join(psutil.Process().cmdline())
    shown = command if len(command) <= 80 else command[:77] + "..."
    assert str(caught.value) == (
        f"The MLflow server cannot listen on 127.0.0.1:{home.mlflow_port}: the port is held by "
        f"process {os.getpid()} ({shown}).\n"
        f"  Fix: Stop that process, or choose a free port: HEADRACE_MLFLOW_PORT={other} in the "
        f"environment, or mlflow_port = {other} in headrace.toml."
    )
    assert processes.recorded(home) == {}


def test_an_address_of_another_machine_is_refused(home: Settings):
    with pytest.raises(ServiceError) as caught:
        ports.is_free("192.0.2.1", 4200)

    assert str(caught.value) == (
        "No server can listen on 192.0.2.1:4200: Cannot assign requested address.\n"
        "  Fix: Choose an address of this machine, such as 127.0.0.1, and a port above 1023."
    )


def test_a_server_that_ends_while_starting_is_told_with_its_last_words(
    home: Settings, programs: dict[str, str]
):
    programs["mlflow"] = DIES

    with pytest.raises(ServiceError) as caught:
        _services.up(of=home)

    assert str(caught.value) == (
        "The MLflow server ended while starting with exit code 3. It said last:\n"
        "    the disk is full\n"
        "  Fix: Correct the cause, then run `headrace up` again. All it said: "
        f"{home.log_folder / 'mlflow.log'}"
    )
    assert _services.status(of=home)[1].state == "stopped"


def test_a_server_that_never_answers_is_told_and_up_can_go_on_waiting(
    home: Settings, programs: dict[str, str]
):
    programs["mlflow"] = SULKS
    impatient = home.model_copy(update={"server_start_seconds": 0.5})

    with pytest.raises(ServiceError) as first:
        _services.up(of=impatient, only=("mlflow",))
    pid = processes.recorded(home)["mlflow"].pid
    with pytest.raises(ServiceError):
        _services.up(of=impatient, only=("mlflow",))

    assert str(first.value).startswith("The MLflow server is not ready after 0.5 seconds.")
    assert str(first.value).endswith(
        "  Fix: Run `headrace up` again to go on waiting, or allow more time with "
        "HEADRACE_SERVER_START_SECONDS. `headrace down` stops it."
    )
    assert processes.recorded(home)["mlflow"].pid == pid


def test_a_server_that_ignores_the_request_to_end_is_killed(
    home: Settings, programs: dict[str, str]
):
    programs["mlflow"] = STUBBORN
    _services.up(of=home, only=("mlflow",))
    running = _processes_of(home)

    processes.stop(processes.recorded(home)["mlflow"], home, patience_seconds=0.5)

    assert not [process for process in running if _alive(process)]


def test_changed_settings_of_a_running_server_are_told(home: Settings):
    _services.up(of=home, only=("prefect",))
    moved = home.model_copy(update={"prefect_port": 4299, "prefect_url": "http://127.0.0.1:4299"})

    with pytest.raises(ServiceError) as caught:
        _services.up(of=moved, only=("prefect",))

    assert str(caught.value) == (
        f"The Prefect server runs on port {home.prefect_port}, and the settings now say 4299.\n"
        "  Fix: Run `headrace down`, then `headrace up`."
    )


def test_a_server_that_somebody_else_runs_is_asked_and_never_started(home: Settings):
    url = f"http://127.0.0.1:{_free_port()}"
    theirs = home.model_copy(update={"mlflow_url": url})

    with pytest.raises(ServiceError) as caught:
        _services.up(of=theirs, only=("mlflow",))

    assert str(caught.value) == (
        f"The MLflow server that the settings name does not answer: {url}.\n"
        "  Fix: Start it where it runs, or correct its address: HEADRACE_MLFLOW_URL in the "
        "environment, or mlflow_url in headrace.toml."
    )


def test_two_ups_at_once_start_each_server_once(home: Settings):
    states: list[tuple[_services.ServiceState, ...]] = []
    threads = [
        threading.Thread(target=lambda: states.append(_services.up(of=home))) for _ in range(2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert states[0] == states[1]


def test_an_unknown_service_is_refused_with_the_nearest(home: Settings):
    with pytest.raises(UnknownNameError) as caught:
        _services.up(of=home, only=("mflow",))

    assert str(caught.value) == (
        "There is no service 'mflow'. Did you mean 'mlflow'?\n"
        "  Fix: Name a service, or none for all of them."
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _processes_of(of: Settings) -> list[psutil.Process]:
    leaders = [psutil.Process(daemon.pid) for daemon in processes.recorded(of).values()]
    return leaders + [child for leader in leaders for child in leader.children()]


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _wait_until(true: object) -> None:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.05)
