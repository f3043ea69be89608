"""This module writes what raters see as plain JSON: the columns of the task, as text.

Values become text here and not in the browser, where an id of 19 digits would lose its last ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from headrace.clock import current_clock
from headrace.labels.items import Claim
from headrace.labels.schema import LabelSchema

Form = Literal["text", "number", "json", "none"]

_HALVES = re.compile("[\ud800-\udfff]")  # no text in UTF-8 can have them


def claim_document(claim: Claim, schema: LabelSchema) -> dict[str, Any]:
    """Return a claim as the page is told of it: of what is known, only what the rater may see."""
    return {
        "item": claim.item,
        "batch": claim.batch,
        "lease": claim.lease,
        # as a time that is left: the browser's clock may be another
        "seconds": max((claim.expires_at - current_clock().now()).total_seconds(), 0.0),
        "fields": fields_of(claim.shown),
        "suggested": answer_of(schema, claim.suggested),
        "vote": answer_of(schema, claim.vote),
    }


def fields_of(shown: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the columns that may be seen, in order, each with its value as text."""
    return [_field(name, value) for name, value in shown.items()]


def answer_of(schema: LabelSchema, written: str | None) -> Any:
    """Return what a written answer says, for the browser; a number stays text."""
    if written is None or schema.kind == "number":
        return written
    return schema.value(written)


def _field(name: str, value: Any) -> dict[str, str]:
    form, written = _written(value)
    return {"name": _whole(name), "form": form, "text": _whole(written)}


def _written(value: Any) -> tuple[Form, str]:
    if value is None:
        return "none", ""
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "text", "yes" if value else "no"
    if isinstance(value, int | float):
        return "number", repr(value)
    return "json", json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _whole(text: str) -> str:
    return _HALVES.sub("\ufffd", text)
