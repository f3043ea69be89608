"""This module says where the labeling page is found; it is pure."""

from __future__ import annotations

from headrace.settings import Settings

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  no address to go to


def labels_url(of: Settings) -> str:
    """Return the address of the labeling page, without a slash at its end."""
    host = "127.0.0.1" if of.labels_host in _EVERYWHERE else of.labels_host
    return f"http://{f'[{host}]' if ':' in host else host}:{of.labels_port}"


def task_url(of: Settings, task: str, item: int | None = None) -> str:
    """Return where a task is labelled.

    Args:
        of: Settings to follow.
        task: Its name.
        item: Number of the item that is to be shown first; None for whichever is next.
    """
    address = f"{labels_url(of)}/label/{task}"
    return address if item is None else f"{address}?item={item}"
