from __future__ import annotations

import pytest

from headrace.calls import PlannedCall
from headrace.errors import SchemaError
from headrace.schemas import Column
from headrace.symbols import Symbol
from operators.evaluate import evaluate
from operators.select import select
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost


def _findings(train, validation, **parameters):
    def symbol(kind, schema):
        return (Symbol(node=kind.lower(), slot="result", kind=kind, schema=schema),)

    call = PlannedCall(
        operator="train_xgboost",
        parameters={"task": "classification", **parameters},
        inputs={
            "train": symbol("TrainSet", train),
            "validation": symbol("ValidationSet", validation),
        },
    )
    check = train_xgboost.options.check
    assert check is not None
    return [(f.rule, f.problem, f.remedy, f.input) for f in check(call)]


def test_a_fit_that_fits_has_no_findings(data):
    assert _findings(data.schema(), data.schema()) == []


def test_schemas_that_are_not_known_are_not_judged():
    assert _findings(None, None) == []


def _label(**changes):
    return Column(name="label", **{"dtype": "int", "role": "label", **changes})


@pytest.mark.parametrize(
    ("changes", "parameters", "expected"),
    [
        pytest.param(
            {"label": None},
            {},
            (
                "label",
                "Schema 'Trips' of the training set has no column with role 'label'; exactly one "
                "is needed.",
                'Give one column `Col(role="label")`.',
                "train",
            ),
            id="no label",
        ),
        pytest.param(
            {"other": Column(name="other", dtype="int", role="label")},
            {},
            (
                "label",
                "Schema 'Trips' of the training set has columns 'label', 'other' with role "
                "'label'; exactly one is needed.",
                'Give one column `Col(role="label")`.',
                "train",
            ),
            id="two labels",
        ),
        pytest.param(
            {"label": _label(dtype="float")},
            {},
            (
                "label type",
                "Label 'label' is float, but classification needs int or bool or category.",
                "Label with the type that the task needs, or change the task.",
                "train",
            ),
            id="a measured label for a classification",
        ),
        pytest.param(
            {},
            {"task": "estimation"},
            (
                "label type",
                "Label 'label' is int, but estimation needs float.",
                "Label with the type that the task needs, or change the task.",
                "train",
            ),
            id="a class for an estimation",
        ),
        pytest.param(
            {"label": _label(dtype="category", categories=("a", "b", "c"))},
            {},
            (
                "label type",
                "Label 'label' has 3 classes; two are supported.",
                "Label one outcome against the others.",
                "train",
            ),
            id="three classes",
        ),
        pytest.param(
            {"hour": Column(name="hour", dtype="timestamp", role="feature")},
            {},
            (
                "feature type",
                "Feature 'hour' of the training set is timestamp, which no model takes.",
                "Derive numbers from it, such as the hour or the days since, in a view.",
                "train",
            ),
            id="a time as a feature",
        ),
        pytest.param(
            {"gust": Column(name="gust", dtype="float", source="airport_weather")},
            {},
            (
                "role",
                "Column 'gust' of the training set comes from view 'airport_weather' but has no "
                "role, so the model would pass over it.",
                'Give it `Col(role="feature")`, or leave it out of the view.',
                "train",
            ),
            id="a view's column without a role",
        ),
        pytest.param(
            {n: None for n in ("wind", "hour", "carrier", "weekend")},
            {},
            (
                "features",
                "Schema 'Trips' of the training set has no column with role 'feature'.",
                'Give the inputs of the model `Col(role="feature")`.',
                "train",
            ),
            id="no feature",
        ),
        pytest.param(
            {},
            {"estimator": "ridge"},
            (
                "estimator",
                "Estimator 'ridge' does estimation, but the task is 'classification'.",
                "Set task='estimation', or take another estimator.",
                None,
            ),
            id="an estimator of the other task",
        ),
        pytest.param(
            {"label": _label(dtype="float")},
            {"task": "estimation", "class_weight": "balanced"},
            (
                "class weights",
                "Class weights are 'balanced', but an estimation has no classes.",
                "Leave class_weight at 'none'.",
                None,
            ),
            id="class weights without classes",
        ),
    ],
)
def test_what_cannot_work_is_found_before_any_data_is_read(data, changes, parameters, expected):
    schema = data.schema(**changes)

    assert _findings(schema, schema, **parameters) == [expected]


def test_both_sets_must_have_the_same_features_and_label(data):
    other = data.schema(
        wind=None,
        winds=Column(name="winds", dtype="float", role="feature"),
        hour=Column(name="hour", dtype="float", role="feature"),
    )

    found = _findings(data.schema(), other)

    assert [problem for _, problem, _, _ in found] == [
        "The validation set has no feature 'wind', which the training set has."
        " Did you mean 'winds'?",
        "The feature 'hour' is int in the training set but float in the validation set.",
        "The validation set has feature 'winds', which the training set lacks.",
    ]


def test_a_plain_call_says_what_the_plan_would_have_said(data):
    with pytest.raises(SchemaError) as error:
        train_sklearn(data.train, data.validation, estimator="ridge")

    assert str(error.value) == (
        "Operator 'train_sklearn': Estimator 'ridge' does estimation, but the task is "
        "'classification'.\n  Fix: Set task='estimation', or take another estimator."
    )


def _planned(operator, parameters, **schemas):
    inputs = {
        name: (Symbol(node=name, slot="result", kind="Model", schema=schema),)
        for name, schema in schemas.items()
    }
    check = operator.options.check
    assert check is not None
    call = PlannedCall(operator=operator.name, parameters=parameters, inputs=inputs)
    return [(f.rule, f.problem, f.input) for f in check(call)]


def test_a_selection_on_a_set_without_the_candidates_features_is_found_in_the_plan(data):
    found = _planned(
        select,
        {"timezone": "UTC"},
        candidates=data.schema(),
        validation=data.schema(wind=None),
    )

    assert found == [
        (
            "same features",
            "The validation set lacks feature 'wind', which the model was fitted on.",
            "validation",
        )
    ]


def test_an_evaluation_of_unknown_slices_days_or_features_is_found_in_the_plan(data):
    found = _planned(
        evaluate,
        {"timezone": "Mars/Olympus", "slices": ["origin"]},
        model=data.schema(),
        test=data.schema(hour=None),
    )

    assert [(rule, about) for rule, _, about in found] == [
        ("time zone", None),
        ("slices", "test"),
        ("same features", "test"),
    ]
    assert found[1][1] == (
        "There is no column 'origin'. Known: 'carrier', 'decided_at', 'label', 'trip', 'weekend', "
        "'wind'. It is to slice the test set."
    )
