"""This module delivers stages: to the server, or to the disk while the server is away."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from flows._tracking.open_run import OpenRun
from flows._tracking.sending import send
from flows._tracking.stage import Stage
from serving._mlflow import MlflowDown, MlflowRefusal

_log = logging.getLogger("headrace.tracking")


def deliver(opened: OpenRun, stage: Stage, folder: Path | None) -> str | None:
    """Send a stage, or keep it for later.

    Once the server was away nothing more is tried in this run until it ends, so that a server that
    hangs does not hold up every node.

    Returns:
        The id of the MLflow run; None when the stage waits or was refused.
    """
    if not opened.silent:
        try:
            run_id = send(opened.server, stage, folder)
        except MlflowDown as down:
            opened.silent = True
            _log.warning(
                "%s\nThe run goes on. Its records wait in %s and are sent with the next run.",
                down,
                opened.spool.folder,
            )
        except MlflowRefusal as refusal:
            opened.spool.set_aside(opened.spool.keep(opened.server, stage, folder), refusal)
            return None
        else:
            if folder is not None:
                shutil.rmtree(folder)
            return run_id
    opened.spool.keep(opened.server, stage, folder)
    return None


def catch_up(opened: OpenRun) -> None:
    """Send what waits, if anything had to wait in this run and the server is back."""
    if not opened.silent:
        return
    try:
        opened.spool.send_all(opened.server)
    except MlflowDown:
        return
    opened.silent = False
