"""What the tests of the decision log share: small documents of an endpoint for flights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog

Document = dict[str, Any]
COLUMNS = ("distance", "wind", "carrier")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "flight_delay"


@pytest.fixture
def open_log(folder: Path) -> Iterator[Callable[..., DecisionLog]]:
    """Open a log of the test's folder that is closed after it."""
    with ExitStack() as stack:

        def open_(writer: str = "lane", **options: Any) -> DecisionLog:
            return stack.enter_context(DecisionLog.open(folder, writer=writer, **options))

        yield open_


@pytest.fixture
def decision() -> Callable[..., Document]:
    """Make the document of a decision; its columns are those of `COLUMNS`."""
    from headrace.decisions.documents import columns_id

    columns = columns_id(COLUMNS)

    def make(name: str, *, logged: int = 0, **changed: Any) -> Document:
        return {
            "kind": "decision",
            "id": name,
            "at": 1_357_020_000_000_000,
            "logged": logged,
            "entity": {"origin": "EWR"},
            "columns": columns,
            "features": [1400.0, None, "UA"],
            "overridden": [],
            "missing": ["airport_weather"],
            "generation": 1,
            "experiment": None,
            "candidates": ["flight_delay/3"],
            "propensities": [1.0],
            "model": "flight_delay/3",
            "score": 0.25,
            "answer": {"probability": 0.25},
            **changed,
        }

    return make


@pytest.fixture
def shadow() -> Callable[..., Document]:
    def make(name: str, *, logged: int = 0, **changed: Any) -> Document:
        return {
            "kind": "shadow", "id": name, "logged": logged, "model": "flight_delay/4",
            "score": 0.5, "ms": 0.1, "experiment": "4-against-3", **changed,
        }  # fmt: skip

    return make


@pytest.fixture
def outcome() -> Callable[..., Document]:
    def make(name: str, value: float | None, *, logged: int = 0) -> Document:
        return {
            "kind": "outcome", "id": name, "known_at": 1_357_030_000_000_000,
            "logged": logged, "value": value,
        }  # fmt: skip

    return make
