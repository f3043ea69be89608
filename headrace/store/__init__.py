"""This package keeps artifacts by what they contain, whole or not at all, checked when read."""

from __future__ import annotations

from headrace.store.local import LocalStore
from headrace.store.port import Store, Stored

__all__ = ["LocalStore", "Store", "Stored"]
