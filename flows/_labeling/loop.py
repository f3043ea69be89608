"""This module holds what a user declares of a labeling loop, and refuses what cannot work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from flows._labeling.kinds import USUAL_METRICS, MetricName, Strategy, kind_problems, target_figures
from headrace import Model, Table, TrainSet, ValidationSet
from headrace.errors import DefinitionError
from headrace.labels.task import LabelTask

if TYPE_CHECKING:
    from operators.label_by_rules import LabelingRule

Rows = Callable[[], Table[Any]]
Train = Callable[[TrainSet[Any], ValidationSet[Any]], Model]


@dataclass(frozen=True, kw_only=True)
class LabelLoop:
    """This declares how labels are gathered in rounds, until a model is good enough.

    Attributes:
        task: What people are asked. The loop goes by its name. Its answers are of the kind
            "single", "multi" or "number".
        pool: A function without parameters that calls operators and returns the items, one a row,
            with one column of role "entity", which is the task's. It is called while a flow is
            planned, so that plan, cache and lineage see what it calls.
        train: A function of a train and a validation set that calls operators and returns a model;
            None for `train_labeler`. The validation set is the random slice, by which rounds are
            judged too. An operator in it that takes a `seed` should be given one, else each flow
            draws its own and nothing is reused.
        text: Columns that `train_labeler` reads as text; None for those that raters see as text.
        rules: Rules that suggest answers before there is a model, and vote beside people never.
        gold: A function, like `pool`, that returns rows with known answers; see `request_labels`.
        batch: Items of a round, gold not counted.
        random_share: Share of them drawn at random, to judge by.
        reserve_share: Share of the pool from which these come, never to be trained on.
        strategy: How the others are chosen; see `select_for_labeling`. None takes "margin", and for
            numbers "random", which nothing that was tried beat on more than one set.
        train_from: Answered items to train on, from which on there is a model.
        method: How votes become labels; see `aggregate_votes`.
        audit: Most items of doubtful label that are asked again in a round; 0 for none.
        approve: Whether a person is asked before people are.
        deadline_hours: When a batch is closed whatever is missing; None for never.
        backend: Where people answer.
        metric: By what models are judged: "accuracy" for a single choice; "jaccard" (by default),
            "subset_accuracy" or "hamming_loss" for several; "mae" (by default) or "mse" for
            numbers. See `judge_losses`.
        target: What the metric on the random slice is to be shown to reach, in its own direction
            and unit: at least that accuracy, at most that error; None for none.
        budget_hours: Hours of people's time after which it stops; None for no limit.
        patience: Rounds without gain after which it stops.
        least_gain: By how much rounds must better the metric, absolute. None takes 0.002; for
            numbers 0.002 of the range of what may be answered, or of its square for "mse", and
            without both limits no loop is stopped for it.
        rate_per_hour: What an hour of people's time costs; None where nobody counts it.
        currency: Of that.
        grants: What the flows may read for this loop, as `@flow(grants=...)` would say.
        seed: Of choosing and training.

    Raises:
        DefinitionError: It cannot work, whatever the data.
    """

    task: LabelTask
    pool: Rows
    train: Train | None = None
    text: tuple[str, ...] | None = None
    rules: tuple[LabelingRule, ...] = ()
    gold: Rows | None = None
    batch: int = 50
    random_share: float = 0.2
    reserve_share: float = 0.2
    strategy: Literal["margin", "entropy", "disagreement", "diversity", "random"] | None = None
    train_from: int = 20
    method: Literal["auto", "majority", "dawid_skene", "gold_weighted"] = "auto"
    audit: int = 0
    approve: bool = False
    deadline_hours: float | None = None
    backend: Literal["local", "labelstudio"] = "local"
    metric: MetricName | None = None
    target: float | None = None
    budget_hours: float | None = None
    patience: int = 2
    least_gain: float | None = None
    rate_per_hour: float | None = None
    currency: str = ""
    grants: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for problem, remedy in self._problems():
            raise DefinitionError(f"Loop '{self.name}': {problem}", remedy=remedy)

    @property
    def name(self) -> str:
        """The name by which flows find it: the task's."""
        return self.task.name

    @property
    def judged_by(self) -> MetricName:
        """The metric by which models are judged."""
        return self.metric or USUAL_METRICS[self.task.labels.kind]

    @property
    def chosen_by(self) -> Strategy:
        """The strategy by which items to learn from are chosen."""
        if self.strategy is not None:
            return self.strategy
        return "random" if self.task.labels.kind == "number" else "margin"

    @property
    def least_gain_of_metric(self) -> float:
        """By how much rounds must better the metric; 0 where none is stopped for it."""
        labels = self.task.labels
        if self.least_gain is not None or labels.kind != "number":
            return 0.002 if self.least_gain is None else self.least_gain
        if labels.low is None or labels.high is None:
            return 0.0
        width = labels.high - labels.low
        return 0.002 * (width**2 if self.judged_by == "mse" else width)

    def _problems(self) -> list[tuple[str, str]]:
        found = kind_problems(self)
        if self.task.labels.kind not in USUAL_METRICS:
            return found
        for what, function, count in (
            ("pool", self.pool, 0),
            ("gold", self.gold, 0),
            ("train", self.train, 2),
        ):
            if function is not None and not _takes(function, count):
                takes = "a train set and a validation set" if count else "nothing"
                found.append(
                    (
                        f"`{what}` is {function!r}, not a function that takes {takes}.",
                        f"Write a function that calls operators, and pass it: `{what}=...`.",
                    )
                )
        if isinstance(self.grants, str):
            found.append(
                (
                    f"`grants` is the text '{self.grants}', not a list.",
                    f"Write `grants=('{self.grants}',)`.",
                )
            )
        found += [
            (f"`{name}` is {value:g}; it has to be {what}.", f"Give `{name}` such a value.")
            for name, value, right, what in self._figures()
            if not right
        ]
        return found

    def _figures(self) -> list[tuple[str, float, bool, str]]:
        share = self.random_share
        budget = self.budget_hours
        return [
            ("batch", self.batch, self.batch >= 2, "at least 2"),
            ("random_share", share, 0 < share < 1, "between 0 and 1: there is no judging without"),
            ("reserve_share", self.reserve_share, 0 < self.reserve_share < 1, "between 0 and 1"),
            ("train_from", self.train_from, self.train_from >= 2, "at least 2"),
            ("audit", self.audit, self.audit >= 0, "zero or more"),
            ("patience", self.patience, self.patience >= 1, "at least 1"),
            ("least_gain", self.least_gain or 0, (self.least_gain or 0) >= 0, "zero or more"),
            *target_figures(self),
            ("budget_hours", budget or 0, budget is None or budget > 0, "more than zero"),
        ]


def _takes(function: Any, count: int) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True
