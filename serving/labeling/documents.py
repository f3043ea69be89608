"""This module writes the page's documents from its templates, and gives out its files."""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
ROOT: ContextVar[str] = ContextVar("root", default="")
"""The path below which a proxy shows this page, for the links of the request's answer."""
_KEPT = {"cache-control": "public, max-age=31536000, immutable"}


@cache
def _all() -> dict[str, bytes]:
    folder = files("serving.labeling") / "files"
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


@cache
def version() -> str:
    """Return what stands for the files: scripts of another version are never used together."""
    content = sha256()
    for name, body in sorted(_all().items()):
        content.update(name.encode() + b"\0" + body)
    return content.hexdigest()[:12]


@cache
def _templates() -> Environment:
    written = {name: body.decode() for name, body in _all().items() if name.endswith(".html")}
    templates = Environment(
        loader=DictLoader(written),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["guideline"] = guideline_blocks
    return templates


def document(template: str, status: int = 200, **values: Any) -> Response:
    """Return a document; whatever it is given is text, never markup."""
    root = ROOT.get()
    beside = {"root": root, "files": f"{root}/files/{version()}"}
    text = _templates().get_template(template).render(**beside, **values)
    return Response(text.encode("utf-8", "replace"), status, media_type="text/html")


async def file(request: Request) -> Response:
    """Return a style sheet, a script or a picture; browsers keep them, by their version."""
    name = request.path_params["name"]
    suffix = name[name.rfind(".") :]
    if name not in _all() or suffix not in _TYPES:
        return Response("There is no such file.", 404, media_type="text/plain")
    kept = _KEPT if request.path_params["version"] == version() else {}
    return Response(_all()[name], media_type=_TYPES[suffix], headers=kept)


def guideline_blocks(guideline: str) -> list[tuple[str, list[str]]]:
    """Return a guideline as blocks: ("text", lines of a paragraph) or ("list", its points)."""
    blocks: list[tuple[str, list[str]]] = []
    for part in re.split(r"\n\s*\n", guideline.strip()):
        for line in part.splitlines():
            kind = "list" if line.startswith("- ") else "text"
            if blocks and blocks[-1][0] == kind and line is not part.splitlines()[0]:
                blocks[-1][1].append(line.removeprefix("- "))
            else:
                blocks.append((kind, [line.removeprefix("- ")]))
    return [block for block in blocks if any(block[1])]
