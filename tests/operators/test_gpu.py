"""A model on a GPU answers as on the processor, or stays there and says so."""

from __future__ import annotations
