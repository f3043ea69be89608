"""This module holds flows of the bundled operators, each with one mistake."""

from __future__ import annotations

from typing import Any

from benchmarks._plan_corpus import bundled_parts as b
from benchmarks._plan_corpus import seeded
from features.airport_weather import airport_weather
from headrace import Evaluation, Examples, Labels, Model, SelectedModel, Table, flow
from operators import nycflights13 as nyc
from operators.build import build
from operators.compute_features import compute_features
from operators.evaluate import evaluate
from operators.label_by_outcome import label_by_outcome
from operators.select import select
from operators.split import split_at_random, split_by_group
from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost
from serving.register import register


@seeded("leak", "offers the label 'label' as a feature")
@flow(grants=b.GRANTS)
def the_label_among_the_features() -> Examples[Any]:
    """Join a view that offers the label."""
    rows = b.flights()
    return build(b.labels(rows), [*b.views(rows), b.label_view()])  # mistake


@seeded("leak", "'departure_delay'")
@flow(grants=b.GRANTS)
def a_feature_known_after_the_decision() -> Labels[Any]:
    """Take the departure's delay for a feature."""
    rows = b.leaky(b.flights())
    made, _ = label_by_outcome(rows, outcome="arrival_delay", window_hours=36)  # mistake
    return made


@seeded("unknown view", "There is no view 'airport_wether' among the features. Did you mean 'airp")
@flow(grants=b.GRANTS)
def a_misspelt_view() -> Examples[Any]:
    """Select from a view that is not there."""
    rows = b.flights()
    labels, views = b.labels(rows), b.views(rows)
    return build(labels, views, select=["airport_wether:wind"])  # mistake


@seeded("unknown column", "View 'airport_weather' has no column")
@flow(grants=b.GRANTS)
def a_misspelt_feature() -> Examples[Any]:
    """Select a feature that is not there."""
    rows = b.flights()
    labels, views = b.labels(rows), b.views(rows)
    return build(labels, views, select=["airport_weather:wnd_speed"])  # mistake


@seeded("entity", "View 'GateView' is joined on 'gate', which the labels do not have.")
@flow(grants=b.GRANTS)
def a_view_of_another_entity() -> Examples[Any]:
    """Join on what the labels lack."""
    rows = b.flights()
    labels = b.labels(rows)
    return build(labels, [b.gate_view()])  # mistake


@seeded("entity", "is joined on 'origin', which is int in the view but string in the labels.")
@flow(grants=b.GRANTS)
def an_entity_of_another_type() -> Examples[Any]:
    """Join text on numbers."""
    rows = b.flights()
    labels = b.labels(rows)
    return build(labels, [b.numbered_view()])  # mistake


@seeded("time", "has no column with role 'known_time'")
@flow(grants=b.GRANTS)
def a_view_without_known_time() -> Examples[Any]:
    """Join what was known nobody knows when."""
    rows = b.flights()
    labels = b.labels(rows)
    return build(labels, [b.timeless_view()])  # mistake


@seeded("duplicate view", "View 'airport_weather' is given 2 times.")
@flow(grants=b.GRANTS)
def a_view_twice() -> Examples[Any]:
    """Join a view twice."""
    rows = b.flights()
    labels, views = b.labels(rows), b.views(rows)
    return build(labels, [views[0], *views])  # mistake


@seeded("view source", "The source of view 'airport_weather' has no column 'wind_speed'.")
@flow(grants=b.GRANTS)
def a_view_whose_source_lacks_a_column() -> Table[Any]:
    """Compute the weather without the wind."""
    weather = b.windless(nyc.time_weather(nyc.read_weather()))
    return compute_features(weather, view=airport_weather)  # mistake


@seeded("wrong kind", "'build.labels': the input takes Labels, got Table.")
@flow(grants=b.GRANTS)
def examples_of_unlabelled_rows() -> Examples[Any]:
    """Forget to label."""
    rows = b.flights()
    return build(rows, b.views(rows))  # mistake


@seeded(
    "wrong kind", "'train_sklearn' → 'evaluate.model': the input takes SelectedModel, got Model"
)
@flow(grants=b.GRANTS)
def any_model_into_the_test() -> Evaluation:
    """Forget to select."""
    rows = b.flights()
    train, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    return evaluate(train_sklearn(train, validation), test)  # mistake


@seeded("wrong kind", "→ 'select.validation': the input takes ValidationSet, got TestSet.")
@flow(grants=b.GRANTS)
def a_selection_on_the_test_set() -> SelectedModel:
    """Select on the test set."""
    rows = b.flights()
    train, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    selected, _ = select([train_sklearn(train, validation)], test)  # mistake
    return selected


@seeded("wrong kind", "→ 'train_xgboost.train': the input takes TrainSet, got TestSet.")
@flow(grants=b.GRANTS)
def a_fit_on_the_test_set() -> Model:
    """Fit on the test set."""
    rows = b.flights()
    _, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    return train_xgboost(test, validation)  # mistake


@seeded("wrong kind", "→ 'train_torch.validation': the input takes ValidationSet, got TestSet.")
@flow(grants=b.GRANTS)
def early_stopping_on_the_test_set() -> Model:
    """Stop early on the test set."""
    rows = b.flights()
    train, _, test = b.sets(build(b.labels(rows), b.views(rows)))
    return train_torch(train, test)  # mistake


@seeded("wrong kind", "'register.model': the input takes SelectedModel, got Model.")
@flow(grants=b.GRANTS)
def any_model_registered() -> None:
    """Register a model that was not selected."""
    rows = b.flights()
    train, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    evaluation = evaluate(b.selected(train, validation), test)
    register(train_sklearn(train, validation), evaluation, name="any")  # mistake


@seeded("label type", "Label 'label' is int, but estimation needs float.")
@flow(grants=b.GRANTS)
def an_estimation_of_classes() -> Model:
    """Estimate what is a class."""
    rows = b.flights()
    train, validation, _ = b.sets(build(b.labels(rows), b.views(rows)))
    return train_xgboost(train, validation, task="estimation")  # mistake


@seeded("different columns", "inputs 'train' and 'validation' must have the same columns")
@flow(grants=b.GRANTS)
def a_validation_set_with_fewer_features() -> Model:
    """Validate without the views that were trained on."""
    rows = b.flights()
    labels, views = b.labels(rows), b.views(rows)
    train, _, _ = b.sets(build(labels, views))
    _, validation, _ = b.sets(build(labels, views[:1]))
    return train_xgboost(train, validation)  # mistake


@seeded("slices", "'carier'")
@flow(grants=b.GRANTS)
def a_slice_by_an_unknown_column() -> Evaluation:
    """Slice by a column that is not there."""
    rows = b.flights()
    train, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    return evaluate(b.selected(train, validation), test, slices=["carier"])  # mistake


@seeded("leak", "'decided_at'")
@flow(grants=b.GRANTS)
def a_random_split_of_what_has_time() -> Model:
    """Split at random what has a time."""
    rows = b.flights()
    train, validation, _, _ = split_at_random(build(b.labels(rows), b.views(rows)))  # mistake
    return train_xgboost(train, validation)


@seeded("unknown column", "'tial'")
@flow(grants=b.GRANTS)
def a_split_by_an_unknown_group() -> Model:
    """Split by a column that is not there."""
    rows = b.flights()
    made = build(b.labels(rows), b.views(rows))
    train, validation, _, _ = split_by_group(made, group="tial")  # mistake
    return train_xgboost(train, validation)


@seeded("missing grant", "but the flow is granted nothing.")
@flow
def packaged_data_without_a_grant() -> Table[Any]:
    """Read what was not granted."""
    return nyc.read_weather()  # mistake


@seeded("unknown argument", "has no argument 'outcom'. Did you mean 'outcome'?")
@flow(grants=b.GRANTS)
def a_misspelt_argument() -> Labels[Any]:
    """Misspell an argument beside one that is there."""
    rows = b.flights()
    made, _ = label_by_outcome(rows, outcome="arrival_delay", outcom="x", window_hours=1)  # mistake
    return made


@seeded(
    "unknown view", "'trusted' names 'airport_weathr:wind_speed'. There is no view 'airport_wea"
)
@flow(grants=b.GRANTS)
def a_misspelt_view_that_is_trusted() -> Examples[Any]:
    """Trust a view that is not there."""
    rows = b.flights()
    labels, views = b.labels(rows), b.views(rows)
    return build(labels, views, trusted=["airport_weathr:wind_speed"])  # mistake


@seeded("wrong parameter", "There is no feature view 'airport_wether'. Did you mean 'airport_weath")
@flow(grants=b.GRANTS)
def a_misspelt_view_by_name() -> Table[Any]:
    """Compute a view that nobody declared."""
    weather = nyc.time_weather(nyc.read_weather())
    return compute_features(weather, view="airport_wether")  # mistake


@seeded("name clash", "Two columns of the examples would be named 'Queues__length'.")
@flow(grants=b.GRANTS)
def a_column_named_as_a_view_makes_it() -> Examples[Any]:
    """Join two lengths, one of which is told apart by a name that is taken."""
    rows = b.flights()
    labels = b.labels(rows)
    return build(labels, [b.queues(), b.gates_and_queues()])  # mistake


@seeded("unknown column", "no column 'arival_delay' for the outcome. Did you mean 'arrival_delay'")
@flow(grants=b.GRANTS)
def a_misspelt_outcome() -> Labels[Any]:
    """Label by an outcome that is not there."""
    rows = b.flights()
    made, _ = label_by_outcome(rows, outcome="arival_delay", above=15.0, window_hours=36)  # mistake
    return made


@seeded("wrong kind", "→ 'evaluate.test': the input takes TestSet, got ValidationSet.")
@flow(grants=b.GRANTS)
def a_test_on_the_validation_set() -> Evaluation:
    """Test where the model was selected."""
    rows = b.flights()
    train, validation, _ = b.sets(build(b.labels(rows), b.views(rows)))
    return evaluate(b.selected(train, validation), validation)  # mistake


@seeded("registry name", "A model cannot be registered as 'flight delay!'.")
@flow(grants=b.GRANTS)
def a_name_the_registry_refuses() -> None:
    """Register under a name that cannot be one."""
    rows = b.flights()
    train, validation, test = b.sets(build(b.labels(rows), b.views(rows)))
    model = b.selected(train, validation)
    register(model, evaluate(model, test), name="flight delay!")  # mistake
