"""A rater in a process of its own: votes, and says of each vote that it was acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.labels.queue import LabelQueue
from headrace.lineage.database import Database


def main(path: str, rater: str) -> None:
    """Vote until there is nothing left; each line on standard output is a receipt."""
    queue = LabelQueue(Database(Path(path)))
    while (claim := queue.claim("t", rater)) is not None:
        receipt = queue.vote(claim.lease, rater, "yes", ms=1, request=f"{rater}/{claim.item}")
        sys.stdout.write(f"{receipt.number} {claim.item} {rater}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
