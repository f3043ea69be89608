"""These tests specify how a model that was trained elsewhere is brought in, and what is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from headrace import Col, Evaluation, Schema, TestSet, ValidationSet, flow, operator
from headrace.errors import DataError, GrantError, HeadraceError, ParameterError, SchemaError
from headrace.grants import granting
from headrace.models import ModelCard, ModelFeature
from headrace.testing import check_operator
from operators.bundle import load_bundle, write_bundle
from operators.evaluate import evaluate
from operators.import_model import import_model
from operators.scoring import load
from operators.select import select
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost

NUMBERS = ("wind", "hour", "weekend")
CARRIERS = ("AA", "B6", "UA")
WIND = ModelFeature(name="wind", dtype="float")
HOUR = ModelFeature(name="hour", dtype="int")
CARRIER = ModelFeature(name="carrier", dtype="category")
WEEKEND = ModelFeature(name="weekend", dtype="bool")
ALL = (WIND, HOUR, CARRIER, WEEKEND)
SPELLED = (WIND, HOUR, ModelFeature(name="carrier", dtype="category", categories=CARRIERS), WEEKEND)


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    """These are the features as somebody else would have them, categories as such."""
    carrier = pd.Categorical(frame["carrier"], categories=list(CARRIERS))
    return frame[["wind", "hour", "carrier", "weekend"]].assign(carrier=carrier)


def _logistic(frame: pd.DataFrame) -> Any:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]), (SimpleImputer(), list(NUMBERS))
    )
    return make_pipeline(columns, LogisticRegression()).fit(_rows(frame), frame["label"])


@pytest.fixture(scope="module")
def elsewhere(data: SimpleNamespace, tmp_path_factory: Any) -> SimpleNamespace:
    """These are models of the synthetic trips, trained and saved without Headrace."""
    folder = tmp_path_factory.mktemp("elsewhere")
    frame = data.frames["train"]
    boosted = xgboost.XGBClassifier(n_estimators=30, enable_categorical=True)
    boosted.fit(_rows(frame), frame["label"])
    boosted.save_model(folder / "late.ubj")
    logistic = _logistic(frame)
    skops.io.dump(logistic, folder / "late.skops")
    bare = xgboost.train({}, xgboost.DMatrix(np.eye(4), label=[1.0, 2, 3, 4]), num_boost_round=2)
    bare.save_model(folder / "bare.json")
    return SimpleNamespace(folder=folder, boosted=boosted, logistic=logistic)


def test_a_booster_is_brought_in_with_the_categories_that_it_knows_and_scores_as_it_did(
    data: SimpleNamespace, elsewhere: SimpleNamespace
) -> None:
    frame = data.frames["validation"]

    model = import_model(path=str(elsewhere.folder / "late.ubj"), label="label", features=ALL)

    assert model.card.features == SPELLED
    assert (model.card.flavor, model.card.task, model.card.classes) == (
        "xgboost",
        "classification",
        ("0", "1"),
    )
    assert load(model).score(frame) == pytest.approx(
        elsewhere.boosted.predict_proba(_rows(frame))[:, 1], abs=1e-7
    )


def test_the_card_says_that_it_was_trained_elsewhere_where_it_came_from_and_what_it_held(
    elsewhere: SimpleNamespace,
) -> None:
    file = elsewhere.folder / "late.ubj"

    card = import_model(path=str(file), label="label", features=ALL).card

    assert card.elsewhere
    assert card.trained_on == {
        "trained": "elsewhere",
        "source": f"file:{file}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "written_by": {},
    }
    assert card.metrics == {}
    assert card.parameters == {"estimator": "imported gbtree binary:logistic"}


def test_a_pipeline_is_asked_with_the_columns_that_its_transformers_know_by_name(
    data: SimpleNamespace, elsewhere: SimpleNamespace, tmp_path: Path
) -> None:
    frame = data.frames["validation"]

    model = import_model(path=str(elsewhere.folder / "late.skops"), label="label", features=SPELLED)

    expected = elsewhere.logistic.predict_proba(_rows(frame))[:, 1]
    assert load(model).score(frame) == pytest.approx(expected, abs=1e-6)
    write_bundle(tmp_path / "bundle", model)
    assert load_bundle(tmp_path / "bundle").score(frame) == pytest.approx(expected, abs=1e-6)


def test_histogram_boosting_answers_alike_for_values_that_are_its_thresholds(
    tmp_path: Path,
) -> None:
    prices = np.repeat(np.round(np.arange(1, 600) * 0.1, 1), 3)  # more than 255: values, no middles
    late = (prices > 30).astype(int)
    model = HistGradientBoostingClassifier(max_iter=3).fit(prices[:, None], late)
    skops.io.dump(model, tmp_path / "m.skops")

    imported = import_model(
        path=str(tmp_path / "m.skops"),
        label="late",
        features=(ModelFeature(name="price", dtype="float"),),
    )

    assert load(imported).score({"price": prices.tolist()}) == pytest.approx(
        model.predict_proba(prices[:, None])[:, 1], abs=1e-12
    )


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        pytest.param(RandomForestClassifier(5, n_jobs=-1), "classification", id="a forest"),
        pytest.param(
            make_pipeline(SimpleImputer(), GradientBoostingRegressor(n_estimators=3)),
            "estimation",
            id="boosting behind an imputer",
        ),
    ],
)
def test_an_estimator_fitted_on_an_array_takes_the_features_in_the_order_given(
    estimator: Any, task: Any, data: SimpleNamespace, tmp_path: Path
) -> None:
    frame = data.frames["train"]
    target = frame["label"] if task == "classification" else frame["label"] * 1.5
    fitted = estimator.fit(frame[list(NUMBERS)].to_numpy(dtype=float), target)
    skops.io.dump(fitted, tmp_path / "m.skops")

    model = import_model(
        path=str(tmp_path / "m.skops"), label="label", task=task, features=(WIND, HOUR, WEEKEND)
    )

    asked = frame[list(NUMBERS)].to_numpy(dtype=float)
    answers = (
        fitted.predict_proba(asked)[:, 1] if task == "classification" else fitted.predict(asked)
    )
    assert load(model).score(frame) == pytest.approx(answers, abs=1e-6)
    assert set(write_bundle(tmp_path / "bundle", model).timings) >= {"library"}


def test_a_model_that_stopped_early_answers_with_its_best_trees_as_xgboosts_own_class_does(
    data: SimpleNamespace, tmp_path: Path
) -> None:
    train, held = data.frames["train"], data.frames["validation"]
    boosted = xgboost.XGBClassifier(
        n_estimators=200, learning_rate=0.5, early_stopping_rounds=20, enable_categorical=True
    )
    boosted.fit(
        _rows(train), train["label"], eval_set=[(_rows(held), held["label"])], verbose=False
    )
    boosted.save_model(tmp_path / "m.ubj")

    model = import_model(path=str(tmp_path / "m.ubj"), label="label", features=ALL)

    assert model.card.extra == {"trees": boosted.best_iteration + 1}
    assert load(model).score(held) == pytest.approx(
        boosted.predict_proba(_rows(held))[:, 1], abs=1e-7
    )


@pytest.mark.filterwarnings("ignore::UserWarning:mlflow")  # its advice on type hints
def test_a_folder_of_mlflow_brings_its_signature_and_example(
    data: SimpleNamespace, elsewhere: SimpleNamespace, tmp_path: Path
) -> None:
    import mlflow.models
    import mlflow.xgboost

    rows = (
        _rows(data.frames["train"]).dropna().head(3).assign(carrier=lambda f: f.carrier.astype(str))
    )
    signature = mlflow.models.infer_signature(rows, pd.DataFrame({"p": [0.5]}))
    mlflow.xgboost.save_model(
        elsewhere.boosted.get_booster(),
        str(tmp_path / "m"),
        signature=signature,
        input_example=rows,
        pip_requirements=[],
        model_format="ubj",
    )

    model = import_model(path=str(tmp_path / "m"), label="label")

    assert model.card.features == SPELLED
    assert model.card.example["carrier"] == rows["carrier"].tolist()
    assert model.card.trained_on["written_by"] == {"xgboost": xgboost.__version__}


def test_a_folder_that_headrace_logged_is_brought_in_whatever_its_flavor(
    data: SimpleNamespace, tmp_path: Path
) -> None:
    from serving._models import write_mlflow_model

    network = train_torch(data.train, data.validation, max_epochs=2)
    write_mlflow_model(network, tmp_path / "m")

    model = import_model(path=str(tmp_path / "m"), label="label")

    assert model.card.flavor == "torch"
    assert model.card.elsewhere
    assert model.card.metrics == {}
    assert load(model).score(data.frames["test"]).tolist() == (
        load(network).score(data.frames["test"]).tolist()
    )


def test_an_imported_model_is_selected_and_evaluated_and_stays_marked(
    data: SimpleNamespace, elsewhere: SimpleNamespace
) -> None:
    own = train_xgboost(data.train, data.validation, n_estimators=2)
    imported = import_model(
        path=str(elsewhere.folder / "late.skops"), label="label", features=SPELLED
    )

    selected, report = select([own, imported], data.validation)
    tested = evaluate(selected, data.test)

    assert selected.digest == imported.digest
    mine, theirs = report.document["candidates"]
    assert "trained" not in mine
    assert theirs["name"] == "sklearn imported LogisticRegression"
    assert theirs["trained"] == "elsewhere"
    assert theirs["leakage"] == (
        "It was trained elsewhere: nobody can say whether it saw these rows."
    )
    assert tested.document["trained"] == "elsewhere"
    # nobody knows the prior that it learnt from, so the best constant on these rows stands in
    share = data.frames["test"]["label"].mean()
    assert tested.document["baseline"]["brier"] == pytest.approx(share * (1 - share))


def test_import_model_keeps_the_contract(elsewhere: SimpleNamespace) -> None:
    check_operator(
        import_model, path=str(elsewhere.folder / "late.ubj"), label="label", features=ALL
    )


def test_only_a_flow_that_is_granted_the_file_may_bring_it_in(elsewhere: SimpleNamespace) -> None:
    file = elsewhere.folder / "late.ubj"

    with granting(["file:models/*"]), pytest.raises(GrantError) as refused:
        import_model(path=str(file), label="label", features=ALL)

    assert refused.value.problem == (
        f"The operator reads 'file:{file}', but its flow is granted 'file:models/*'."
    )


# --- what is refused ---


def _refused(kind: type[HeadraceError], **arguments: Any) -> str:
    with pytest.raises(kind) as refused:
        import_model(**({"label": "label"} | arguments))
    return str(refused.value)


def test_a_pickle_is_refused_without_being_opened(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps({"never": "loaded"}))

    assert _refused(DataError, path=str(file), features=ALL) == (
        f"'{file}' is a pickle, or may be one, which runs code when it is opened.\n"
        "  Fix: Save it without code: xgboost's `save_model('model.ubj')`, `skops.io.dump(model, "
        "'model.skops')` for scikit-learn, or a model that Headrace wrote."
    )


def test_a_pickle_in_a_folder_of_mlflow_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"")
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    pickled_model: model.pkl\n"
        "    serialization_format: cloudpickle\n"
    )

    assert _refused(DataError, path=str(tmp_path)) == (
        f"The model in '{tmp_path}' is stored as cloudpickle, which runs code when it is opened.\n"
        "  Fix: Save it again with `mlflow.sklearn.save_model(model, path, "
        "serialization_format='skops')`."
    )


def test_a_folder_may_not_point_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "MLmodel").write_text("flavors:\n  xgboost:\n    data: ../secret.ubj\n")

    assert _refused(DataError, path=str(tmp_path / "m"), features=ALL) == (
        f"'{tmp_path / 'm' / 'MLmodel'}' names '../secret.ubj', which does not lie in its folder.\n"
        "  Fix: Save the model again; a model's files lie together."
    )


def test_types_that_are_not_trusted_are_named_and_not_built(
    data: SimpleNamespace, tmp_path: Path
) -> None:
    frame = data.frames["train"][list(NUMBERS)].fillna(0)
    steps = make_pipeline(FunctionTransformer(_doubled), LogisticRegression())
    skops.io.dump(steps.fit(frame, data.frames["train"]["label"]), tmp_path / "m.skops")
    before = list(_calls)

    said = _refused(DataError, path=str(tmp_path / "m.skops"), features=(WIND, HOUR, WEEKEND))

    assert said == (
        f"The model in '{tmp_path / 'm.skops'}' holds types that are not trusted: "
        f"'{__name__}._doubled'. Nothing of it was loaded.\n"
        "  Fix: Build it of scikit-learn's own estimators and transformers, without functions or "
        "classes of yours."
    )
    assert _calls == before


_calls: list[int] = []


def _doubled(rows: Any) -> Any:
    _calls.append(len(rows))
    return rows * 2


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_bytes(b"no archive")

    assert _refused(DataError, path=str(tmp_path / "m.skops"), features=SPELLED) == (
        f"'{tmp_path / 'm.skops'}' is not a model that skops wrote: BadZipFile: File is not a zip "
        "file.\n  Fix: Write it with `skops.io.dump(model, 'model.skops')`."
    )


def test_a_signature_must_be_given_where_none_is_written(elsewhere: SimpleNamespace) -> None:
    file = elsewhere.folder / "late.ubj"

    assert _refused(ParameterError, path=str(file)) == (
        f"What '{file}' takes is written nowhere: it has no signature with names and types.\n"
        "  Fix: Give `features=[ModelFeature(name='distance', dtype='float'), …]`, or a folder "
        "that MLflow wrote with a signature."
    )


def test_a_signature_with_other_features_than_the_model_knows_names_both(
    elsewhere: SimpleNamespace,
) -> None:
    file = elsewhere.folder / "late.ubj"
    gusts = ModelFeature(name="gust", dtype="float")

    assert _refused(SchemaError, path=str(file), features=(gusts, HOUR, CARRIER)) == (
        f"The model of '{file}' knows 4 features and its signature names 3: only the model has "
        "'wind', 'weekend'; only its signature has 'gust'.\n"
        "  Fix: Give the features that it was fitted on, by their names."
    )


def test_a_model_without_names_must_be_given_as_many_features_as_it_takes(
    elsewhere: SimpleNamespace,
) -> None:
    file = elsewhere.folder / "bare.json"

    said = _refused(SchemaError, path=str(file), task="estimation", features=(WIND, HOUR))

    assert said == (
        f"The model in '{file}' takes 4 features, but its signature names 2: 'wind', 'hour'.\n"
        "  Fix: Give the features that it was fitted on, in their order."
    )


def test_a_model_of_the_other_task_is_refused(elsewhere: SimpleNamespace) -> None:
    boosted, logistic = elsewhere.folder / "late.ubj", elsewhere.folder / "late.skops"

    assert _refused(SchemaError, path=str(boosted), task="estimation", features=ALL) == (
        f"The model in '{boosted}' has the objective 'binary:logistic', which is classification, "
        "but the task is 'estimation'.\n  Fix: Set task='classification'."
    )
    assert _refused(SchemaError, path=str(logistic), task="estimation", features=SPELLED) == (
        f"The LogisticRegression in '{logistic}' does classification, but the task is "
        "'estimation'.\n  Fix: Set task='classification'."
    )


def test_other_categories_or_classes_than_the_models_are_refused(
    elsewhere: SimpleNamespace,
) -> None:
    boosted, logistic = elsewhere.folder / "late.ubj", elsewhere.folder / "late.skops"
    swapped = ModelFeature(name="carrier", dtype="category", categories=("UA", "B6"))

    assert _refused(SchemaError, path=str(boosted), features=(WIND, HOUR, swapped, WEEKEND)) == (
        f"The categories of feature 'carrier' are 'AA', 'B6', 'UA' in '{boosted}', but 'UA', 'B6' "
        "in its signature.\n  Fix: Leave them out: the model knows its own."
    )
    assert _refused(
        SchemaError, path=str(logistic), features=SPELLED, classes=("late", "on time")
    ) == (
        f"The LogisticRegression in '{logistic}' knows the classes '0', '1', but 'late', 'on time' "
        "are named.\n  Fix: Set classes=['0', '1']."
    )


def test_a_model_that_takes_no_nulls_is_refused(data: SimpleNamespace, tmp_path: Path) -> None:
    frame = data.frames["train"]
    model = LogisticRegression().fit(frame[["hour"]].to_numpy(), frame["label"])
    skops.io.dump(model, tmp_path / "m.skops")

    assert _refused(DataError, path=str(tmp_path / "m.skops"), features=(HOUR,)) == (
        f"The model in '{tmp_path / 'm.skops'}' cannot answer rows of its signature in which "
        "values are null: ValueError: Input X contains NaN.\n"
        "  Fix: A request may lack a value, so put what fills nulls in front of the model: "
        "`make_pipeline(SimpleImputer(), model)` in scikit-learn."
    )


def test_a_model_that_would_be_scored_otherwise_than_by_its_own_library_is_refused(
    tmp_path: Path,
) -> None:
    # a billion and some meters, apart by one: 32 bits hold every 64th
    meters = np.arange(1_000_000_000, 1_000_000_400, dtype=float)[:, None]
    model = HistGradientBoostingClassifier(max_iter=1).fit(meters, np.arange(400) > 200)
    skops.io.dump(model, tmp_path / "m.skops")
    low, high = (model.predict_proba(meters[[i]])[0, 1] for i in (200, 201))

    said = _refused(
        DataError,
        path=str(tmp_path / "m.skops"),
        features=(ModelFeature(name="meters", dtype="float"),),
        classes=("false", "true"),
        example={"meters": [1_000_000_000.0, 1_000_000_201.0]},
    )

    assert said == (
        f"Headrace does not score the model in '{tmp_path / 'm.skops'}' as its own library does. "
        f"It answers {low:.9g} where the trained model answers {high:.9g}, in probe row 1 of 502: "
        "meters=1.00000019e+09.\n"
        "  Fix: Give the features as they were when the model was fitted: their order, types and "
        "categories; numbers that 32 bits hold."
    )


def test_an_example_that_lacks_a_feature_is_refused(elsewhere: SimpleNamespace) -> None:
    said = _refused(
        DataError,
        path=str(elsewhere.folder / "late.ubj"),
        features=ALL,
        example={"wind": [1.0], "hour": [1], "carier": ["AA"], "weekend": [True]},
    )

    assert said == (
        "The rows lack feature 'carrier', which the xgboost model was fitted on. Did you mean "
        "'carier'?\n  Fix: Give every feature of the model's card; a null where it is not known."
    )


def test_a_card_that_names_another_label_is_refused(data: SimpleNamespace, tmp_path: Path) -> None:
    own = train_xgboost(data.train, data.validation, n_estimators=2)
    (tmp_path / "model.json").write_text(json.dumps(own.card.to_json()))
    (tmp_path / "model.ubj").write_bytes(own.read("model.ubj"))

    assert _refused(ParameterError, path=str(tmp_path), label="late") == (
        f"The label of the model in '{tmp_path}' is 'label', not 'late'.\n  Fix: Set label='label'."
    )
    assert import_model(path=str(tmp_path), label="label").card.features == own.card.features


# --- what the plan says ---


class Trips(Schema, Protocol):
    """These are trips without a wind."""

    hour: Annotated[int, Col(role="feature")]
    carrier: Annotated[str, Col(role="feature")]
    label: Annotated[float, Col(role="label")]


@operator()
def held() -> tuple[ValidationSet[Trips], TestSet[Trips]]:
    """Give sets."""
    rows: dict[str, list[Any]] = {"hour": [1], "carrier": ["AA"], "label": [0.5]}
    return ValidationSet[Trips].of(rows), TestSet[Trips].of(rows)


@pytest.fixture
def planned(elsewhere: SimpleNamespace) -> Callable[..., list[str]]:
    def problems(**changes: Any) -> list[str]:
        arguments: dict[str, Any] = {
            "path": str(elsewhere.folder / "late.ubj"),
            "label": "label",
            "features": ALL,
        }

        @flow(grants=["file:*"])
        def measured() -> Evaluation:
            """Measure a model from elsewhere."""
            validation, test = held()
            model = import_model(**(arguments | changes))
            selected, _ = select([model], validation, metric="rmse")
            return evaluate(selected, test)

        return [f"{p.rule}: {p.problem}" for p in measured.plan().problems]

    return problems


def test_columns_that_a_set_lacks_or_has_as_other_are_found_before_anything_runs(
    planned: Callable[..., list[str]],
) -> None:
    found = planned(task="classification")

    one, two = (
        f"same features: 'held.{kind}_set' → '{place}.{kind}': The {kind} set lacks feature "
        for kind, place in (("validation", "select"), ("test", "evaluate"))
    )
    assert found == [
        "wrong task: 'select': 'rmse' is no metric of classification.",
        f"{one}'wind', which the model was fitted on.",
        f"{one}'weekend', which the model was fitted on.",
        "same features: 'held.validation_set' → 'select.validation': The label 'label' is float in "
        "the validation set, but the model was fitted on int.",
        f"{two}'wind', which the model was fitted on.",
        f"{two}'weekend', which the model was fitted on.",
        "same features: 'held.test_set' → 'evaluate.test': The label 'label' is float in the test "
        "set, but the model was fitted on int.",
    ]


def test_a_missing_file_or_signature_is_found_before_anything_runs(
    planned: Callable[..., list[str]], elsewhere: SimpleNamespace
) -> None:
    folder = elsewhere.folder

    assert planned(path=str(folder / "late.upj"), task="estimation") == [
        f"imported model: 'import_model': There is no file 'late.upj' in '{folder}'. Did you mean "
        "'late.ubj' or 'late.skops'?"
    ]
    assert planned(features=None, task="estimation") == [
        f"imported model: 'import_model': What '{folder / 'late.ubj'}' takes is written nowhere: "
        "it has no signature with names and types."
    ]


def test_a_card_survives_json_with_its_mark(elsewhere: SimpleNamespace) -> None:
    card = import_model(path=str(elsewhere.folder / "late.ubj"), label="label", features=ALL).card

    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card
