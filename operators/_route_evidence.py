"""This module says how far a source of labels may be trusted: by what it got right where we know.

A model's confidence is not taken at its word. Its votes on items whose answer is known are put into
bins of like confidence, and each bin is trusted as far as its own count allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from operators._proportions import at_least

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A model may have been fitted on gold items, never on the random slice; rules learn from neither.
EVIDENCE = {"model": ("random",), "rule": ("random", "gold")}
_KNOWN_BY = ("person", "adjudicator", "gold")
_IN_A_BIN = 50
_MOST_BINS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceVotes:
    """These are the votes of one rule or model.

    Args:
        rater: Its name.
        sort: "rule" or "model".
        label: Item to its answer; items that it abstained on are not in it.
        confidence: Item to how sure it was; 1 where it does not say.
    """

    rater: str
    sort: str
    label: Mapping[str, str]
    confidence: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """This is what a source got right, by bins of its confidence, the least first.

    Args:
        edges: Confidence at which each bin but the first begins.
        right: Items that it got right, by bin.
        of: Items whose answer is known, by bin; nothing in all bins means no evidence.
        least: What its accuracy is at least, by bin.
    """

    edges: Floats
    right: Ints
    of: Ints
    least: Floats

    @property
    def error(self) -> Floats:
        """The error to expect, by bin: the mean of what the counts leave possible (Jeffreys)."""
        error: Floats = (self.of - self.right + 0.5) / (self.of + 1.0)
        return error

    def bin_of(self, confidence: float) -> int:
        """Return the bin of a vote."""
        return int(np.searchsorted(self.edges, confidence, side="right"))


def sources_of(rows: Sequence[Mapping[str, Any]]) -> list[SourceVotes]:
    """Sort votes of rules and models by who gave them; of several on an item the latest counts."""
    given: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if row["source"] in EVIDENCE:
            items = given.setdefault((row["rater"], row["source"]), {})
            before = items.get(row["entity"])
            if before is None or before["voted_at"] <= row["voted_at"]:
                items[row["entity"]] = row
    return [
        SourceVotes(
            rater=rater,
            sort=sort,
            label={e: v["label"] for e, v in items.items() if v["label"] is not None},
            confidence={
                e: 1.0 if v["confidence"] is None else float(v["confidence"])
                for e, v in items.items()
                if v["label"] is not None
            },
        )
        for (rater, sort), items in sorted(given.items())
    ]


def truths_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return item to its label and slice, of labels that people gave or that are gold."""
    return {
        str(row["entity"]): (row["label"], row["slice"])
        for row in rows
        if row["source"] in _KNOWN_BY
    }


def evidence_of(
    sources: Sequence[SourceVotes],
    truths: Mapping[str, tuple[str, str]],
    *,
    confidence: float,
) -> dict[str, Evidence]:
    """Return what each source got right; all lower limits hold together with that confidence."""
    counted = {each.rater: _counted(each, truths) for each in sources}
    bins = sum(len(of) for _, _, of in counted.values())
    level = 1 - (1 - confidence) / max(bins, 1)
    return {
        rater: Evidence(
            edges=edges,
            right=right,
            of=of,
            least=np.array(
                [at_least(int(r), int(n), confidence=level) for r, n in zip(right, of, strict=True)]
            ),
        )
        for rater, (edges, right, of) in counted.items()
    }


def _counted(
    source: SourceVotes, truths: Mapping[str, tuple[str, str]]
) -> tuple[Floats, Ints, Ints]:
    known = [e for e in source.label if e in truths and truths[e][1] in EVIDENCE[source.sort]]
    sure = np.array([source.confidence[e] for e in known], dtype=np.float64)
    right = np.array([source.label[e] == truths[e][0] for e in known], dtype=np.int64)
    bins = int(np.clip(len(known) // _IN_A_BIN, 1, _MOST_BINS))
    edges = np.unique(np.quantile(sure, np.arange(1, bins) / bins)) if bins > 1 else np.empty(0)
    # an edge at the least value would leave the first bin empty
    edges = edges[edges > sure.min()] if len(sure) else edges
    at = np.searchsorted(edges, sure, side="right")
    count = len(edges) + 1
    return (
        edges,
        np.bincount(at, weights=right, minlength=count).astype(np.int64),
        np.bincount(at, minlength=count).astype(np.int64),
    )
