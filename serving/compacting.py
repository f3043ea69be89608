"""This module keeps decision logs tidy, in a process of its own: it is work for minutes of a core.

Sealed segments become Parquet, small files become large ones, and what an endpoint need not keep
any more is dropped. The serving host starts `python -m serving.compacting` now and then; it ends
when all is done.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from headrace.errors import DamagedArtifactError, HeadraceError, UnknownNameError
from headrace.settings import Settings, inherited_environment, settings

if TYPE_CHECKING:
    from headrace.decisions import Floor, Retained, Retention
    from serving.endpoints import EndpointSpec
    from serving.route import Route

_log = logging.getLogger("headrace.compacting")
_NICE = 10
_SECONDS_BETWEEN_DROPS = 3600.0
"""How often it is looked whether something is too old; that takes a second of a core."""


class Compactor:
    """This starts compactions, one at a time.

    Args:
        of: Where everything lies.
    """

    def __init__(self, of: Settings) -> None:
        self._settings = of
        self._process: subprocess.Popen[bytes] | None = None
        self._started = current_clock().monotonic()

    def look(self) -> None:
        """Start one if there is something to compact or to drop, and none is at work."""
        at_work = self._process is not None and self._process.poll() is None
        now = current_clock().monotonic()
        is_time = now - self._started > _SECONDS_BETWEEN_DROPS
        if at_work or not (_has_work(self._settings) or (is_time and any(_logs(self._settings)))):
            return
        self._started = now
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "serving.compacting"],
            stdin=subprocess.DEVNULL,
            env={**inherited_environment(), **self._settings.as_environment()},
        )

    def stop(self) -> None:
        """End one that is at work; the next one does it again."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


def kept_of(spec: EndpointSpec, route: Route) -> tuple[Retention, Floor]:
    """Return how long an endpoint's decisions are kept, and what no limit drops.

    Args:
        spec: How the endpoint was deployed.
        route: What it answers with; the decisions of its comparisons stay while they run.

    Raises:
        ParameterError: The retention makes no sense.
    """
    from headrace.decisions import Floor, Retention

    said = spec.retention or {}
    windows = [float(outcome.get("window_hours") or 0) for outcome in spec.outcomes]
    windows.append(float((spec.rule or {}).get("label_window_hours") or 0))
    return (
        Retention(
            keep_days=said.get("keep_days"),
            at_least_decisions=said.get("at_least_decisions") or 0,
        ),
        Floor(
            window_hours=max(windows),
            experiments=frozenset(rival.experiment for rival in route.rivals),
        ),
    )


def dropped(told: Retained) -> str:
    """Return what was dropped as a sentence for people."""
    return (
        f"{told.decisions:,} decisions, {told.shadows:,} shadow scores and {told.outcomes:,} "
        f"outcomes in {told.files:,} files and {told.segments:,} segments, "
        f"{told.bytes / 1e6:,.1f} MB"
    )


def _logs(of: Settings) -> Iterator[Path]:
    root = of.home / "decisions"
    return (path for path in (sorted(root.iterdir()) if root.is_dir() else ()) if path.is_dir())


def _has_work(of: Settings) -> bool:
    """Return whether a segment was sealed that is not in Parquet yet."""
    from headrace.decisions.folder import LogFolder
    from headrace.decisions.manifest import manifest_of

    for folder in _logs(of):
        sealed = {path.stem for path in (folder / "segments").glob("*.idx")}
        with suppress(DamagedArtifactError):  # who compacts it for another reason says so
            if sealed and sealed - manifest_of(LogFolder(folder)).compacted:
                return True
    return False


def main() -> None:
    """Compact the logs of all endpoints, once, and drop what they need not keep."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    _log.setLevel(logging.INFO)
    from headrace.decisions import compact

    os.nice(_NICE)
    for folder in _logs(settings()):
        try:
            compact(folder)
            _drop(folder)
        except HeadraceError as error:
            _log.error("Compaction of %s: %s", folder, error)


def _drop(folder: Path) -> None:
    from headrace.decisions import retain
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    try:
        spec, route = endpoints.spec(folder.name), endpoints.route(folder.name)
    except UnknownNameError:  # nobody says how long it is kept
        return
    retention, floor = kept_of(spec, route)
    if retention.keep_days is None:
        return
    told = retain(folder, retention, now=current_clock().now(), floor=floor)
    if told.files or told.segments:
        _log.info("Of '%s' were dropped: %s.", folder.name, dropped(told))


if __name__ == "__main__":
    main()
