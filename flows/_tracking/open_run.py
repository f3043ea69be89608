"""This module holds what is known of a flow run while it is recorded."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from flows._tracking.notes import NodeLine
from flows._tracking.records import test_first
from flows._tracking.spool import Spool
from headrace.lineage import RunRecord
from serving._mlflow import MlflowServer


@dataclass(kw_only=True)
class OpenRun:
    """This is a run that is being recorded; nodes of several threads add to it.

    What was reused or belongs together is tags and not parameters, which could not change when the
    run fails, its code is corrected, and it is taken up again.
    What is not worth a request of its own is gathered here and sent when the run ends.

    Args:
        run: The run.
        server: Where it is recorded.
        experiment_id: The flow's experiment.
        mlflow_run_id: The parent run.
        prefect_url: Page of the flow run in Prefect, None outside it.
        spool: Where stages wait while the server is away.
        artifact_uri: Where the parent run's files go; None when that is not known.
        silent: The server was away; nothing more is tried before the run ends.
    """

    run: RunRecord
    server: MlflowServer
    experiment_id: str
    mlflow_run_id: str
    prefect_url: str | None
    spool: Spool
    artifact_uri: str | None = None
    silent: bool = False
    _lines: list[NodeLine] = field(default_factory=list)
    _metrics: dict[str, float] = field(default_factory=dict)
    _tags: dict[str, str] = field(default_factory=dict)
    _datasets: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _results: list[str] = field(default_factory=list)
    _makers: dict[str, str] = field(default_factory=dict)
    _criteria: dict[str, str] = field(default_factory=dict)
    _plots: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _claimed: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _behind: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="headrace-mlflow")
    )
    _last: Future[None] | None = None

    def later(self, work: Callable[[], None]) -> None:
        """Do something behind the nodes, in the order of the calls: what no crash would lose."""
        self._last = self._behind.submit(work)

    def caught_up(self) -> None:
        """Wait for all that was put off."""
        if self._last is not None:
            self._last.result()

    def add(
        self,
        *,
        line: NodeLine | None = None,
        metrics: dict[str, float] | None = None,
        tags: dict[str, str] | None = None,
        datasets: dict[tuple[str, str], dict[str, Any]] | None = None,
        result: str = "",
    ) -> None:
        """Gather what is sent when the run ends."""
        with self._lock:
            self._lines += [line] if line else []
            self._metrics |= metrics or {}
            self._tags |= tags or {}
            self._datasets |= datasets or {}
            self._results += [result] if result else []

    def made(self, digest: str, name: str) -> None:
        """Remember what the run that trained a model is called."""
        with self._lock:
            self._makers.setdefault(digest, name)

    def maker(self, digest: str) -> str:
        """Return what the run that trained a model is called, or the model itself."""
        return self._makers.get(digest, digest[:12])

    def selected(self, digest: str, metric: str | None) -> None:
        """Remember by which metric a model was selected."""
        if metric is not None:
            self._criteria[digest] = metric

    def criterion(self, digest: object) -> str | None:
        """Return the metric by which a model was selected; None when that is not known."""
        return self._criteria.get(str(digest))

    def evaluated(self, node: str, plots: dict[str, bytes]) -> None:
        """Remember the plots of an evaluation; none of one that was reused."""
        with self._lock:
            self._plots[node] = plots

    @property
    def plots(self) -> dict[str, bytes]:
        """The plots of the only evaluation, which the compare page is to show side by side."""
        return next(iter(self._plots.values())) if len(self._plots) == 1 else {}

    @property
    def results(self) -> list[str]:
        """What the run's page says first."""
        return list(self._results)

    def claim(self, name: str, node: str) -> bool:
        """Say whether a node is the first, or the one, to have a name."""
        with self._lock:
            return self._claimed.setdefault(name, node) == node

    @property
    def lines(self) -> list[NodeLine]:
        """The nodes so far, in the order in which they finished."""
        return list(self._lines)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics that are to be sent."""
        return dict(self._metrics)

    @property
    def tags(self) -> dict[str, str]:
        """Tags that are to be sent."""
        return dict(self._tags)

    @property
    def datasets(self) -> list[dict[str, Any]]:
        """Datasets that are to be sent, each once; test sets first."""
        return test_first(self._datasets.values())

    @functools.cached_property
    def experiment_ids(self) -> list[str]:
        """All experiments: a cached model may have been logged in any of them."""
        return self.server.experiment_ids()
