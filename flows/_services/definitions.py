"""This module says which services there are, how each is started and how it shows it is ready."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows._services.environment import (
    feast_ui_environment,
    labels_environment,
    mlflow_environment,
    prefect_environment,
    runner_environment,
    serving_environment,
)
from headrace.errors import UnknownNameError
from headrace.labels.addresses import labels_url, own_labels_url
from headrace.settings import Settings

# -P: a folder of the same name in the working directory must not hide an installed package
_PYTHON = (sys.executable, "-P", "-m")
# services are on loopback, or named by the user: a proxy has no business in between
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True, kw_only=True)
class Service:
    """This is one service: ours to start when it has a command, somebody else's when not.

    Attributes:
        name: What the command line calls it.
        title: What a reader calls it.
        command: Arguments to start it; none for a server that somebody else runs.
        folder: Where it runs, and may leave files.
        environment: Variables on top of those of the process that starts it.
        host: Interface it listens on; none when it does not listen.
        port: Port it listens on; likewise.
        port_setting: The setting of that port; likewise.
        url: Address for people; none when there is no page.
        health_url: Answers 200 when the service is ready.
        ready_file: A JSON object that the service writes once it is ready, with its `pid`.
        needs: Services that must be ready before this one is started.
        by_default: Whether it is started when none is named.
        may_lack: Whether the others are started, when none is named, though this one cannot be.
    """

    name: str
    title: str
    command: tuple[str, ...] | None
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None
    port: int | None = None
    port_setting: str | None = None
    url: str | None = None
    health_url: str | None = None
    ready_file: Path | None = None
    needs: tuple[str, ...] = ()
    by_default: bool = True
    may_lack: bool = False


def services(of: Settings) -> tuple[Service, ...]:
    """Return all services of these settings, in the order in which they can be started."""
    return _prefect(of), _mlflow(of), _feast_ui(of), _labels(of), _runner(of), _serving(of)


def chosen(of: Settings, only: tuple[str, ...]) -> tuple[Service, ...]:
    """Return the services named `only`, with those that they need; by default nearly all.

    Raises:
        UnknownNameError: A name is that of no service.
    """
    every = {service.name: service for service in services(of)}
    for name in only:
        if name not in every:
            raise UnknownNameError.of(
                "service", name, every, remedy="Name a service, or none for all of them."
            )
    wanted = set(only or (service.name for service in every.values() if service.by_default))
    for service in reversed(every.values()):
        if service.name in wanted:
            wanted.update(service.needs)
    return tuple(service for service in every.values() if service.name in wanted)


def is_ready(service: Service, pid: int | None) -> bool:
    """Ask a service whether it is ready.

    Args:
        service: The service.
        pid: Its process, which a ready file must name; none for a service somebody else runs.
    """
    if service.ready_file is not None:
        try:
            told = json.loads(service.ready_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there, or half written
            return False
        return isinstance(told, dict) and told.get("pid") == pid
    if service.health_url is None:
        return True
    try:
        with _open(service.health_url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):  # refused, not yet answering, an error status, or not HTTP
        return False


def _prefect(of: Settings) -> Service:
    arguments = ("server", "start", "--host", of.prefect_host, "--port", str(of.prefect_port))
    return Service(
        name="prefect",
        title="Prefect server",
        command=(*_PYTHON, "flows._services.prefect_server", *arguments)
        if of.runs_prefect
        else None,
        folder=of.home / "prefect",
        environment=prefect_environment(of),
        host=of.prefect_host,
        port=of.prefect_port,
        port_setting="prefect_port",
        url=of.prefect_url,
        health_url=f"{of.prefect_api_url}/health",
    )


def _mlflow(of: Settings) -> Service:
    folder = of.home / "mlflow"
    arguments = (
        *("--host", of.mlflow_host, "--port", str(of.mlflow_port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
        *("--uvicorn-opts", "--log-level warning"),
    )
    return Service(
        name="mlflow",
        title="MLflow server",
        command=(*_PYTHON, "mlflow", "server", *arguments) if of.runs_mlflow else None,
        folder=folder,
        environment=mlflow_environment(of),
        host=of.mlflow_host,
        port=of.mlflow_port,
        port_setting="mlflow_port",
        url=of.mlflow_url,
        health_url=f"{of.mlflow_url}/health",
    )


def _feast_ui(of: Settings) -> Service:
    everywhere = of.feast_ui_host in ("0.0.0.0", "::")  # noqa: S104  no address to go to
    address = f"http://{'127.0.0.1' if everywhere else of.feast_ui_host}:{of.feast_ui_port}"
    return Service(
        name="feast",
        title="Feast UI",
        command=(*_PYTHON, "flows._services.feast_ui"),
        folder=of.home / "features",
        environment=feast_ui_environment(of),
        host=of.feast_ui_host,
        port=of.feast_ui_port,
        port_setting="feast_ui_port",
        url=address,
        health_url=f"{address}/health",
        by_default=of.feast_ui,
        may_lack=True,
    )


def _labels(of: Settings) -> Service:
    return Service(
        name="labels",
        title="labeling page",
        command=(*_PYTHON, "serving.labeling.server"),
        folder=of.home / "labels",
        environment=labels_environment(of),
        host=of.labels_host,
        port=of.labels_port,
        port_setting="labels_port",
        url=labels_url(of),
        health_url=f"{own_labels_url(of)}/health",
        may_lack=True,
    )


def _runner(of: Settings) -> Service:
    return Service(
        name="runner",
        title="flow runner",
        command=(*_PYTHON, "flows.deployments"),
        folder=of.project,
        environment=runner_environment(of),
        url=f"{of.prefect_url}/deployments",
        ready_file=of.run_folder / "runner.ready",
        needs=("prefect",),
    )


def _serving(of: Settings) -> Service:
    return Service(
        name="serving",
        title="serving host",
        command=(*_PYTHON, "serving.host"),
        folder=of.home / "serving",
        environment=serving_environment(of),
        ready_file=of.run_folder / "serving.ready",
    )
