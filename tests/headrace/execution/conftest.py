"""These fixtures give each test a store and lineage of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.execution import Session
from headrace.settings import using_settings


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Point the settings at an empty home, with this folder as the first-party root."""
    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        yield tmp_path / "home"


@pytest.fixture
def session(home: Path) -> Session:
    """Return a session on the empty home."""
    return Session.of_settings()
