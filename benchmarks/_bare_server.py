"""This module is the baseline of a lane: uvicorn, a Starlette route, and the same model.

`python -m benchmarks._bare_server BUNDLE`: it encodes and scores exactly as a lane does, with the
same runtime and the same batcher, on the same event loop and HTTP parser. It checks nothing, looks
nothing up and logs nothing. At `/single` each request is scored alone; at `/floats` a request is a
matrix of 32-bit floats, and its answer the scores as 64-bit ones.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.lane.deciding import Loaded
from serving.lane.loading import load_model
from serving.lane.table import Served


class Batcher:
    """This scores rows that came in the same turns of the event loop in one call.

    Args:
        model: What scores them.
    """

    def __init__(self, model: Loaded) -> None:
        self._model = model
        self._waiting: list[tuple[list[Any], asyncio.Future[float]]] = []

    async def score(self, row: list[Any]) -> float:
        """Return the score of a row."""
        loop = asyncio.get_running_loop()
        scored: asyncio.Future[float] = loop.create_future()
        self._waiting.append((row, scored))
        if len(self._waiting) == 1:
            loop.call_soon(loop.call_soon, self._flush)
        return await scored

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        scores = self._model.score([row for row, _ in waiting])
        for (_, scored), score in zip(waiting, scores, strict=True):
            if not scored.done():
                scored.set_result(score)


def application(model: Loaded) -> Starlette:
    """Return the app: `/batched`, `/single`, and `/floats`, which takes a matrix."""
    names = [feature.name for feature in model.scorer.card.features]
    batcher = Batcher(model)

    async def row_of(request: Request) -> list[Any]:
        features = orjson.loads(await request.body())["features"]
        return [features.get(name) for name in names]

    def answer(score: float) -> Response:
        body = orjson.dumps({"model": model.ref, "answer": {"probability": score}})
        return Response(body, media_type="application/json")

    async def batched(request: Request) -> Response:
        return answer(await batcher.score(await row_of(request)))

    async def single(request: Request) -> Response:
        return answer(model.score([await row_of(request)])[0])

    async def floats(request: Request) -> Response:
        matrix = np.frombuffer(await request.body(), dtype="<f4").reshape(-1, len(names))
        content = model.scorer.scores(matrix).tobytes()
        return Response(content, media_type="application/octet-stream")

    routes = [
        Route(f"/{each.__name__}", each, methods=["POST"]) for each in (batched, single, floats)
    ]
    return Starlette(routes=routes)


async def _serve(model: Loaded) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        application(model),
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
    )
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}) + "\n")
    sys.stdout.flush()
    await uvicorn.Server(config).serve(sockets=[listening])


def main(bundle: str) -> None:
    """Serve until the process is ended."""
    uvloop.run(_serve(load_model(Served(ref="bare/1", folder=Path(bundle)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
