"""This module has people label in Label Studio: it sends batches there and fetches the votes.

The queue stays the one place where votes count. Label Studio is asked by plain REST, whenever
somebody asks for votes; it needs no way to reach us. Where it has one and the setting
`label_studio_webhook` says so, it is told to call when somebody answers, and then asked at once.
"""

from __future__ import annotations

import fcntl
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, DefinitionError
from headrace.labels.hooks import hook_of, no_hook
from headrace.settings import settings
from operators._label_studio_answers import Place, Reading, read_annotations
from operators._label_studio_client import Client
from operators._label_studio_config import ITEM, labeling_config
from operators._label_studio_fetching import annotators, changed_tasks
from operators._label_studio_projects import fill, made_project, project_of
from operators._label_studio_synced import Synced, Unused
from operators._label_studio_webhook import arrange, is_arranged, remove, wanted_url

if TYPE_CHECKING:
    from headrace.labels.foreign import ForeignVote, Recorded
    from headrace.labels.items import Batch, VoteRecord
    from headrace.labels.queue import LabelQueue, QueueItem
    from headrace.labels.task import LabelTask

__all__ = ["LabelStudio", "Synced", "Unused"]

BACKEND = "labelstudio"
_AT_ONCE = 500


class LabelStudio:
    """This is a Label Studio that people label in, behind our queue.

    Args:
        queue: The queue; the installation's by default.
        url: Address of Label Studio; the setting `label_studio_url` by default.
        token: A token of an account there; the setting `label_studio_token` by default.

    Raises:
        DefinitionError: There is no address or no token.
    """

    def __init__(
        self, queue: LabelQueue | None = None, *, url: str | None = None, token: str | None = None
    ) -> None:
        from headrace.labels.queue import LabelQueue

        configured = settings()
        secret = configured.label_studio_token
        url = url or configured.label_studio_url
        token = token or (secret.get_secret_value() if secret else None)
        for name, given in (("LABEL_STUDIO_URL", url), ("LABEL_STUDIO_TOKEN", token)):
            if not given:
                raise DefinitionError(
                    f"Label Studio is asked for, but HEADRACE_{name} is not set.",
                    remedy='Set it, or ask on our own page: backend="local".',
                )
        self._client = Client(str(url), str(token))
        self._queue = queue or LabelQueue()

    def check(self) -> str:
        """Return the version of Label Studio, once it is sure that we can work with it.

        Raises:
            ServiceError: It does not answer, is not one that is understood, or does not accept the
                token.
        """
        with self._connected():
            return self._client.version()

    def check_task(self, task: LabelTask) -> None:
        """Refuse a task that cannot be asked there.

        Raises:
            DefinitionError: It shows no text that could be marked, or a choice has characters that
                cannot be sent.
        """
        labeling_config(task)
        for choice in task.labels.choices:
            if not choice.isprintable():
                raise DefinitionError(
                    f"The choice {choice!r} of the task '{task.name}' has characters that Label "
                    "Studio would show or give back otherwise.",
                    remedy="Use printable characters only.",
                )

    def push(self, batch: str) -> Batch:
        """Send a batch to Label Studio: a project with its items; what is there is not sent again.

        Args:
            batch: Id of a batch that was asked for with the back-end "labelstudio".

        Returns:
            The batch, with the project's number and address in `external`.

        Raises:
            UnknownNameError: There is no such batch.
            DataError: It is not for Label Studio or an item cannot be shown; or its project was
                deleted.
            ServiceError: Label Studio does not answer, or does not take it.
        """
        self.check_task(self._batch(batch)[1])
        with self._alone_with(batch):
            found, task = self._batch(batch)
            if found.status != "open":
                return found
            self._client.version()
            project = int(made_project(self._client, found, task)["id"])
            # the address is kept before anything is sent, so that nobody makes a second project
            url = f"{self._client.url}/projects/{project}/data?labeling=1"
            self._refer(batch, project=project, server=self._client.url, url=url)
            fill(self._client, project, self._queue.items(batch), task, batch=batch)
            self._arrange(batch, project, look=True)
        return self._queue.batch(batch)

    def sync(self, batch: str, *, everything: bool = False) -> Synced:
        """Fetch what people answered since the last time, and count it; repeating it is harmless.

        Args:
            batch: Id of a batch that was sent to Label Studio.
            everything: Look at all tasks, also at those that did not change.

        Raises:
            UnknownNameError: There is no such batch.
            DataError: It is not for Label Studio, was never sent, or its project was deleted.
            ServiceError: Label Studio does not answer.
        """
        self._batch(batch)
        with self._alone_with(batch):
            found, task = self._batch(batch)
            self._client.version()
            project = project_of(self._client, found)
            since = None if everything else (found.external or {}).get("seen_until")
            tasks = changed_tasks(self._client, int(project["id"]), since=since)
            readings = self._read(found, task, tasks)
            missing = max(0, found.items - int(project["task_number"]))
            synced = self._recorded(found, readings, tasks, missing=missing)
            self._arrange(batch, int(project["id"]), look=everything)
            return replace(synced, batch=self._queue.batch(batch))

    def _read(
        self, batch: Batch, task: LabelTask, tasks: Sequence[Mapping[str, Any]]
    ) -> list[Reading]:
        if not tasks:
            return []
        people = annotators(self._client)
        standing = self._standing(batch.id)
        by_item: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for each in tasks:
            by_item[each["data"].get(ITEM)].append(each)
        return [
            read_annotations(by_item[item.id], _place(item, task, standing), people=people)
            for item in self._queue.items(batch.id)
            if item.id in by_item
        ]

    def _recorded(
        self,
        batch: Batch,
        readings: Sequence[Reading],
        tasks: Sequence[Mapping[str, Any]],
        *,
        missing: int,
    ) -> Synced:
        votes = [vote for reading in readings for vote in reading.votes]
        said, late = self._record(batch, votes)
        over = [vote for each in said for vote in each.over]
        if tasks:  # only now: what was not recorded is looked at again
            self._refer(batch.id, seen_until=max(each["updated_at"] for each in tasks))
        return Synced(
            batch=self._queue.batch(batch.id),
            tasks=len(tasks),
            recorded=sum(each.recorded for each in said),
            superseded=sum(each.superseded for each in said),
            withdrawn=sum(each.withdrawn for each in said),
            same=sum(r.same for r in readings) + sum(each.repeated for each in said),
            over=tuple(sorted(f"{vote.rater} on item {vote.item}" for vote in over)),
            late=late,
            unused=tuple(each for reading in readings for each in reading.unused),
            edited=sum(reading.edited for reading in readings),
            missing=missing,
        )

    def _record(self, batch: Batch, votes: Sequence[ForeignVote]) -> tuple[list[Recorded], int]:
        """Record votes, and return what the queue says and how many came too late."""
        from headrace.labels.refusals import Refused

        said: list[Recorded] = []
        for begin in range(0, len(votes), _AT_ONCE):
            if batch.status == "closed":
                return said, len(votes) - begin
            try:
                said.append(self._queue.record(batch.id, votes[begin : begin + _AT_ONCE]))
            except Refused:
                batch = self._queue.batch(batch.id)
                if batch.status != "closed":
                    raise
                return said, len(votes) - begin  # its deadline passed meanwhile
        return said, 0

    def _arrange(self, batch: str, project: int, *, look: bool) -> None:
        """Have Label Studio call us about a batch, or not, as the settings say now.

        Args:
            batch: Id of the batch.
            project: Number of its project.
            look: Look there also where nothing is known to have changed.
        """
        found = self._queue.batch(batch)
        known, url = hook_of(found), wanted_url(settings(), batch)
        if found.status == "closed":
            url = None
        if is_arranged(known, url) and not (look and url):
            return
        if url is not None:
            told = arrange(
                self._client, project, known, url,
                keep=lambda hook: self._refer(batch, **hook.external()),
            )  # fmt: skip
            self._refer(batch, **told.external())
        elif known is not None:
            remove(self._client, project, known)
            self._refer(batch, **no_hook())

    def _refer(self, batch: str, **external: Any) -> None:
        known = self._queue.batch(batch).external or {}
        self._queue.refer(batch, {**known, **external})

    def _batch(self, batch: str) -> tuple[Batch, LabelTask]:
        found = self._queue.batch(batch)
        if found.backend != BACKEND:
            raise DataError(
                f"Batch '{batch}' is labeled on our own page, not in Label Studio.",
                remedy='Give a batch that was asked for with backend="labelstudio".',
            )
        return found, self._queue.terms(batch)

    def _standing(self, batch: str) -> dict[str, dict[str, VoteRecord]]:
        standing: dict[str, dict[str, VoteRecord]] = defaultdict(dict)
        for vote in self._queue.votes(batch=batch):
            if vote.source == "person":
                standing[vote.entity][vote.rater] = vote
        return standing

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._client.close()

    @contextmanager
    def _alone_with(self, batch: str) -> Iterator[None]:
        """Let one process of this machine deal with a batch at a time.

        Of two that fetch at once, the one with the older answers could be the one to record last.
        """
        folder = settings().run_folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"labelstudio-{batch}.lock").open("w") as lock, self._connected():
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _place(
    item: QueueItem, task: LabelTask, standing: Mapping[str, Mapping[str, VoteRecord]]
) -> Place:
    return Place(
        batch=item.batch,
        item=item.id,
        entity=item.entity,
        shown=item.shown,
        task=task,
        standing=standing.get(item.entity, {}),
    )
