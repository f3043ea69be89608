"""This benchmark asks for many decisions in one request, as a matrix of 32-bit floats.

The baseline is uvicorn with a Starlette route that makes a matrix of the body with
`numpy.frombuffer` and scores it with the same runtime; it checks nothing. Ours checks every number
and the layout, routes, and, where it logs, has the batch in its log before it is answered.
"""

from __future__ import annotations

import base64
import json
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks._answers import FLOATS
from benchmarks._lane import ENDPOINT, Home, home, lane_process
from benchmarks._processes import started
from benchmarks._rounds import CONNECTIONS, Measured, Subject, measured

_ROUNDS, _SECONDS = 7, 3.0
_SIZES = (100, 1_000)
_BODIES = 20
_RATIO, _RATE = 1.2, 0.9
_BATCH = f"/v1/{ENDPOINT}/decide-batch"
_BASELINE = "uvicorn (uvloop, httptools) + Starlette + numpy.frombuffer, same scoring runtime"


def run() -> Iterator[dict[str, Any]]:
    """Yield what a batch of 100 rows costs, and how many rows a CPU second decides at 1,000."""
    with home() as of, ExitStack() as stack:
        found = measured(_subjects(of, stack), rounds=_ROUNDS, seconds=_SECONDS)
        model = of.describe()
    few, bare = found["no_log_100"], found["bare_100"]
    detail = {
        "rounds": _ROUNDS,
        "seconds": _SECONDS,
        "connections": CONNECTIONS,
        "measured": "the lane's own app and server in a plain process: every number checked, routed"
        "; without its log, and logged before it is answered",
        "model": model,
    }
    yield {
        "name": "decide_binary.rows_100",
        "value": round(few.against(bare), 3),
        "unit": "times the bare server",
        "baseline": f"{_BASELINE}, CPU us a request",
        "baseline_value": round(bare.median, 1),
        "ratio": round(few.against(bare), 3),
        "higher_is_better": False,
        "goal": {"at_most": _RATIO},
        "detail": {
            **{name: found[f"{name}_100"].to_json() for name in ("no_log", "logged", "bare")},
            "ratio_logged": round(found["logged_100"].against(bare), 3),
            **detail,
        },
    }
    many, bare = found["no_log_1000"], found["bare_1000"]
    ratio = _rate_against(many, bare)
    yield {
        "name": "decide_binary.rows_1000",
        "value": ratio,
        "unit": "times the rows per CPU second of the bare server",
        "baseline": f"{_BASELINE}, rows per CPU second",
        "baseline_value": round(_rate(bare)),
        "ratio": ratio,
        "higher_is_better": True,
        "goal": {"at_least": _RATE},
        "detail": {
            **{name: found[f"{name}_1000"].to_json() for name in ("no_log", "logged", "bare")},
            "rows_per_cpu_second": round(_rate(many)),
            "ratio_logged": _rate_against(found["logged_1000"], bare),
            **detail,
        },
    }


def _rate(found: Measured) -> float:
    """Return the rows that a CPU second decides, 1,000 in each request."""
    return 1_000 * 1e6 / found.median


def _rate_against(ours: Measured, bare: Measured) -> float:
    pairs = zip(ours.cost, bare.cost, strict=True)
    return round(statistics.median(theirs / own for own, theirs in pairs), 3)


def _subjects(of: Home, stack: ExitStack) -> list[Subject]:
    """Return the servers that take part, all of them up."""
    bare = stack.enter_context(started("_bare_server", str(of.bundle)))
    no_log = stack.enter_context(lane_process(of, "none"))
    logged = stack.enter_context(lane_process(of, "real"))
    layout = _layout(no_log.said["url"])
    ours = f"{_BATCH}?layout={layout}"
    return [
        Subject(
            name=f"{name}_{rows}",
            url=server.said["url"],
            pid=server.pid,
            path=path,
            bodies=bodies,
            kind=FLOATS,
        )
        for rows in _SIZES
        for bodies in [_bodies(of, rows)]
        for name, server, path in (
            ("bare", bare, "/floats"),
            ("no_log", no_log, ours),
            ("logged", logged, ours),
        )
    ]


def _layout(url: str) -> str:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", f"/v1/{ENDPOINT}")
        layout: str = json.load(connection.getresponse())["matrix"]["layout"]
        return layout
    finally:
        connection.close()


def _bodies(of: Home, rows: int) -> Path:
    """Return a file of matrices of real flights, each in base64 on a line of its own."""
    from operators.encoder import compile_encoder

    card = of.models[0].card
    asked = [[each["features"][name] for name in card.feature_names] for each in of.requests()]
    matrix = compile_encoder(card)(asked)
    random = np.random.default_rng(0)
    path = of.settings.home / "bench" / f"floats-{rows}.b64"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(_BODIES):
            some = matrix[random.integers(0, len(matrix), rows)]
            file.write(base64.b64encode(some.astype("<f4").tobytes()) + b"\n")
    return path
