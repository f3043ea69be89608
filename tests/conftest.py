"""Every test run has a home and ports of its own, set before anything reads the settings.

A test that asks for `servers` gets real ones, started once a run. The variables are set for the
whole run because prefect and mlflow read theirs when they are imported, whichever test is first.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from headrace.settings import Settings

# The same commit gets the same verdict, however busy the machine is: no example fails for its time,
# 0.2 seconds otherwise; `--hypothesis-profile default` looks for new examples.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    print_blob=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

_HOME = Path(tempfile.mkdtemp(prefix="headrace-tests-"))


def _free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _enter_own_home() -> None:
    for name in [name for name in os.environ if name.startswith(("HEADRACE_", "PREFECT_"))]:
        del os.environ[name]
    prefect_port, mlflow_port = _free_ports(2)
    os.environ["HEADRACE_HOME"] = str(_HOME)
    os.environ["HEADRACE_PREFECT_PORT"] = prefect_port
    os.environ["HEADRACE_MLFLOW_PORT"] = mlflow_port
    from flows._services import apply_client_environment

    apply_client_environment()


class _Leaving:
    """This ends the process before DuckDB tells of objects that other libraries' threads hold.

    The command line does the same, and says why; here the test runner's last line stays the last.
    """

    def __init__(self) -> None:
        self.code = 1
        self._process = os.getpid()

    def __call__(self) -> None:
        if os.getpid() != self._process:
            return  # a fork runs these too, and has an end of its own
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)


_leaving = _Leaving()
atexit.register(_leaving)  # first to come, so last to go
_enter_own_home()


@pytest.fixture(scope="session")
def servers() -> Iterator[Settings]:
    """A real Prefect and a real MLflow server, for the whole run; the settings name them."""
    from flows import _services
    from headrace.settings import settings

    _services.up(only=("prefect", "mlflow"))
    yield settings()
    _services.down()


@pytest.fixture(scope="session")
def serving(servers: Settings) -> Settings:
    """The same with a real Ray Serve, which lanes run on; whoever ends the servers ends it too."""
    from flows import _services

    _services.up(only=("serving",))
    return servers


@pytest.fixture(scope="session")
def fail_beyond() -> Callable[..., None]:
    """Put another model into a bundle: one that answers 0.25, and fails on longer flights."""

    import hashlib
    import json

    from headrace.content import document_digest

    def change(folder: Path, *, miles: float) -> None:
        card = json.loads((folder / "card.json").read_bytes())
        content = _failing([f["name"] for f in card["features"]], miles)
        (folder / "model.onnx").write_bytes(content)
        manifest = json.loads((folder / "runtime.json").read_bytes())
        del manifest["checksum"]
        manifest["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
        manifest["choice"] |= {"small": "onnxruntime", "large": "onnxruntime", "switch_at": None}
        manifest["checksum"] = document_digest(manifest)
        (folder / "runtime.json").write_text(json.dumps(manifest))

    return change


def _failing(features: list[str], miles: float) -> bytes:
    """Return a model in ONNX: beyond the limit it looks for a second answer, and there is one."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "place": np.array([features.index("distance")], np.int64),
        "limit": np.array([[miles]], np.float32),
        "one answer": np.array([0.25], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["rows", "place"], ["miles"], axis=1),
            helper.make_node("Greater", ["miles", "limit"], ["is far"]),
            helper.make_node("Cast", ["is far"], ["which"], to=TensorProto.INT64),
            helper.make_node("Gather", ["one answer", "which"], ["score"], axis=0),
        ],
        "fails far away",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(features)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(autouse=True, scope="module")
def environment_as_before() -> Iterator[None]:
    """Undo what a module's flow runs put into the environment for Prefect and MLflow."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker("server")


def pytest_sessionfinish(exitstatus: int) -> None:
    _leaving.code = int(exitstatus)


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)
