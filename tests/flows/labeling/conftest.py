"""Each test has an empty home, and this folder's code is first-party in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.labels.queue import LabelQueue
from headrace.settings import using_settings


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LabelQueue]:
    """Return the queue of an empty home, in which this folder's code is first-party."""
    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        yield LabelQueue()
