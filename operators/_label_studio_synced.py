"""This module holds what is told of answers that were fetched from Label Studio, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.labels.items import Batch


@dataclass(frozen=True, kw_only=True)
class Unused:
    """This is an annotation that is no vote.

    Attributes:
        annotation: Its number in Label Studio.
        item: Number of our item.
        entity: What that is.
        rater: Whose it is.
        why: Why it does not count.
    """

    annotation: int
    item: int
    entity: str
    rater: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Synced:
    """This says what was new in Label Studio.

    Attributes:
        batch: The batch as it stands after.
        tasks: Tasks that were looked at: those that changed since the last time.
        recorded: Votes and skips that were taken for the first time.
        superseded: Answers that took the place of an earlier one of the same rater.
        withdrawn: Answers that were taken back: the annotation was deleted.
        same: Answers that were known.
        over: Whose annotations are beyond the votes that an item wants; they are not counted.
        late: Annotations of a batch that was closed before they were fetched; not counted.
        unused: Annotations that are no votes, with the reason.
        edited: Annotations that somebody else than their annotator changed; they count as the
            annotator's.
        missing: Items whose task was deleted in Label Studio; their votes are kept.
    """

    batch: Batch
    tasks: int = 0
    recorded: int = 0
    superseded: int = 0
    withdrawn: int = 0
    same: int = 0
    over: tuple[str, ...] = ()
    late: int = 0
    unused: tuple[Unused, ...] = ()
    edited: int = 0
    missing: int = 0

    def document(self) -> dict[str, Any]:
        """Return the figures as JSON-like data."""
        figures = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        standing = {"batch": self.batch.id, "status": self.batch.status, "votes": self.batch.votes}
        told = {"over": list(self.over), "unused": [asdict(each) for each in self.unused]}
        return standing | figures | told
