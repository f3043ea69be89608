"""This benchmark settles votes whose truth is known, against majority.

Crowds are simulated: nine structures in nine shapes. Public sets are read from the folder that the
variable BENCHMARK_CROWDS names, and left out without it. Majority is right in 1/k of a tie of k.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._crowds import DIFFERING, SHAPES, STRUCTURES, Shape, Voted, public, simulated
from headrace.settings import inherited_environment
from operators._choice_auto import settled_by
from operators._choice_methods import Ballot
from operators._crowd_checks import winners
from operators._vote_choices import ballot_of
from operators._votes_read import read_votes
from operators.aggregate_votes import aggregate_votes

_SEED = 2_026
_REPEATS = 6
_TIMED = 7
# what Zheng and others (VLDB 2017) report of Dawid and Skene's method, and our own first figures
_PUBLISHED = {"d_jn-product": 0.937, "d_Duck": 0.898, "s4_Dog": 0.841, "s4_Face": 0.6438}


def run() -> Iterator[dict[str, Any]]:
    """Yield the points gained over majority, the seconds of 25,000 votes, and the public sets."""
    cells = {
        (structure, shape.name): [
            _gain(simulated(structure, shape, seed=(_SEED, s, which, repeat)))
            for repeat in range(_REPEATS)
        ]
        for s, structure in enumerate(STRUCTURES)
        for which, shape in enumerate(SHAPES)
    }
    yield from _simulated_rows(cells)
    yield _seconds()
    folder = inherited_environment().get("BENCHMARK_CROWDS")
    if folder:
        for name, voted in public(Path(folder)):
            yield _public_row(name, voted)


def _gain(voted: Voted) -> tuple[float, str]:
    """Return the points gained over majority on one crowd, and by which method."""
    ballot, truth = _ballot(voted)
    settled = settled_by(ballot, "auto")
    rows = np.arange(len(truth))
    majority = float(winners(ballot.crowd.counts())[rows, truth].mean())
    if settled.method == "majority":
        return 0.0, settled.method
    return 100 * (float((settled.chosen == truth).mean()) - majority), settled.method


def _ballot(voted: Voted) -> tuple[Ballot, Any]:
    votes, schema = voted.table()
    read = read_votes([votes.arrow()], schema)
    numbers = {name: at for at, name in enumerate(schema.choices)}
    truth = np.array([numbers[voted.truth[entity]] for entity in read.items["entity"]])
    return ballot_of(read, schema), truth


def _simulated_rows(cells: dict[tuple[str, str], list[tuple[float, str]]]) -> Iterator[Any]:
    means = {cell: statistics.mean(gain for gain, _ in runs) for cell, runs in cells.items()}
    runs = [run for each in cells.values() for run in each]
    by_structure = {
        structure: round(statistics.mean(v for (s, _), v in means.items() if s == structure), 2)
        for structure in STRUCTURES
    }
    detail = {
        "crowds": len(cells),
        "repeats": _REPEATS,
        "by_structure": by_structure,
        "dawid_skene_share": round(
            statistics.mean(method == "dawid_skene" for _, method in runs), 3
        ),
        "worst_single_run": round(min(gain for gain, _ in runs), 2),
        "runs_below_half_a_point": sum(gain < -0.5 for gain, _ in runs),
        "crowd_by_crowd": {
            f"{structure}; {shape}": round(mean, 2) for (structure, shape), mean in means.items()
        },
    }
    common = {"unit": "points", "baseline": "majority", "baseline_value": 0.0, "ratio": None}
    yield {
        "name": "vote_aggregation.worst",
        "value": round(min(means.values()), 3),
        **common,
        "higher_is_better": True,
        "goal": {"at_least": -0.5},
        "detail": detail,
    }
    differing = [mean for (structure, _), mean in means.items() if structure in DIFFERING]
    yield {
        "name": "vote_aggregation.where_raters_differ",
        "value": round(statistics.mean(differing), 3),
        **common,
        "higher_is_better": True,
        "goal": {"at_least": 2.0},
        "detail": {"by_structure": by_structure},
    }


def _seconds() -> dict[str, Any]:
    """Return how long 25,000 votes of two classes take: fit, checks and labels."""
    shape = Shape(items=8_333, raters=176, overlap=3, shares=(0.87, 0.13))
    voted = simulated("spammers", shape, seed=(_SEED, 99))
    ballot, _ = _ballot(voted)
    votes, schema = voted.table()
    settling, whole = [], []
    for _ in range(_TIMED):
        began = time.perf_counter()
        settled = settled_by(ballot, "dawid_skene")
        settling.append(time.perf_counter() - began)
        began = time.perf_counter()
        aggregate_votes(votes, schema=schema)
        whole.append(time.perf_counter() - began)
    return {
        "name": "vote_aggregation.seconds",
        "value": round(statistics.median(settling), 4),
        "unit": "s",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0.5},
        "detail": {
            "votes": len(voted.entities),
            "repeats": _TIMED,
            "iterations": settled.findings["iterations"],
            "slowest_s": round(max(settling), 4),
            "with_reading_report_and_agreement_s": round(statistics.median(whole), 4),
        },
    }


def _public_row(name: str, voted: Voted) -> dict[str, Any]:
    votes, schema = voted.table()
    labels, report = aggregate_votes(votes, schema=schema)
    frame = labels.frame()
    right = float((frame["label"] == frame["entity"].map(voted.truth)).mean())
    ballot, truth = _ballot(voted)
    majority = float(winners(ballot.crowd.counts())[np.arange(len(truth)), truth].mean())
    goal = next((goal for start, goal in _PUBLISHED.items() if name.startswith(start)), None)
    return {
        "name": f"vote_aggregation.{''.join(c if c.isalnum() else '_' for c in name)}",
        "value": round(right, 4),
        "unit": "share right",
        "baseline": "majority",
        "baseline_value": round(majority, 4),
        "ratio": round(right / majority, 4),
        "higher_is_better": True,
        "goal": None if goal is None else {"at_least": goal},
        "detail": {
            "items": len(frame),
            "votes": len(voted.entities),
            "classes": len(schema.choices),
            "method": report.document["method"],
            "alpha": round(report.document["agreement"]["alpha"]["value"], 4),
        },
    }
