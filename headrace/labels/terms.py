"""This module tells by which terms a batch is answered, and whether a rater may answer at all."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from headrace.errors import ParameterError, UnknownNameError
from headrace.labels.refusals import Refused
from headrace.labels.tables import label_batch, label_part, label_rater
from headrace.labels.task import LabelTask
from headrace.labels.texts import is_whole

_RATER = select(label_rater.c.revoked_at, label_rater.c.adjudicates).where(
    label_rater.c.name == bindparam("of_rater")
)
_LONGEST = {"rater": 64, "request": 128}


class TermsOfBatches:
    """These are the tasks as they were when batches were asked for; each is read once.

    What a batch was asked for by never changes, so that nothing here grows old.
    """

    def __init__(self) -> None:
        self._known: dict[str, LabelTask] = {}

    def of(self, connection: Connection, batch: str) -> LabelTask:
        """Return the terms of a batch.

        Raises:
            UnknownNameError: There is no such batch.
        """
        found = self._known.get(batch)
        if found is None:
            query = select(label_batch.c.terms).where(label_batch.c.id == batch)
            document = connection.scalar(query) if is_whole(batch) else None
            if document is None:
                raise no_such_batch(connection, batch)
            found = self._known[batch] = LabelTask.model_validate(document)
        return found


def no_such_batch(connection: Connection, batch: str) -> UnknownNameError:
    """Return the error for the id of a batch that there is not."""
    newest = select(label_batch.c.id).order_by(label_batch.c.created_at.desc()).limit(1000)
    return UnknownNameError.of(
        "batch",
        batch,
        list(connection.scalars(newest)),
        remedy="List the batches with `headrace label batches`.",
    )


def require_rater(connection: Connection, rater: str) -> bool:
    """Refuse a name that nobody can have, and a rater whose token was taken away.

    Returns:
        Whether the rater settles ties.

    Raises:
        ParameterError: It is no name.
        Refused: The rater was revoked.
    """
    require_text("rater", rater)
    known = connection.execute(_RATER, {"of_rater": rater}).one_or_none()
    if known is not None and known.revoked_at is not None:
        raise Refused(
            f"The token of '{rater}' was taken away, so they may not label any more.",
            remedy=f"Give them a new one with `headrace label raters rotate {rater}`.",
            reason="not_rater",
        )
    return known is not None and bool(known.adjudicates)


def require_allowed(terms: LabelTask, rater: str) -> None:
    """Refuse a rater whom the task does not name.

    Raises:
        Refused: The task names its raters, and this is none of them.
    """
    if terms.raters is not None and rater not in terms.raters:
        raise Refused(
            f"'{rater}' is none of the raters of the task '{terms.name}'.",
            remedy="Name them in the task's `raters`, and ask for a new batch.",
            reason="not_rater",
        )


def require_text(what: str, text: str) -> None:
    """Refuse what is no name of a rater, or no id of a request.

    Raises:
        ParameterError: It is empty, too long, or has blanks at its ends or control characters.
    """
    longest = _LONGEST[what]
    if not 1 <= len(text) <= longest or text != text.strip() or not text.isprintable():
        raise ParameterError(
            f"A {what} cannot be {text[:80]!r}.",
            remedy=f"Give 1 to {longest} printable characters without blanks at the ends.",
        )


def population(connection: Connection, terms: LabelTask, batch: str) -> set[str]:
    """Return who could answer a batch: whom its task names, else all who have a token.

    Nobody where nobody knows: some answer there who were never made raters, such as functions in a
    notebook, and others like them may come.
    """
    if terms.raters is not None:
        revoked = select(label_rater.c.name).where(label_rater.c.revoked_at.is_not(None))
        return set(terms.raters) - set(connection.scalars(revoked))
    unknown = select(label_part.c.rater).where(label_part.c.batch == batch)
    unknown = unknown.where(label_part.c.rater.not_in(select(label_rater.c.name)))
    if connection.scalar(unknown.limit(1)) is not None:
        return set()
    good = select(label_rater.c.name).where(label_rater.c.revoked_at.is_(None))
    return set(connection.scalars(good))
