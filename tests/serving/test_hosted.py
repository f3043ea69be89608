"""Whether the serving host runs is read from its file, and a file that was left says nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from headrace.settings import using_settings
from serving.hosted import is_up, ready_file, say_ready


def test_without_a_host_nothing_is_up(tmp_path: Path):
    with using_settings(home=tmp_path):
        assert not is_up()


def test_a_host_that_said_so_is_up(tmp_path: Path):
    with using_settings(home=tmp_path) as of:
        say_ready(of)

        assert is_up()
        assert json.loads(ready_file(of).read_text())["pid"] == os.getpid()


def test_a_file_that_a_killed_host_left_says_nothing(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    with using_settings(home=tmp_path) as of:
        say_ready(of)
        told = json.loads(ready_file(of).read_text()) | {"pid": gone.pid}
        ready_file(of).write_text(json.dumps(told))

        assert not is_up()


def test_a_process_id_that_was_given_out_again_is_another_process(tmp_path: Path):
    earlier = psutil.Process().create_time() - 3600

    with using_settings(home=tmp_path) as of:
        say_ready(of)
        ready_file(of).write_text(json.dumps({"pid": os.getpid(), "started": earlier}))

        assert not is_up()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 1}'])
def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path, content: str):
    with using_settings(home=tmp_path) as of:
        ready_file(of).parent.mkdir(parents=True)
        ready_file(of).write_text(content)

        assert not is_up()
