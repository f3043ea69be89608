"""This benchmark counts the labels that a model needs when it chooses them, against chance.

Both arms begin with the same items, ask for batches of the same size, fit the same labeler on what
was chosen and judge it on the same random slice; only the strategy differs. Answers are true: what
is compared is which items are asked for. Selection, labeler and judging are the operators
themselves, called in this process.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks._news import read_news

if TYPE_CHECKING:
    import numpy as np

    from headrace import Model, Table
    from headrace.schemas import TableSchema

_SEEDS = 5
_BATCH, _RANDOM_SHARE, _RESERVE_SHARE = 25, 0.2, 0.25  # 20 of a batch are to learn from
_MOST = 800  # labels to learn from; an arm that gets no further counts as this
_OF_FULL = 0.98
_GOAL = 0.6


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """This is a pool whose answers are known.

    Args:
        features: The columns of the pool, `item` among them.
        answers: The answer of each row.
        schema: What the pool holds.
        text: Columns that are texts.
    """

    features: Mapping[str, Any]
    answers: np.ndarray
    schema: TableSchema
    text: tuple[str, ...]


@dataclass(kw_only=True)
class Run:
    """This is what an arm did with one seed: labels and accuracy, round by round.

    Args:
        labels: Labels to learn from.
        random: Labels of the random slice, which cost as much and are not learnt from.
        accuracy: On the whole reserve.
    """

    labels: list[int] = field(default_factory=list)
    random: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


def run() -> Iterator[dict[str, Any]]:
    """Yield for each set the labels to 98 % of the accuracy with all labels, as a share."""
    yield _row("news", _news())
    yield _row("digits", _digits())


def _row(name: str, pool: Labelled) -> dict[str, Any]:
    runs: dict[str, list[Run]] = {"margin": [], "random": []}
    full = []
    for seed in range(_SEEDS):
        full.append(_full_accuracy(pool, seed))
        for arm, done in runs.items():
            done.append(_arm(pool, arm, seed, until=_OF_FULL * full[-1]))
    reached = {
        arm: [_first(r, _OF_FULL * f) for r, f in zip(of, full, strict=True)]
        for arm, of in runs.items()
    }
    margin, random = (statistics.median(labels for labels, _, _ in reached[a]) for a in runs)
    return {
        "name": f"active_learning.{name}",
        "value": round(margin / random, 3),
        "unit": "of the labels",
        "baseline": "labels to learn from, chosen at random",
        "baseline_value": random,
        "ratio": round(margin / random, 3),
        "higher_is_better": False,
        "goal": {"at_most": _GOAL},
        "detail": {
            "seeds": _SEEDS,
            "pool": len(pool.answers),
            "classes": len(set(pool.answers)),
            "batch": _BATCH,
            "random_share": _RANDOM_SHARE,
            "reserve_share": _RESERVE_SHARE,
            "full_accuracy": [round(f, 4) for f in full],
            **{arm: _detail(found) for arm, found in reached.items()},
            "ratios_by_seed": [
                round(m[0] / r[0], 3)
                for m, r in zip(reached["margin"], reached["random"], strict=True)
            ],
        },
    }


def _detail(found: list[tuple[int, int, bool]]) -> dict[str, Any]:
    labels = [count for count, _, _ in found]
    low, middle, high = statistics.quantiles(labels, n=4, method="inclusive")
    return {
        "labels": labels,
        "labels_quartiles": [low, middle, high],
        "random_slice_median": statistics.median(random for _, random, _ in found),
        "all_labels_median": statistics.median(count + random for count, random, _ in found),
        "not_reached": sum(not reached for _, _, reached in found),
    }


def _first(run: Run, accuracy: float) -> tuple[int, int, bool]:
    """Return labels to learn from and random ones when an accuracy was first reached, and if so."""
    for labels, random, reached in zip(run.labels, run.random, run.accuracy, strict=True):
        if reached >= accuracy:
            return labels, random, True
    return run.labels[-1], run.random[-1], False


def _full_accuracy(pool: Labelled, seed: int) -> float:
    import numpy as np

    reserve = _reserve(pool, seed)
    return _fitted(pool, np.flatnonzero(~reserve), np.flatnonzero(reserve), seed)[1]


def _arm(pool: Labelled, strategy: Any, seed: int, *, until: float) -> Run:
    import numpy as np

    from headrace import Table
    from operators.select_for_labeling import select_for_labeling

    table: Table[Any] = Table.of(pool.features, schema=pool.schema)
    held_out = np.flatnonzero(_reserve(pool, seed))
    learnt: list[int] = []
    asked: list[int] = []
    model: Model | None = None
    run = Run()
    while len(learnt) < _MOST:
        done = None if not asked else _rows(pool, asked)
        batch, _ = select_for_labeling(
            table,
            model,
            done=done,
            size=_BATCH,
            strategy=strategy,
            random_share=_RANDOM_SHARE,
            reserve_share=_RESERVE_SHARE,
            reserve_salt=str(seed),
            when_short="take",
            seed=seed,
        )
        rows = batch.frame()
        asked += rows["item"].tolist()
        learnt += rows.loc[rows["slice"] == "chosen", "item"].tolist()
        model, accuracy = _fitted(pool, np.array(sorted(learnt)), held_out, seed)
        run.labels.append(len(learnt))
        run.random.append(len(asked) - len(learnt))
        run.accuracy.append(accuracy)
        if accuracy >= until:
            break
    return run


def _fitted(
    pool: Labelled, train: np.ndarray, held_out: np.ndarray, seed: int
) -> tuple[Model, float]:
    """Return a labeler fitted on rows, and its accuracy on those that chance held out."""
    from headrace import TrainSet, ValidationSet
    from operators.train_labeler import train_labeler

    model = train_labeler(
        _examples(TrainSet, pool, train),
        _examples(ValidationSet, pool, held_out),
        text=pool.text,
        seed=seed,
    )
    return model, float(model.card.metrics["accuracy"])


def _reserve(pool: Labelled, seed: int) -> Any:
    from operators._evaluation_reserve import in_reserve

    return in_reserve(pool.features["item"], share=_RESERVE_SHARE, salt=str(seed))


def _rows(pool: Labelled, rows: Any) -> Any:
    from headrace import Table

    return Table.of({n: v[rows] for n, v in pool.features.items()}, schema=pool.schema)


def _examples(kind: Any, pool: Labelled, rows: np.ndarray) -> Any:
    from headrace.schemas import Column

    classes = tuple(sorted(set(pool.answers)))
    label = Column(name="label", dtype="category", categories=classes, role="label")
    columns = {n: v[rows] for n, v in pool.features.items()} | {"label": pool.answers[rows]}
    return kind.of(columns, schema=pool.schema.adding([label]))


def _news() -> Labelled:
    import numpy as np

    from headrace.schemas import Column, TableSchema

    texts, answers = read_news()
    # the package lists one topic after the other; in which order rows lie must not matter
    order = np.random.default_rng(0).permutation(len(texts))
    return Labelled(
        features={
            "item": np.arange(len(texts)),
            "text": np.array(texts, dtype=object)[order],
        },
        answers=np.array(answers, dtype=object)[order],
        schema=TableSchema(
            name="News",
            columns=(
                Column(name="item", dtype="int", role="entity"),
                Column(name="text", dtype="string", role="feature"),
            ),
        ),
        text=("text",),
    )


def _digits() -> Labelled:
    import numpy as np
    from sklearn.datasets import load_digits

    from headrace.schemas import Column, TableSchema

    data = load_digits()
    pixels = {f"pixel_{at}": data.data[:, at] for at in range(data.data.shape[1])}
    columns = (
        Column(name="item", dtype="int", role="entity"),
        *(Column(name=name, dtype="float", role="feature") for name in pixels),
    )
    return Labelled(
        features={"item": np.arange(len(data.target)), **pixels},
        answers=np.array([str(digit) for digit in data.target], dtype=object),
        schema=TableSchema(name="Digits", columns=columns),
        text=(),
    )
