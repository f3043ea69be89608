"""This operator chooses what people label next: what a model is unsure of, and some at random.

A share of the items is kept for evaluation, for ever: a hash of the item says which
(`_evaluation_reserve`). The random items of every batch come from it, so that their labels are a
uniform sample of the whole pool; the chosen ones come from the rest, and are to learn from. Copies
of an item are on one side (`_evaluation_families`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from headrace import Labels, Model, Report, Schema, Table, Votes, operator
from headrace.calls import PlannedCall
from headrace.errors import DefinitionError, LeakageError, SchemaError
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._evaluation_reserve import DEFAULT_SHARE
from operators._labeler_file import LABELER
from operators._score_rules import feature_findings
from operators._selection_checks import (
    check,
    selected_schema,
    setting_findings,
    table_findings,
)
from operators._selection_choice import Choice, choose
from operators._selection_kinds import require_kind
from operators._selection_pool import Pool, pool_of, shares_of
from operators._selection_ranking import Setting
from operators._selection_rows import arranged

S = TypeVar("S", bound=Schema)
_Share = Annotated[float, Field(ge=0, lt=1)]


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    table = call.schema("table")
    return {"table": None if table is None else selected_schema(table)}


@operator(check=check, produces=_produces)
def select_for_labeling(
    table: Table[S],
    model: Model | None = None,
    committee: list[Model] | None = None,
    done: Table[Any] | Labels[Any] | Votes[Any] | None = None,
    *,
    size: Annotated[int, Field(ge=1)],
    schema: LabelSchema | None = None,
    strategy: Literal["margin", "entropy", "disagreement", "diversity", "random"] = "margin",
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.2,
    reserve_share: _Share = DEFAULT_SHARE,
    reserve_salt: str = "",
    cold_start: Literal["random", "diversity"] = "random",
    when_short: Literal["refuse", "take"] = "refuse",
    suggest_random: bool = False,
    near_copies: Literal["apart", "together"] = "apart",
    columns: tuple[str, ...] = (),
    seed: Annotated[int, Field(ge=0)] | None = None,
) -> tuple[Table[Any], Report]:
    """Choose what people label next: some items by chance to judge by, others to learn from.

        batch, report = select_for_labeling(news, model, done=votes, size=100)

    Args:
        table: The whole pool, one row an item, with one column of role "entity" and the model's
            features; rows that are done may be in it.
        model: The model so far; None before there is one.
        committee: For "disagreement": at least two models of the same label, such as of different
            seeds or features.
        done: What is not asked for again: votes, labels or a selection, with one column of role
            "entity", compared as text.
        size: How many items.
        schema: What may be answered, for several choices and for numbers; None for a single choice.
        strategy: How items are chosen. "margin": the likeliest class leads the next by little.
            "entropy": the probabilities of all classes are even; with two classes the same.
            "disagreement": the models of the committee contradict each other. "diversity": unlike
            each other and what is done, drawn from the ten times as many of least margin.
            "random": by chance. Of several choices the margin is that of the most doubtful, and
            entropy a mean over them.
            Of numbers "disagreement" is how far the members of the model, or of the committee, are
            apart, and the other two are none; a model without members cannot disagree, and then
            "diversity" is used. Copies of a row that is chosen or done come last.
        random_share: Share of the batch that is drawn from the evaluation reserve by chance. Judge
            models by these alone: the chosen ones are those that models are bad at.
        reserve_share: Share of all items that is kept for evaluation; the same in every round.
        reserve_salt: Which items these are; the same in every round.
        cold_start: How items are chosen while there is no model.
        when_short: What happens when fewer items are left than asked for.
        suggest_random: Whether random items carry the model's suggestion too. Raters lean towards
            what they are shown, and so a model would be judged by labels that it swayed.
        near_copies: Rows whose features are the same to a model, texts by their words, are always
            on one side: all in the reserve or none. "together" does so for rows whose texts are
            nearly the same too; the same in every round.
        columns: What "diversity" compares rows by: texts by their words, categories, numbers. The
            model's features by default, else the columns of role "feature".
        seed: Breaks ties and draws; in a flow None takes one from the flow's seed. The reserve
            does not depend on it.

    Returns:
        The rows, first those that are asked first, with `slice` ("random" or "chosen"), `priority`
        (above 0, at most 1; the random ones are spread evenly, so that a batch that ends early has
        its share of them), `suggested`, `suggested_by` and `confidence`; and a report: how many of
        which sort, what is left, and how items were chosen.

    Raises:
        DefinitionError: No one column is the entity, a column exists already, or settings
            contradict each other.
        SchemaError: The rows lack a feature of the model, or hold it as another type.
        LeakageError: A feature is known only after the decision, or is the label.
        DataError: The pool is empty, has an item twice, or fewer items are left than asked for.
    """
    answers = None if schema is None or schema.kind == "single" else schema
    columns_of = _required_schema(table)
    models = committee or []
    settings = {"random_share": random_share, "reserve_share": reserve_share}
    asked = strategy if model or models else ""  # without a model it is a cold start
    kind = None if answers is None else answers.kind
    for finding in (
        *setting_findings({"strategy": asked, **settings}, len(models), kind),
        *table_findings(columns_of, columns),
    ):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    for each in [*models, *([model] if model else [])]:
        _refuse_model(each, columns_of, answers)
    used, scoring = _used(strategy, model, models, kind, cold_start)
    pool = pool_of(
        table, done, share=reserve_share, salt=reserve_salt, near=near_copies == "together"
    )
    random, chosen = shares_of(
        pool, size=size, random_share=random_share, takes_less=when_short == "take"
    )
    setting = Setting(strategy=used, columns=columns, seed=seed or 0, suggest_random=suggest_random)
    choice = choose(
        table, pool, random, chosen, setting, scoring=scoring, suggesting=model, answers=answers
    )
    document = {
        "passed": True,
        "asked_for": size,
        **settings,
        "strategy": strategy,
        "used": setting.strategy,
        "why": _why(strategy, setting.strategy, scoring, models[0] if models else model),
        **_counts(pool, choice),
        **_copies(pool),
        "seed": setting.seed,
        "reserve_salt": reserve_salt,
        "models": [each.digest for each in scoring],
    }
    made: Table[Any] = Table.of(arranged(table, choice), schema=selected_schema(columns_of))
    return made, Report.of(document)


def _required_schema(table: Table[S]) -> TableSchema:
    if table.schema is None:
        raise DefinitionError(
            "The table to select from has no schema, so nothing says what an item is.",
            remedy="Give it one: `Table[News].of(...)`.",
        )
    return table.schema


def _scoring(strategy: str, model: Model | None, committee: list[Model]) -> list[Model]:
    if strategy == "random":
        return []
    return committee if strategy == "disagreement" or model is None else [model]


def _used(
    strategy: str, model: Model | None, committee: list[Model], kind: str | None, cold_start: str
) -> tuple[str, list[Model]]:
    """Return the strategy that is used, and the models whose doubt counts."""
    scoring = _scoring(strategy, model, committee)
    alone = committee[0] if committee else model
    if kind == "number" and strategy == "disagreement" and alone and len(committee) < 2:
        # its members are the committee, if it has any
        has_members = alone.card.flavor == LABELER
        return (strategy, [alone]) if has_members else ("diversity", [])
    return strategy if scoring or strategy in ("random", "diversity") else cold_start, scoring


def _why(strategy: str, used: str, scoring: list[Model], model: Model | None) -> str:
    if used != strategy and model is not None:
        return (
            f"The {model.card.flavor} model has no members that could disagree, so items were "
            f"chosen by '{used}', not by '{strategy}'."
        )
    if used != strategy:
        return f"There is no model yet, so items were chosen by '{used}', not by '{strategy}'."
    if used == "diversity" and not scoring:
        return "There is no model yet, so items were chosen from all rows by what they are like."
    return ""


def _refuse_model(model: Model, schema: TableSchema, answers: LabelSchema | None) -> None:
    card = model.card
    if answers is not None:
        require_kind(model, answers)
    elif card.task == "tagging":
        raise DefinitionError(
            f"The {card.flavor} model answers with any number of {len(card.classes)} choices.",
            remedy="Give `schema`, which says so.",
        )
    elif card.task == "estimation":
        raise DefinitionError(
            f"The {card.flavor} model estimates '{card.label}', a number, so it has no classes to "
            "be unsure between.",
            remedy='Give a model that classifies, or strategy="random" or "diversity" without one.',
        )
    for finding in feature_findings(schema, {f.name: f.dtype for f in card.features}):
        kind = LeakageError if finding.rule == "leak" else SchemaError
        raise kind(f"Operator 'select_for_labeling': {finding.problem}", remedy=finding.remedy)


def _copies(pool: Pool) -> dict[str, Any]:
    sides = pool.sides
    if not sides.families:
        return {}
    return {
        "copies": {"families": sides.families, "rows": sides.copies, "on_both_sides": sides.crossed}
    }


def _counts(pool: Pool, choice: Choice) -> dict[str, Any]:
    random, chosen, doubt = len(choice.random), len(choice.chosen), choice.doubt
    return {
        "size": random + chosen,
        "random": random,
        "chosen": chosen,
        "pool": len(pool.entities),
        "done": len(pool.done),
        "done_elsewhere": pool.done_elsewhere,
        "left": pool.left - random - chosen,
        "reserve_items": pool.reserved,
        "reserve_left": len(pool.reserve) - random,
        "classes": list(choice.classes),
        "doubt": None
        if doubt is None or not chosen
        else {
            "chosen_least": float(doubt.chosen.min()),
            "chosen_median": float(np.median(doubt.chosen)),
            "pool_median": float(np.median(doubt.pool)),
        },
    }
