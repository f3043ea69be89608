"""This module shows a lane to people and programs: its page, its figures, its metrics."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

from serving._request_errors import RequestError
from serving.lane.exchange import Answer, Asked, Path
from serving.lane.metrics import exposition
from serving.lane.page_html import SECURITY, page
from serving.lane.page_sections import sections
from serving.lane.stats import stats_of

if TYPE_CHECKING:
    from serving.lane.app import LaneApp

_HTML, _CSS, _JS = b"text/html; charset=utf-8", b"text/css; charset=utf-8", b"text/javascript"
_AS_SECTIONS = b"as=sections"
_NOT_KEPT = ((b"cache-control", b"no-store"),)
_KEPT = ((b"cache-control", b"public, max-age=86400"), (b"x-content-type-options", b"nosniff"))


def page_paths(lane: LaneApp) -> dict[str, Path]:
    """Return what shows a lane."""
    style, script = _file("page.css"), _file("page.js")
    version = sha256(style + script).hexdigest()[:12]
    metrics_in = exposition(lane)

    async def metrics(asked: Asked) -> Answer:
        accept = (asked.header(b"accept") or b"").decode("latin-1")
        body, content_type = metrics_in(accept)
        return Answer(body, content_type=content_type.encode(), headers=_NOT_KEPT)

    async def stats(asked: Asked) -> Answer:
        figures = stats_of(lane)
        if asked.scope.get("query_string") == _AS_SECTIONS:
            figures = {"sections": sections(figures)}
        return Answer(orjson.dumps(figures), headers=_NOT_KEPT)

    async def shown(asked: Asked) -> Answer:
        try:  # the page itself is everybody's; what it shows is for those who may read
            lane.gate.admit(asked, "read")
        except RequestError:
            written = None
        else:
            written = sections(stats_of(lane))
        return Answer(page(lane.endpoint, written, version=version), 200, _HTML, SECURITY)

    async def styled(_: Asked) -> Answer:
        return Answer(style, 200, _CSS, _KEPT)

    async def scripted(_: Asked) -> Answer:
        return Answer(script, 200, _JS, _KEPT)

    own = f"/v1/{lane.endpoint}"
    return {
        "/metrics": Path("GET", metrics, "read"),
        f"{own}/metrics": Path("GET", metrics, "read"),  # behind a front: of one replica
        f"{own}/stats": Path("GET", stats, "read"),
        f"{own}/page": Path("GET", shown, None),
        f"{own}/page/page.css": Path("GET", styled, None),
        f"{own}/page/page.js": Path("GET", scripted, None),
    }


def _file(name: str) -> bytes:
    return (files("serving.lane") / "page_files" / name).read_bytes()
