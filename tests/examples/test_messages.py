"""The example of labeling: messages of a shop, labelled by raters who are made up."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
FOLDER = Path(__file__).parents[2] / "examples" / "messages"


@pytest.mark.lengthy
def test_the_rehearsal_says_what_each_round_came_to(run: Run):
    printed = run("rehearse.py", cwd=FOLDER).splitlines()

    rounds = [
        re.fullmatch(r"round (\d+): accuracy (0\.\d+|1\.0+); (next|stop): .+", line)
        for line in printed
    ]
    assert all(rounds)
    assert [int(each[1]) for each in rounds if each] == list(range(1, len(rounds) + 1))
    assert [each[3] for each in rounds if each][:-1] == ["next"] * (len(rounds) - 1)
    assert float(rounds[-1][2] if rounds[-1] else 0) > 0.85
