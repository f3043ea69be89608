"""This module shows people how the servers and the machine are, and who uses what."""

from __future__ import annotations

from flows._command import _screen
from flows._command._gpus import Gpu
from flows._command._machine_state import MachineState
from headrace.execution.ledger import GPU, LIMIT, MEMORY, Holding
from headrace.execution.queue_text import duration_text, size_text, waiting_text


def write_status(here: MachineState) -> None:
    """Write how everything is, the servers first."""
    _screen.write_table(
        ("service", "state", "address", "process", "log"),
        [
            (
                service.title,
                service.state if service.ours else f"{service.state}, run by others",
                service.url,
                service.pid,
                service.log,
            )
            for service in here.services
        ],
    )
    _screen.write()
    _screen.write_table(("machine", "there is", "in use", "taken by nodes"), _machine(here))
    _screen.write()
    if here.nodes:
        heads = ("run", "flow", "node", "state", "cores", "GPUs", "memory", "limits", "since")
        _screen.write_table((*heads, "waits for"), [_node(here, node) for node in here.nodes])
    else:
        _screen.write("No node runs.")
    if here.lanes.unknown is not None:
        _screen.write(f"\nThe lanes of endpoints are not known: {here.lanes.unknown}")
    elif here.lanes.by_endpoint:
        _screen.write()
        _screen.write_table(
            ("endpoint", "lane", "address", "process"),
            [
                (name, "not seen yet", None, None)
                if lane is None
                else (name, lane.state, lane.url, lane.pid)
                for name, lane in here.lanes.by_endpoint.items()
            ],
        )


def _machine(here: MachineState) -> list[tuple[str, str, str, str]]:
    has = here.capacity
    rows = [
        ("cores", f"{has.cores}", f"load {here.load[0]:.1f}", f"{here.cores_taken:g}"),
        (
            "memory",
            size_text(has.memory),
            size_text(here.memory_used),
            size_text(here.taken(MEMORY)),
        ),
        (
            "GPUs",
            f"{has.gpus}" if has.gpus else "none",
            "",
            f"{here.taken(GPU):g}" if has.gpus else "",
        ),
        *((f"  {gpu.name}", *_gpu_memory(gpu), "") for gpu in here.gpus),
    ]
    limits = [
        (f"limit {name}", f"{places}", "", f"{here.taken(LIMIT + name):g}")
        for name, places in has.limits.items()
    ]
    return rows + limits


def _gpu_memory(gpu: Gpu) -> tuple[str, str]:
    if gpu.memory_total is None or gpu.memory_used is None:
        return "", ""
    return size_text(gpu.memory_total), size_text(gpu.memory_used)


def _node(here: MachineState, node: Holding) -> tuple[str, ...]:
    wants = node.demand
    waits = ""
    if node.state == "waiting":
        waits = waiting_text(node, here.nodes, here.capacity, here.now).removeprefix("waits for ")
    return (
        node.run_id[:12],
        node.flow,
        node.node,
        "running" if node.state == "holding" else "waiting",
        f"{wants.cpu:g}",
        f"{wants.gpu:g}" if wants.gpu else "",
        size_text(wants.memory) if wants.memory else "",
        ", ".join(wants.limits),
        duration_text((here.now - node.since).total_seconds()),
        waits,
    )
