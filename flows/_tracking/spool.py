"""This module keeps stages on disk while the server is away, and sends them when it is back.

Each has a folder: `stage.json`, and `model/` and `files/` where the stage has them. A stage with
files is prepared in such a folder in any case; the folder goes when the stage is sent.
"""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows._tracking.sending import send
from flows._tracking.stage import Stage
from headrace.clock import current_clock
from serving._mlflow import MlflowRefusal, MlflowServer

_log = logging.getLogger("headrace.tracking")
_STAGE = "stage.json"
_SERVER = "server.json"
_REFUSED = "refused"
_UNFINISHED_SECONDS = 86_400.0


class Spool:
    """This is the folder of waiting stages.

    Args:
        folder: Where; made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new_folder(self) -> Path:
        """Make and return an empty folder for a stage's files."""
        made = self.folder / uuid.uuid4().hex
        made.mkdir(parents=True)
        return made

    def keep(self, server: MlflowServer, stage: Stage, folder: Path | None) -> Path:
        """Keep a stage that could not be sent, in its folder or a new one."""
        kept = folder or self.new_folder()
        (kept / _SERVER).write_text(json.dumps({"url": server.url}))
        part = kept / f"{_STAGE}.part"
        stage.write(part)
        part.replace(kept / _STAGE)  # whole or not at all
        return kept

    def send_all(self, server: MlflowServer) -> int:
        """Send what waits for this server, oldest first, and return how many went.

        Another process that is sending is left to it.

        Raises:
            MlflowDown: The server went away again; what is left waits on.
        """
        sent = 0
        with self._alone() as alone:
            if alone:
                self._discard_unfinished()
            for kept in self._waiting(server.url) if alone else ():
                stage = Stage.read(kept / _STAGE)
                try:
                    send(server, stage, kept)
                except MlflowRefusal as refusal:
                    self.set_aside(kept, refusal)
                    continue
                finally:
                    if (kept / _STAGE).exists():
                        stage.write(kept / _STAGE)  # with the ids that it got
                shutil.rmtree(kept)
                sent += 1
        return sent

    def set_aside(self, kept: Path, why: MlflowRefusal) -> None:
        """Move away a stage that the server will never take, and say so."""
        refused = self.folder / _REFUSED
        refused.mkdir(parents=True, exist_ok=True)
        kept.rename(refused / kept.name)
        _log.warning("A record was not taken and lies in %s: %s", refused / kept.name, why)

    def _waiting(self, url: str) -> list[Path]:
        stages = sorted(self.folder.glob(f"*/{_STAGE}"), key=lambda p: p.stat().st_mtime_ns)
        return [
            path.parent
            for path in stages
            if json.loads((path.parent / _SERVER).read_text())["url"] == url
        ]

    def _discard_unfinished(self) -> None:
        """Remove folders that a killed process was still preparing."""
        now = current_clock().now().timestamp()
        for folder in self.folder.iterdir():
            if not folder.is_dir() or folder.name == _REFUSED or (folder / _STAGE).exists():
                continue
            if now - folder.stat().st_mtime > _UNFINISHED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        if not self.folder.is_dir():
            yield False
            return
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
