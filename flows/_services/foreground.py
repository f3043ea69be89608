"""This module turns the present process into one service: for containers and process supervisors.

The service is written down as one that `up` started, so that `status` and `down` find it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import NoReturn

import psutil

from flows._services import processes
from flows._services.attempt import Attempt
from flows._services.definitions import Service, chosen, services
from headrace.errors import ServiceError
from headrace.settings import Settings, inherited_environment, settings


def become(name: str, *, of: Settings | None = None) -> NoReturn:
    """Become a service: its command takes the place of this process.

    What it needs is not started.

    Args:
        name: The service.
        of: Settings to follow; those of this process by default.

    Raises:
        UnknownNameError: There is no such service.
        ServiceError: It runs already, or its port is held.
    """
    of = of or settings()
    service = service_to_become(name, of)
    running = processes.recorded(of).get(name)
    if running is not None and (process := processes.process_of(running)) is not None:
        raise ServiceError(
            f"The {service.title} of '{of.home}' runs already, as process {process.pid}.",
            remedy=f"Stop it with `headrace down {name}`, or leave it alone.",
        )
    Attempt(service, of, None).check_before_start()
    for folder in (of.run_folder, service.folder):
        folder.mkdir(parents=True, exist_ok=True)
    if service.ready_file is not None:
        service.ready_file.unlink(missing_ok=True)
    processes.write_down(_this_process(service), of)
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(service.folder)
    command = service.command or ()
    os.execve(command[0], command, {**inherited_environment(), **service.environment})  # noqa: S606


def service_to_become(name: str, of: Settings) -> Service:
    """Return a service as it is started here, whatever address others know it by.

    In a container a server listens on all interfaces (`prefect_host`) and is known by the address
    that is published (`prefect_url`), which its pages then name.

    Raises:
        UnknownNameError: There is no such service.
    """
    chosen(of, (name,))  # refuses unknown names
    listening = {
        f"{each}_url": f"http://{getattr(of, f'{each}_host')}:{getattr(of, f'{each}_port')}"
        for each in ("prefect", "mlflow")
    }
    ours = next(s for s in services(of.model_copy(update=listening)) if s.name == name)
    known = next(s for s in services(of) if s.name == name)
    return replace(known, command=ours.command)


def _this_process(service: Service) -> processes.Daemon:
    return processes.Daemon(
        name=service.name,
        title=service.title,
        pid=os.getpid(),
        started=psutil.Process().create_time(),  # stays when the command takes our place
        port=service.port,
        log="",
    )
