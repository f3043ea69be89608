"""This operator fits what labels by texts, numbers and categories: classes, several, a number."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from headrace import Model, Schema, TrainSet, ValidationSet, operator
from headrace.clock import SystemClock
from headrace.labels.schema import LabelSchema
from headrace.models import ModelCard
from headrace.schemas import TableSchema
from operators._examples import described, require_rows
from operators._labeler_answers import answers_of, classes_of, require_no_sets, weights_of
from operators._labeler_card import measured_card, taught_card
from operators._labeler_checks import check_labeler, require_labeler
from operators._labeler_estimators import Settings, fit_answers, strength_of
from operators._labeler_file import LABELER, write_labeler
from operators._labeler_fit import counted_rows, labeler_of, require_classes
from operators._labeler_kinds import Teaching, kind_of, train_numbers, train_tags

S = TypeVar("S", bound=Schema)


@operator(check=check_labeler)
def train_labeler(
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    text: tuple[str, ...] = (),
    schema: LabelSchema | None = None,
    estimator: Literal["logistic_regression", "extra_trees", "ridge"] | None = None,
    l2: Annotated[float, Field(ge=0)] | None = None,
    n_estimators: Annotated[int, Field(ge=1, le=10_000)] = 300,
    class_weight: Literal["none", "balanced"] = "none",
    weighted_by: str | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
    threads: Annotated[int, Field(ge=1, le=256)] = 1,
) -> Model:
    """This fits a model that labels what people did not: with a class, several, or a number.

        labeler = train_labeler(train, validation, text=("title", "body"))

    It is for labeling: `label_by_model`, `select_for_labeling` and `class_probabilities` ask it. An
    endpoint does not, and neither do `select` and `evaluate`: those take models of one score.

    Args:
        train: Rows with the columns of role "feature" and one of role "label": a category, text,
            a boolean or a whole number; for several choices the written answers, for a number
            numbers. Null features are allowed (a null text has no words),
            null labels are not. A column of role "weight" says how much a row counts in the fit.
        validation: Rows of the same columns; the card's metrics are computed here. It may be small,
            and may lack classes.
        text: Features whose words and pairs of words are read, each column for itself. The others
            are read whole: numbers, and categories by their values.
        schema: What could be answered, for several choices and for numbers; None for one choice.
            Several choices are learnt one by one, each against the rest, and a choice applies from
            a probability of 0.5 on. Estimates of numbers are kept within its limits.
        estimator: "logistic_regression" suits texts and few labels; "extra_trees" suits tables of
            numbers whose effects are not sums; "ridge" is the linear one for numbers. None takes
            logistic regression, and for numbers what errs least on five folds of the training rows:
            a ridge, or without texts also extra trees.
        l2: For linear ones: penalty on squared weights; None takes 0.01 where there are texts and 1
            elsewhere, and for numbers what errs least on the folds.
        n_estimators: Trees of extra trees.
        class_weight: "balanced" lets all classes count the same (of several choices, both answers
            to each), not for numbers; answers are then no longer
            probabilities under the real shares of the classes.
        weighted_by: Column by which rows count in the fit, such as "probability", so that doubtful
            labels teach less; it is no feature by that.
        seed: For random draws; given by the runtime, 0 in a plain call.
        threads: Threads to fit trees with; the model does not depend on it.

    Returns:
        A model in skops' format (`model.skops`), which holds no pickle. Its classes are the label's
        declared categories in their order, or else the values that occur; one of which training has
        no example always has probability 0. The metrics are accuracy, log_loss, macro_f1 and
        "recall.<class>"; of several choices micro_f1, macro_f1, jaccard, subset_accuracy,
        hamming_loss and "f1.<choice>"; of numbers mae and rmse, in their unit, and r2. `words` in
        the card's extra are what speaks most for each class. A choice that all rows have, or none,
        is in `not_learnt`: its probability is the rate in the rows, for every row the same.

    Raises:
        SchemaError: Label, features, text or weights do not fit; the plan says the same.
        DataError: A set is empty, has null labels, or a feature without any value; or training has
            one answer only, or a text column without a word.
    """
    parameters = {
        "text": list(text),
        "estimator": estimator or "logistic_regression",
        "l2": strength_of(l2, text),
        "n_estimators": n_estimators,
        "class_weight": class_weight,
        "weighted_by": weighted_by,
        "seed": seed or 0,
    }
    settings = Settings(
        estimator=estimator or "logistic_regression",
        l2=strength_of(l2, text),
        n_estimators=n_estimators,
        class_weight=class_weight,
        seed=seed or 0,
        threads=threads,
    )
    checked = {"text": text, "weighted_by": weighted_by, "schema": schema}
    checked |= {"estimator": estimator, "class_weight": class_weight}
    described_by, other = require_labeler(train.schema, validation.schema, checked)
    require_rows(train.rows, "training set")
    require_rows(validation.rows, "validation set")
    if schema is not None and kind_of(schema) != "single":
        teaching = Teaching(
            train=train,
            validation=validation,
            schemas=(described_by, other),
            answers=schema,
            text=text,
            settings=settings,
            given=(estimator is not None, l2 is not None),
            parameters=parameters,
            weighted_by=weighted_by,
        )
        return train_numbers(teaching) if schema.kind == "number" else train_tags(teaching)
    return _train_classes(
        train, validation, (described_by, other), settings=settings, parameters=parameters
    )


def _train_classes(
    train: TrainSet[S],
    validation: ValidationSet[S],
    schemas: tuple[TableSchema, TableSchema],
    *,
    settings: Settings,
    parameters: dict[str, Any],
) -> Model:
    schema, other = schemas
    text, weighted_by = parameters["text"], parameters["weighted_by"]
    frame, held = train.frame(), validation.frame()
    label = schema.the("label")
    answers = answers_of(frame, label, what="training set")
    expected = answers_of(held, label, what="validation set")
    require_no_sets(answers, label.name)
    require_classes(answers)

    before = SystemClock().monotonic()
    counted = counted_rows(frame, schema.with_role("feature"), text)
    fitted = fit_answers(counted.matrix, answers, settings, weights_of(frame, schema, weighted_by))
    seconds = SystemClock().monotonic() - before

    classes = classes_of(label, frame, held)
    card = ModelCard(
        task="classification",
        flavor=LABELER,
        features=counted.inputs.features,
        label=label.name,
        classes=classes,
        parameters=parameters,
        trained_on=described(train, frame, schema),
        validated_on=described(validation, held, other),
    )
    files = write_labeler(labeler_of(counted, fitted, classes))
    card = measured_card(taught_card(card, counted, fitted, answers), files, held, expected)
    return Model.of(files, card=card, notes={"fit_seconds": round(seconds, 3)})
