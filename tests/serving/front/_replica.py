"""A small lane in a process of its own, to be killed: python _replica.py NAME; prints its port."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

NAME = sys.argv[1]
DECIDED: dict[str, dict[str, Any]] = {}


async def app(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    document = json.loads(body) if body[:1] == b"{" else {}
    if document.get("die"):
        os._exit(9)  # it read the request, and does not answer
    if "began" in document:
        Path(document["began"]).touch()
    await asyncio.sleep(document.get("seconds", 0))
    answer = {
        "by": NAME,
        "path": scope["path"],
        "headers": {k.decode(): v.decode() for k, v in scope["headers"]},
        "bytes": len(body),
    }
    content = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


listening = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
# connections inherit it; asyncio sets it only where a socket says that its protocol is TCP
listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
sys.stdout.write(f"{listening.getsockname()[1]}\n")
sys.stdout.flush()
config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_keep_alive=75)
asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
