"""This module holds one attempt to have one service ready, from the first check to the answer."""

from __future__ import annotations

from typing import Literal

from flows._services import ports, processes
from flows._services.definitions import Service, is_ready
from headrace.errors import ServiceError
from headrace.settings import Settings

Event = Literal["already up", "starting", "waiting", "ready"]


class Attempt:
    """This is the attempt to have one service ready.

    Args:
        service: The service.
        of: Settings to follow.
        daemon: Its process, when one runs already.
    """

    def __init__(self, service: Service, of: Settings, daemon: processes.Daemon | None) -> None:
        self.service = service
        self.daemon = daemon
        self._settings = of
        self._is_new = False

    def check_before_start(self) -> None:
        """Refuse what can be known to fail before anything is started.

        Raises:
            ServiceError: The port is held, or the service runs on another port, or it is somebody
                else's and does not answer.
        """
        service, daemon = self.service, self.daemon
        if service.command is None:
            if not is_ready(service, None):
                raise ServiceError(
                    f"The {service.title} that the settings name does not answer: {service.url}.",
                    remedy="Start it where it runs, or correct its address: "
                    f"HEADRACE_{service.name.upper()}_URL in the environment, or "
                    f"{service.name}_url in headrace.toml.",
                )
        elif daemon is not None:
            if daemon.port != service.port:
                raise ServiceError(
                    f"The {service.title} runs on port {daemon.port}, and the settings now say "
                    f"{service.port}.",
                    remedy="Run `headrace down`, then `headrace up`.",
                )
        elif service.host and service.port and not ports.is_free(service.host, service.port):
            other = ports.next_free(service.host, service.port + 1)
            setting = service.port_setting or ""
            raise ServiceError(
                f"The {service.title} cannot listen on {service.host}:{service.port}: the port is "
                f"held by {ports.holder(service.port)}.",
                remedy=f"Stop that process, or choose a free port: HEADRACE_{setting.upper()}="
                f"{other} in the environment, or {setting} = {other} in headrace.toml.",
            )

    def advance(self, *, blocked_by: set[str]) -> Event:
        """Start the service if it is time to, and say how far it is.

        Args:
            blocked_by: Names of services that are not ready yet.

        Raises:
            ServiceError: The service ended.
        """
        service = self.service
        if self.daemon is None and service.command is not None:
            if blocked_by & set(service.needs):
                return "waiting"
            self.daemon = processes.start(service, self._settings)
            self._is_new = True
            return "starting"
        if is_ready(service, self.daemon.pid if self.daemon else None):
            return "ready" if self._is_new else "already up"
        if self.daemon is not None:
            self._check_it_runs(self.daemon)
        return "waiting"

    def check_patience(self, seconds: float) -> None:
        """Give up on a service that takes too long.

        Args:
            seconds: Since the beginning.

        Raises:
            ServiceError: It took longer than `server_start_seconds`. The process is left alone.
        """
        patience = self._settings.server_start_seconds
        if seconds > patience:
            said = f" It said last:\n{processes.last_lines(self.daemon)}" if self.daemon else ""
            raise ServiceError(
                f"The {self.service.title} is not ready after {patience:g} seconds.{said}",
                remedy="Run `headrace up` again to go on waiting, or allow more time with "
                "HEADRACE_SERVER_START_SECONDS. `headrace down` stops it.",
            )

    def _check_it_runs(self, daemon: processes.Daemon) -> None:
        if processes.process_of(daemon) is not None:
            return
        code = processes.exit_code(daemon)
        told = "" if code is None else f" with exit code {code}"
        processes.stop(daemon, self._settings)
        raise ServiceError(
            f"The {self.service.title} ended while starting{told}. It said last:\n"
            f"{processes.last_lines(daemon)}",
            remedy=f"Correct the cause, then run `headrace up` again. All it said: {daemon.log}",
        )
