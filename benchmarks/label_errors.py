"""This benchmark swaps known labels for wrong ones and sees whether the audit finds them.

The value is the area under the ROC curve of the audit's ranking, wrong labels against right ones:
the share of pairs of a wrong and a right label in which the wrong one comes first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks._news import read_news
from headrace.schemas import Column, TableSchema
from operators.audit_labels import audit_labels

if TYPE_CHECKING:
    from headrace import Table

_SEEDS = (31, 32, 33)
_SHARE = 0.2
_GOAL = 0.99
_ENTITY = Column(name="row", dtype="string", role="entity")
_LABELS = TableSchema(
    name="Given", columns=(_ENTITY, Column(name="label", dtype="string", role="label"))
)
Noise = Literal["symmetric", "pair"]


def run() -> Iterator[dict[str, Any]]:
    """Yield how well wrong labels are found among BBC news and handwritten digits."""
    from sklearn.datasets import load_digits

    from headrace import Table

    texts, topics = read_news()
    names = [f"r{at:05}" for at in range(len(texts))]
    schema = TableSchema(name="News", columns=(_ENTITY, Column(name="text", dtype="string")))
    news: Table[Any] = Table.of({"row": names, "text": texts}, schema=schema)
    yield _row("label_errors", news, topics, "symmetric", text=("text",), goal=_GOAL)
    yield _row("label_errors.pair", news, topics, "pair", text=("text",), seeds=_SEEDS[:1])

    digits = load_digits()
    pixels = [f"p{at:02}" for at in range(digits.data.shape[1])]
    features = tuple(Column(name=name, dtype="float", role="feature") for name in pixels)
    columns = dict(zip(pixels, digits.data.T, strict=True))
    table: Table[Any] = Table.of(
        {"row": [f"r{at:05}" for at in range(len(digits.target))], **columns},
        schema=TableSchema(name="Digits", columns=(_ENTITY, *features)),
    )
    yield _row("label_errors.digits", table, digits.target.astype(str).tolist(), "symmetric")


def _row(
    name: str,
    table: Table[Any],
    truth: Sequence[str],
    noise: Noise,
    *,
    text: tuple[str, ...] = (),
    goal: float | None = None,
    seeds: Sequence[int] = _SEEDS,
) -> dict[str, Any]:
    found = [_measured(table, truth, noise, text=text, seed=seed) for seed in seeds]
    return {
        "name": name,
        "value": round(statistics.median(each["auroc"] for each in found), 4),
        "unit": "AUROC",
        "baseline": "a list in any order",
        "baseline_value": 0.5,
        "ratio": None,
        "higher_is_better": True,
        "goal": None if goal is None else {"at_least": goal},
        "detail": {
            "rows": len(truth),
            "noise": noise,
            "share": _SHARE,
            "seeds": list(seeds),
            "runs": found,
        },
    }


def _measured(
    table: Table[Any], truth: Sequence[str], noise: Noise, *, text: tuple[str, ...], seed: int
) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    from headrace import Labels

    given, wrong = _noisy(truth, noise, seed)
    names = table.frame()["row"].tolist()
    labels: Labels[Any] = Labels.of({"row": names, "label": given}, schema=_LABELS)
    began = time.perf_counter()
    ranked, report = audit_labels(
        table, labels, text=text, size=None, only_suspects=False, seed=seed
    )
    seconds = time.perf_counter() - began
    frame = ranked.frame()
    is_wrong = frame["row"].map(dict(zip(names, wrong.tolist(), strict=True))).to_numpy(dtype=bool)
    flagged = frame["flagged"].to_numpy(dtype=bool)
    return {
        "auroc": round(float(roc_auc_score(is_wrong, -frame["certainty"])), 4),
        "wrong": int(is_wrong.sum()),
        "right_of_the_first_so_many": round(float(is_wrong[: is_wrong.sum()].mean()), 4),
        "suspects": report.document["suspects"],
        "precision": round(float(is_wrong[flagged].mean()), 4),
        "recall": round(float(flagged[is_wrong].mean()), 4),
        "seconds": round(seconds, 1),
    }


def _noisy(truth: Sequence[str], noise: Noise, seed: int) -> tuple[list[str], Any]:
    """Return labels of which a share is swapped for any other class, or for the next one."""
    random = np.random.default_rng(seed)
    classes, at = np.unique(np.asarray(truth), return_inverse=True)
    wrong = random.random(len(at)) < _SHARE
    by = random.integers(1, len(classes), size=len(at)) if noise == "symmetric" else 1
    given = np.where(wrong, (at + by) % len(classes), at)
    return [str(classes[which]) for which in given], wrong
