"""`headrace status`: servers, the machine, who uses it and who waits, in words and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from flows._command._gpus import Gpu, parsed_gpus
from flows._command._machine_state import Lanes, MachineState
from flows._command._status_text import write_status
from headrace.capacity import Capacity
from headrace.execution.ledger import Demand, Holding
from headrace.execution.room import room_of
from headrace.machine import machine
from headrace.settings import Settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec, Lane
from serving.hosted import say_ready

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST, SECOND = "1234abcd" * 4, "feedbeef" * 4


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Settings]:
    with using_settings(home=tmp_path / "home", gpus=1, limits={"warehouse": 2}) as changed:
        yield changed


def headrace_status(configured: Settings, *words: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace"), "status", *words],
        env=os.environ | configured.as_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def told(configured: Settings) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(headrace_status(configured, "--json"))
    return read


def test_json_has_servers_machine_limits_nodes_and_lanes(configured: Settings):
    read = told(configured)

    here = machine()
    shown = read["machine"]
    assert list(read) == ["services", "machine", "limits", "nodes", "lanes"]
    assert {each["state"] for each in read["services"]} == {"stopped"}
    assert (shown["cores"], shown["memory"], shown["gpus"]) == (here.cores, here.memory, 1)
    assert 0 < shown["memory_used"] < shown["memory"]
    assert len(shown["load"]) == 3
    assert (shown["cores_taken"], shown["memory_taken"], shown["gpus_taken"]) == (0, 0, 0)
    assert read["limits"] == {"warehouse": {"places": 2, "taken": 0}}
    assert (read["nodes"], read["lanes"]) == ([], [])


def test_looking_makes_neither_home_nor_database(configured: Settings):
    headrace_status(configured)

    assert not configured.home.exists()


def test_nodes_that_run_and_wait_are_shown_with_what_they_hold_and_lack(configured: Settings):
    room, go = room_of(configured), Event()

    def wait() -> None:
        with room.taken(Demand(gpu=0.5), run_id=SECOND, flow="g", node="tune"):
            go.wait()

    with ExitStack() as held:
        big = Demand(cpu=2, gpu=1, memory=1_000_000, limits=("warehouse",))
        held.enter_context(room.taken(big, run_id=FIRST, flow="f", node="train_torch"))
        held.enter_context(room.taken(Demand(), run_id=FIRST, flow="f", node="split"))
        waiter = Thread(target=wait)
        waiter.start()
        while len(room.holdings()) < 3:
            time.sleep(0.01)
        read, text = told(configured), headrace_status(configured)
    go.set()
    waiter.join()

    nodes = {node["node"]: node for node in read["nodes"]}
    assert {name: (n["state"], n["waits_for"]) for name, n in nodes.items()} == {
        "split": ("holding", []),
        "train_torch": ("holding", []),
        "tune": ("waiting", ["gpu"]),
    }
    assert nodes["train_torch"]["run_id"] == FIRST
    assert nodes["train_torch"]["pid"] == os.getpid()
    assert (read["machine"]["cores_taken"], read["machine"]["gpus_taken"]) == (3, 1)
    assert read["machine"]["memory_taken"] == 1_000_000
    assert read["limits"] == {"warehouse": {"places": 2, "taken": 1}}
    assert "0.5 of 1 GPU, held by run:1234abcd 'train_torch' (" in text


def test_it_is_quick(configured: Settings):
    before = os.times()
    headrace_status(configured)
    after = os.times()

    # seconds of processor, because others may be at work on this machine
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 1.5


def test_a_status_reads_as_a_page(capsys: pytest.CaptureFixture[str]):
    train = Holding(
        ticket=1,
        state="holding",
        run_id=FIRST,
        flow="flight_delay",
        node="train_torch",
        demand=Demand(cpu=2, gpu=1, memory=4_000_000_000),
        since=NOON,
        pid=7,
        process_started=0.0,
    )
    tune = replace(
        train, ticket=2, state="waiting", run_id=SECOND, node="tune", demand=Demand(gpu=1)
    )
    lane = Lane(state="serving", generation=3, url="http://127.0.0.1:8100", pid=9, at=NOON)
    here = MachineState(
        services=(),
        capacity=Capacity(cores=8, memory=64_000_000_000, gpus=1, limits={"warehouse": 2}),
        load=(1.25, 1.0, 0.5),
        memory_used=20_000_000_000,
        gpus=[Gpu(name="NVIDIA L4", memory_used=1_500_000_000, memory_total=24_000_000_000)],
        nodes=[train, tune],
        lanes=Lanes(by_endpoint={"flight_delay": lane, "new": None}),
        now=NOON + timedelta(minutes=2),
    )

    write_status(here)

    assert capsys.readouterr().out == PAGE


PAGE = """\
service  state  address  process  log

machine          there is  in use    taken by nodes
cores            8         load 1.2  2
memory           64GB      20GB      4GB
GPUs             1                   1
  NVIDIA L4      24GB      1.5GB
limit warehouse  2                   0

run           flow          node         state    cores  GPUs  memory  limits  since  waits for
1234abcd1234  flight_delay  train_torch  running  2      1     4GB             2 min
feedbeeffeed  flight_delay  tune         waiting  1      1                     2 min  \
the GPU, held by run:1234abcd 'train_torch' (2 min)

endpoint      lane          address                process
flight_delay  serving       http://127.0.0.1:8100  9
new           not seen yet
"""


def test_lanes_are_those_that_the_serving_host_keeps(configured: Settings):
    endpoints = Endpoints()
    for name in ("arrival", "departure"):
        spec = EndpointSpec(model=name, task="classification", clock="live", space="headrace")
        endpoints.declare(name, spec=spec, champion=f"{name}/1", reason="new")
    endpoints.observe(
        "arrival",
        Lane(state="serving", generation=1, url="http://127.0.0.1:8100", pid=9, at=NOON),
    )

    without_host = told(configured)["lanes"]
    say_ready(configured)  # this process plays the host
    with_host = told(configured)["lanes"]

    assert without_host == []
    assert [each["endpoint"] for each in with_host] == ["arrival", "departure"]
    assert (with_host[0]["state"], with_host[0]["url"]) == ("serving", "http://127.0.0.1:8100")
    assert with_host[1] == {"endpoint": "departure"}


def test_without_nodes_and_lanes_it_says_so_in_a_line(capsys: pytest.CaptureFixture[str]):
    here = MachineState(
        services=(),
        capacity=Capacity(cores=2, memory=2_000_000_000, gpus=0),
        load=(0.0, 0.0, 0.0),
        memory_used=500_000_000,
        gpus=(),
        nodes=(),
        lanes=Lanes(by_endpoint={}, unknown="The database cannot be used."),
        now=NOON,
    )

    write_status(here)

    assert capsys.readouterr().out.splitlines()[-9:] == [
        "",
        "machine  there is  in use    taken by nodes",
        "cores    2         load 0.0  0",
        "memory   2GB       500MB     0B",
        "GPUs     none",
        "",
        "No node runs.",
        "",
        "The lanes of endpoints are not known: The database cannot be used.",
    ]


def test_the_drivers_table_is_read_and_what_it_does_not_know_is_left_open():
    table = "NVIDIA H200, 512, 143771\nNVIDIA H200 MIG 1g.18gb, [N/A], [N/A]\n"

    assert parsed_gpus(table) == [
        Gpu(name="NVIDIA H200", memory_used=512 * 2**20, memory_total=143771 * 2**20),
        Gpu(name="NVIDIA H200 MIG 1g.18gb"),
    ]
    with pytest.raises(ValueError, match="unpack"):
        parsed_gpus("No devices were found\n")
