"""This module says which key chooses what; it is pure."""

from __future__ import annotations

from headrace.labels.schema import LabelSchema

# "s" skips and "u" undoes, so that they choose nothing
CHOICE_KEYS = "1234567890abcdefghijklmnopqrtvwxyz"


def choices_with_keys(schema: LabelSchema) -> list[dict[str, str]]:
    """Return the choices of a schema with the key of each; empty for those beyond the last key."""
    keys = [*CHOICE_KEYS, *("" for _ in schema.choices)]
    return [{"name": name, "key": key} for name, key in zip(schema.choices, keys, strict=False)]
