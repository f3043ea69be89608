"""This module holds what a catalogue must say of views that were replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from headrace.errors import DefinitionError, did_you_mean


class Staged(Protocol):
    """This is a view, as far as its life goes."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def replaced_by(self) -> str:
        """The view to use instead; empty where there is none."""


def check_replacements(views: Sequence[Staged], unread: Collection[object] = ()) -> None:
    """Refuse views whose replacement does not exist, or leads back to themselves.

    Args:
        views: All views that there are.
        unread: What could not be read; a replacement may be in it, so that none is refused.

    Raises:
        DefinitionError: A replacement does not exist, or nobody would ever arrive at one.
    """
    by_name = {view.name: view for view in views}
    for view in views:
        seen, now = [view.name], view
        while now.replaced_by:
            if now.replaced_by not in by_name:
                if unread:
                    break
                known = by_name.keys() - {now.name}
                raise DefinitionError(
                    f"Feature view '{now.name}' is replaced by '{now.replaced_by}', which does not "
                    f"exist.{did_you_mean(now.replaced_by, known)}",
                    remedy="Name the view to use instead, or leave `replaced_by` out.",
                )
            now = by_name[now.replaced_by]
            if now.name in seen:
                chain = " → ".join([*seen[seen.index(now.name) :], now.name])
                raise DefinitionError(
                    f"Feature views replace each other in a circle: {chain}.",
                    remedy="Let one of them stay, without `replaced_by`.",
                )
            seen.append(now.name)
