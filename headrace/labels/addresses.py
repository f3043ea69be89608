"""This module says where the labeling page is found; it is pure."""

from __future__ import annotations

from headrace.addresses import EVERYWHERE
from headrace.settings import Settings


def labels_url(of: Settings) -> str:
    """Return the address of the labeling page for people, without a slash at its end."""
    return of.labels_url or own_labels_url(of)


def own_labels_url(of: Settings) -> str:
    """Return where the labeling page listens itself, whatever is before it."""
    host = "127.0.0.1" if of.labels_host in EVERYWHERE else of.labels_host
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


def hook_url(of: Settings, batch: str) -> str:
    """Return the address that Label Studio calls when somebody answered an item of a batch."""
    return f"{labels_url(of)}{hook_path(batch)}"


def hook_path(batch: str) -> str:
    """Return the path of that address, below the labeling page's own."""
    return f"/hooks/label-studio/{batch}"
