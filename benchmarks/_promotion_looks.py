"""This module looks at runs after every block, and counts those that promote at any look."""

from __future__ import annotations

import hashlib
import math
import subprocess
from dataclasses import dataclass

import numpy as np

from benchmarks._processes import REPOSITORY
from benchmarks._promotion_days import Days, Flags
from benchmarks._promotion_nulls import ALPHA, MIN_BLOCKS, NAIVE_Z
from headrace.errors import DataError
from serving._comparison import PLANNED
from serving._sequences import block_sequence

LEVEL = 100 * ALPHA
MOST = 6.1
_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Share:
    """This is a share of runs, in percent.

    Args:
        count: How many.
        runs: Of how many.
    """

    count: int
    runs: int

    @property
    def percent(self) -> float:
        """The share."""
        return 100 * self.count / self.runs

    @property
    def lower(self) -> float:
        """One-sided 95 % lower bound (Clopper and Pearson, Biometrika 26, 1934)."""
        from scipy.stats import beta  # type: ignore[import-untyped]

        if self.count == 0:
            return 0.0
        return 100 * float(beta.ppf(1 - _CONFIDENCE, self.count, self.runs - self.count + 1))

    def to_json(self) -> dict[str, float]:
        """Return the share and its bound as JSON-like data."""
        return {"percent": round(self.percent, 3), "lower": round(self.lower, 3), "runs": self.runs}


def goal(runs: int) -> float:
    """Return the largest share that meets the goal: at most 6.1, its lower bound at most 5."""
    counts = range(int(runs * MOST / 100), -1, -1)
    found = (share for share in (Share(count=k, runs=runs) for k in counts) if share.lower <= LEVEL)
    return next(found).percent


def proofs(days: Days) -> Flags:
    """Return whether each look finds proof of an advantage, from the fewest blocks on."""
    known = block_sequence(days.values, alpha=ALPHA, planned=PLANNED * MIN_BLOCKS, effective=True)
    enough: Flags = known.log_e[:, MIN_BLOCKS - 1 :] >= -math.log(ALPHA)
    return enough


def naive(days: Days) -> Flags:
    """Return whether each look finds z > 1.645 over all requests so far: the control."""
    n, total, squares = (np.cumsum(x, axis=1) for x in (days.counts, days.sums, days.squares))
    mean = total / n
    z = mean / np.sqrt((squares / n - mean**2) / n)
    enough: Flags = z[:, MIN_BLOCKS - 1 :] > NAIVE_Z
    return enough


def at_any_look(looks: Flags) -> Share:
    """Return the share of runs that are promoted at one look at least."""
    return Share(count=int(looks.any(axis=1).sum()), runs=looks.shape[0])


def seeds(name: str, fixed: int) -> dict[str, int]:
    """Return the seeds of a null: one that is fixed, and one that the commit gives it.

    Raises:
        DataError: There is no commit.
    """
    return {"fixed": fixed, "commit": _seed_of(commit(), name)}


def commit() -> str:
    """Return the commit that is checked out, in full.

    Raises:
        DataError: There is none.
    """
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(
            f"There is no commit to take seeds from: {error}.",
            remedy="Run the benchmark in a checkout of the repository.",
        ) from error
    return done.stdout.strip()


def _seed_of(commit_id: str, name: str) -> int:
    return int(hashlib.sha256(f"{commit_id} {name}".encode()).hexdigest()[:8], 16)
