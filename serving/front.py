"""This module is the front: one address before all lanes, which deals requests to their replicas.

It is the HAProxy that Ray Serve ships, run with a configuration of our own. The serving host opens
the sockets and hands them over, so that nothing listens that it did not open, and a client that
comes while HAProxy is started again waits some milliseconds instead of being refused.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from headrace.errors import HeadraceError, ServiceError
from headrace.settings import Settings
from serving._front_changes import Dealt, commands, dealt, held_from, map_lines
from serving._front_configuration import MAP, Inherited, configuration
from serving._front_files import changed_at, write_files
from serving._front_process import HaproxyProcess
from serving._front_sockets import listening_at, most_connections
from serving.tls import TlsFiles, tls_files

_LOOK_SECONDS = 1.0
_LOOKS_PER_LOOK_AT_TLS = 10
_DYING_SECONDS = 2.0  # whoever lives shorter is not started again at once
_LONGEST_PAUSE_SECONDS = 5.0
_HOPELESS = 3  # so often in a row; then clients are refused, instead of waiting for nobody
_log = logging.getLogger("headrace.serving")


def front_wanted(of: Settings) -> bool:
    """Return whether the settings ask for a front."""
    return of.serving_front != "off"


class Front:
    """This is the front of one installation; any thread may use it.

    Args:
        of: Where it listens, and where its files lie.
    """

    def __init__(self, of: Settings) -> None:
        self._settings = of
        self._folder = of.home / "serving" / "front"
        self._lock = threading.RLock()
        self._dealt = Dealt()
        self._settled = False
        self._leaving = False
        self._tls: TlsFiles | None = None
        self._tls_seen: tuple[int, ...] = ()
        self._port = of.serving_front_port
        self._listening: socket.socket | None = None
        self._metrics: socket.socket | None = None
        self._process: HaproxyProcess | None = None
        self._ends = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address that clients are told."""
        of = self._settings
        if of.serving_front_url is not None:
            return of.serving_front_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(  # noqa: S104  compared, not bound
            of.serving_front_host, of.serving_front_host
        )
        host = f"[{host}]" if ":" in host and host[0] != "[" else host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._port}"

    def start(self) -> None:
        """Listen, and answer that lanes are starting until `apply` says who answers.

        Raises:
            ServiceError: The address is taken or not of this machine, or HAProxy does not start.
            ParameterError: The certificate cannot be used.
        """
        self._tls = tls_files(self._settings)
        self._tls_seen = changed_at(self._tls)
        began: list[HeadraceError] = []
        ready = threading.Event()
        with self._lock:
            self._listen()

        def watch() -> None:  # HAProxy ends with the thread that started it
            try:
                with self._lock:
                    self._launch()
            except HeadraceError as error:
                began.append(error)
                return
            finally:
                ready.set()
            self._watch()

        self._watcher = threading.Thread(target=watch, name="front", daemon=True)
        self._watcher.start()
        ready.wait()
        if began:
            self.stop()
            raise began[0]

    def apply(self, backends: Mapping[str, Sequence[str]]) -> None:
        """Deal requests to these replicas from now on, and to no others.

        What is under way at a replica that goes ends there.

        Args:
            backends: Name of each endpoint to the addresses of its replicas, `http://HOST:PORT`.

        Raises:
            ParameterError: An address is not one of a replica.
            ServiceError: HAProxy could not be told; it will be, with the next `apply` or by itself
                when it is started again.
        """
        with self._lock:
            self._dealt, self._settled = dealt(backends, self._dealt), True
            if self._process is not None and self._process.alive():
                self._tell()

    def alive(self) -> bool:
        """Return whether requests are received."""
        process = self._process
        return process is not None and process.alive()

    def stop(self) -> None:
        """End it; what is under way may end first, for a second."""
        self._ends.set()
        with self._lock:
            if self._process is not None:
                self._process.end(patience_seconds=1.0)
                self._process = None
            self._close()
        if self._watcher is not None:
            self._watcher.join()

    # --- telling the process that runs ---

    def _tell(self) -> None:
        told, later = self._outstanding()
        if told:
            assert self._process is not None  # noqa: S101  whoever calls has looked
            said = self._process.tell(*told)
            left, later = self._outstanding()
            if left:
                raise ServiceError(
                    f"HAProxy did not do {'; '.join(left[:3])}: {' '.join(said.split())[:300]}",
                    remedy=f"Read {self._folder / 'haproxy.log'}.",
                )
        self._leaving = bool(later)

    def _outstanding(self) -> tuple[list[str], list[str]]:
        assert self._process is not None  # noqa: S101
        shown = self._process.tell(f"show map {MAP}"), self._process.tell("show servers state")
        return commands(held_from(*shown), self._dealt)

    def _look(self, number: int) -> None:
        """Forget replicas whose last request has ended, and take a renewed certificate."""
        if self._process is None or not self._process.alive():
            return
        if self._leaving:
            _, later = self._outstanding()
            if later:
                self._process.tell(*later)
            self._leaving = bool(self._outstanding()[1])
        if self._tls is not None and number % _LOOKS_PER_LOOK_AT_TLS == 0:
            self._renew(self._tls)

    def _renew(self, before: TlsFiles) -> None:
        seen = changed_at(before)
        if seen == self._tls_seen:
            return
        self._tls_seen = seen  # one that cannot be used is said once
        tls_files(self._settings)
        pem = f"{before.certificate.read_text()}\n{before.key.read_text()}"
        lines = "\n".join(line for line in pem.splitlines() if line.strip())
        assert self._process is not None  # noqa: S101
        self._process.tell(f"set ssl cert front.pem <<\n{lines}\n")
        said = self._process.tell("commit ssl cert front.pem")
        if "Success" not in said:
            raise ServiceError(
                f"HAProxy does not take the new certificate: {' '.join(said.split())[:300]}",
                remedy="run `headrace down` and `headrace up`, which reads it anew.",
            )
        _log.warning("The front receives with the renewed certificate %s.", before.certificate)

    # --- keeping it running ---

    def _watch(self) -> None:
        number = failures = 0
        began = time.monotonic()
        while not self._ends.is_set():
            process = self._process
            if process is not None and not process.wait(_LOOK_SECONDS):
                number += 1
                with self._lock, _said("The front"):
                    if not self._ends.is_set():
                        self._look(number)
                continue
            if self._ends.is_set():
                return
            if process is not None:
                _log.error("HAProxy, process %s, has ended.", process.pid)
            # the first time at once
            failures = failures + 1 if time.monotonic() - began < _DYING_SECONDS else 0
            pause = min(2**failures / 20, _LONGEST_PAUSE_SECONDS) if failures > 1 else 0.0
            if self._ends.wait(pause):
                return
            began = time.monotonic()
            self._start_again(failures)

    def _start_again(self, failures: int) -> None:
        with self._lock, _said("HAProxy is not started again"):
            if self._ends.is_set():
                return
            if self._process is not None:
                self._process.end(patience_seconds=0)
                self._process = None
            try:
                self._listen()
                self._launch()
            finally:
                if self._process is None and failures >= _HOPELESS:
                    self._close()

    def _launch(self) -> None:
        assert self._listening is not None  # noqa: S101
        ours, theirs = socket.socketpair()
        metrics = self._metrics
        numbers = Inherited(
            front=self._listening.fileno(),
            commands=theirs.fileno(),
            metrics=None if metrics is None else metrics.fileno(),
        )
        text = configuration(
            numbers,
            self._dealt.servers,
            connections=most_connections(),
            tls=self._tls is not None,
            client_ca=self._tls is not None and self._tls.client_ca is not None,
        )
        lines = map_lines(self._dealt) if self._settled else []
        write_files(self._folder, text, lines, self._tls)
        inherited = [self._listening] if metrics is None else [self._listening, metrics]
        try:
            self._process = HaproxyProcess(
                self._folder, inherited=inherited, commands=theirs, ours=ours
            )
        except HeadraceError:
            ours.close()
            theirs.close()
            raise
        self._leaving = False

    # --- sockets ---

    def _listen(self) -> None:
        of = self._settings
        if self._listening is None:
            self._listening = listening_at(of.serving_front_host, self._port, "serving_front_port")
            self._port = self._listening.getsockname()[1]
        if self._metrics is None and of.serving_front_metrics_port is not None:
            self._metrics = listening_at(
                "127.0.0.1", of.serving_front_metrics_port, "serving_front_metrics_port"
            )

    def _close(self) -> None:
        for each in (self._listening, self._metrics):
            if each is not None:
                each.close()
        self._listening = self._metrics = None


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    try:
        yield
    except HeadraceError as error:
        _log.error("%s: %s", what, error)
