"""This benchmark edits code that an operator reaches, and counts wrong and needless answers.

A stale hit is a key that stays though the result can change; a needless miss is a key that changes
though the result cannot. The baseline is what hashing the text of the body would do, as Prefect's
`TASK_SOURCE + INPUTS` does.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._identity_corpus import all_edits
from benchmarks._identity_corpus.edit import Outcome, judge


def run() -> Iterator[dict[str, Any]]:
    """Yield one row: stale hits and needless misses over the whole corpus."""
    outcomes = _outcomes()
    expected = Counter(outcome.edit.expected for outcome in outcomes)
    wrong = [outcome.edit.name for outcome in outcomes if outcome.stale or outcome.missed]
    given_up = [outcome.edit.name for outcome in outcomes if outcome.needlessly_uncached]
    source_stale = sum(outcome.source_stale for outcome in outcomes)
    source_missed = sum(outcome.source_missed for outcome in outcomes)
    yield {
        "name": "identity_edits",
        "value": len(wrong),
        "unit": "stale hits + needless misses",
        "baseline": "hash of the body's source text and parameters (Prefect TASK_SOURCE + INPUTS)",
        "baseline_value": source_stale + source_missed,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": {
            "edits": len(outcomes),
            "must_change": expected["changes"],
            "must_stay": expected["same"],
            "hidden": expected["uncached ok"],
            "stale": sum(outcome.stale for outcome in outcomes),
            "missed": sum(outcome.missed for outcome in outcomes),
            "wrong": wrong,
            "uncached_share": round(sum(o.uncached for o in outcomes) / len(outcomes), 4),
            "uncached_though_plain": given_up,
            "baseline_stale": source_stale,
            "baseline_missed": source_missed,
            "categories": len({outcome.edit.category for outcome in outcomes}),
        },
    }


def _outcomes() -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some edits make code that warns
        return [judge(edit, Path(folder, str(at))) for at, edit in enumerate(all_edits())]
