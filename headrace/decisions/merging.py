"""This module decides which small Parquet files become one large file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from headrace.decisions.manifest import ParquetFile

LARGE_BYTES = 64 << 20
"""A file is merged no further from here on."""
_LEAST = 8  # of the newest day, so that the same rows are not written again and again
_DAY_US = 86_400_000_000


def merges_of(files: Sequence[ParquetFile], *, large: int = LARGE_BYTES) -> list[list[ParquetFile]]:
    """Return groups of files of one table that are to become one file each.

    Files of different days stay apart: what is too old is dropped a file at a time.

    Args:
        files: The files of one table, the oldest first.
        large: From how many bytes on a file is large.
    """
    groups: list[list[ParquetFile]] = []
    newest = max((file.first // _DAY_US for file in files), default=0)
    for day, found in itertools.groupby(files, key=lambda file: file.first // _DAY_US):
        least = _LEAST if day == newest else 2
        group: list[ParquetFile] = []
        for file in found:
            if file.bytes >= large:
                continue
            if sum(each.bytes for each in group) + file.bytes > large:
                groups.append(group)
                group = []
            group.append(file)
        if len(group) >= least:
            groups.append(group)
    return [group for group in groups if len(group) > 1]
