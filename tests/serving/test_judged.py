"""What was judged is remembered under all that it rests on, and under nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.settings import settings, using_settings
from serving import _judged
from serving._judged import mark_of, remember, remembered

SAID = {"action": "hold", "why": "Too few days.", "trace": {"mean": 0.1}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[None]:
    with using_settings(home=tmp_path):
        yield


def test_it_is_told_again_under_its_mark_and_forgotten_under_another() -> None:
    mark = mark_of({"rule": "r"}, "2013-11-01", "state")

    remember("flights", mark, SAID)

    assert remembered("flights", mark_of({"rule": "r"}, "2013-11-01", "state")) == SAID
    assert remembered("flights", mark_of({"rule": "s"}, "2013-11-01", "state")) is None
    assert remembered("flights", mark_of({"rule": "r"}, "2013-11-02", "state")) is None
    assert remembered("flights", mark_of({"rule": "r"}, "2013-11-01", "other")) is None
    assert remembered("trains", mark) is None


def test_other_code_that_judges_is_another_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "judge.py").write_text("bound = 1\n", encoding="utf-8")
    monkeypatch.setattr(_judged, "_FOLDERS", (folder,))
    before = mark_of("state")

    (folder / "judge.py").write_text("bound = 2\n", encoding="utf-8")

    assert mark_of("state") != before


def test_what_cannot_be_read_is_not_remembered() -> None:
    remember("flights", "mark", SAID)
    [kept] = (settings().home / "serving" / "judged").iterdir()

    kept.write_text('{"mark": "mark"', encoding="utf-8")

    assert remembered("flights", "mark") is None
