"""This module holds what the requests of the page share."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.errors import UnknownNameError
from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters, Session
from headrace.labels.task import LabelTask
from headrace.settings import Settings
from serving.labeling.attempts import Attempts


@dataclass(frozen=True, kw_only=True)
class Parts:
    """This is what the requests of the page share.

    Attributes:
        of: The settings.
        queue: Gives items out and keeps votes.
        raters: Knows who may vote, and who is signed in.
        attempts: Failed attempts to sign in.
    """

    of: Settings
    queue: LabelQueue
    raters: Raters
    attempts: Attempts = field(default_factory=Attempts)

    def tasks_of(self, session: Session) -> list[LabelTask]:
        """Return the tasks that a rater may see: theirs, and all for who adjudicates."""
        return [task for task in self.queue.tasks() if may_see(task, session)]

    def task_of(self, session: Session, name: str) -> LabelTask:
        """Return a task that a rater may see.

        Raises:
            UnknownNameError: There is none of this name that they may see; which, isn't said.
        """
        try:
            task = self.queue.task(name)
        except UnknownNameError:
            task = None
        if task is None or not may_see(task, session):
            raise UnknownNameError(
                f"There is no task '{name}' that you may see.",
                remedy="Choose one of the list of tasks, or ask who runs this page.",
            )
        return task


def may_see(task: LabelTask, session: Session) -> bool:
    """Say whether a rater may see a task."""
    return session.adjudicates or task.raters is None or session.rater in task.raters
