"""This operator fits a model of two or more classes by texts, numbers and categories."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field

from headrace import Model, Schema, TrainSet, ValidationSet, operator
from headrace.clock import SystemClock
from headrace.models import ModelCard
from operators._examples import described, require_rows
from operators._labeler_answers import answers_of, classes_of, weights_of
from operators._labeler_card import measured_card, taught_card
from operators._labeler_checks import check_labeler, require_labeler
from operators._labeler_estimators import Settings, fit_answers, strength_of
from operators._labeler_file import LABELER, write_labeler
from operators._labeler_fit import counted_rows, labeler_of, require_classes

S = TypeVar("S", bound=Schema)


@operator(check=check_labeler)
def train_labeler(
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    text: tuple[str, ...] = (),
    estimator: Literal["logistic_regression", "extra_trees"] = "logistic_regression",
    l2: Annotated[float, Field(ge=0)] | None = None,
    n_estimators: Annotated[int, Field(ge=1, le=10_000)] = 300,
    class_weight: Literal["none", "balanced"] = "none",
    weighted_by: str | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
    threads: Annotated[int, Field(ge=1, le=256)] = 1,
) -> Model:
    """This fits a model of two or more classes, which labels what people did not.

        labeler = train_labeler(train, validation, text=("title", "body"))

    It is for labeling: `label_by_model`, `select_for_labeling` and `class_probabilities` ask it. An
    endpoint does not, and neither do `select` and `evaluate`: those take models of two classes.

    Args:
        train: Rows with the columns of role "feature" and one of role "label": a category, text,
            a boolean or a whole number. Null features are allowed (a null text has no words),
            null labels are not. A column of role "weight" says how much a row counts in the fit.
        validation: Rows of the same columns; the card's metrics are computed here. It may be small,
            and may lack classes.
        text: Features whose words and pairs of words are read, each column for itself. The others
            are read whole: numbers, and categories by their values.
        estimator: "logistic_regression" suits texts and few labels; "extra_trees" suits tables of
            numbers whose effects are not sums.
        l2: For logistic regression: penalty on squared weights; None takes 0.01 where there are
            texts and 1 elsewhere.
        n_estimators: Trees of extra trees.
        class_weight: "balanced" lets all classes count the same; answers are then no longer
            probabilities under the real shares of the classes.
        weighted_by: Column by which rows count in the fit, such as "probability", so that doubtful
            labels teach less; it is no feature by that.
        seed: For random draws; given by the runtime, 0 in a plain call.
        threads: Threads to fit trees with; the model does not depend on it.

    Returns:
        A model in skops' format (`model.skops`), which holds no pickle. Its classes are the label's
        declared categories in their order, or else the values that occur; one of which training has
        no example always has probability 0. The metrics are accuracy, log_loss, macro_f1 and
        "recall.<class>"; `words` in the card's extra are what speaks most for each class.

    Raises:
        SchemaError: Label, features, text or weights do not fit; the plan says the same.
        DataError: A set is empty, has null labels, or a feature without any value; or training has
            one class only, or a text column without a word.
    """
    parameters = {
        "text": list(text),
        "estimator": estimator,
        "l2": strength_of(l2, text),
        "n_estimators": n_estimators,
        "class_weight": class_weight,
        "weighted_by": weighted_by,
        "seed": seed or 0,
    }
    schema, other = require_labeler(
        train.schema, validation.schema, {"text": text, "weighted_by": weighted_by}
    )
    frame, held = train.frame(), validation.frame()
    require_rows(len(frame), "training set")
    require_rows(len(held), "validation set")
    label = schema.the("label")
    answers = answers_of(frame, label, what="training set")
    expected = answers_of(held, label, what="validation set")
    require_classes(answers)

    before = SystemClock().monotonic()
    counted = counted_rows(frame, schema.with_role("feature"), text)
    settings = Settings(
        estimator=estimator,
        l2=strength_of(l2, text),
        n_estimators=n_estimators,
        class_weight=class_weight,
        seed=seed or 0,
        threads=threads,
    )
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
