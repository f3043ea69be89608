"""Registering the selected model, as a flow does."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headrace import Evaluation, Model, SelectedModel
from headrace.calls import PlannedCall
from headrace.errors import DataError, ParameterError, ServiceError
from headrace.recording import Invocation, invoking
from headrace.settings import using_settings
from operators.scoring import load
from serving.register import register
from serving.registry import Registry

if TYPE_CHECKING:
    from headrace.settings import Settings

Tested = tuple[SelectedModel, Evaluation]


def test_a_registered_model_is_a_version_with_its_first_test_figures_and_an_alias(
    tested: Tested, name: str
) -> None:
    model, evaluation = tested

    report = register(model, evaluation, name=name)

    version = Registry().version(name, "candidate")
    auc = evaluation.document["metrics"]["auc"]
    runtime = report.document["runtime"]
    assert runtime["small"] in ("library", "onnxruntime")
    assert {parity["passed"] for parity in runtime["parity"].values()} == {True}
    assert report.document == {
        "runtime": runtime,
        "name": name,
        "version": "1",
        "uri": f"models:/{name}/1",
        "url": version.url,
        "digest": model.digest,
        "alias": "candidate",
        "created": True,
        "passed": True,
    }
    assert version.url.endswith(f"/#/models/{name}/versions/1?workflowType=machine_learning")
    assert version.digest == model.digest
    assert version.aliases == ("candidate",)
    assert float(version.tags["test_auc"]) == pytest.approx(auc["value"], abs=1e-5)
    assert version.tags.keys() == {
        "headrace.digest",
        "headrace.evaluation",
        "test_auc",
        "test_log_loss",
    }
    assert version.tags["headrace.evaluation"] == evaluation.digest


def test_a_versions_description_has_all_test_figures_the_settings_and_links(
    tested: Tested, name: str, servers: Settings
) -> None:
    model, evaluation = tested

    register(model, evaluation, name=name)

    text = Registry().version(name, "1").description
    document = evaluation.document
    auc, over = document["metrics"]["auc"], document["differences"]["auc"]
    assert text.startswith("Probability of `late` (class `1`) from 1 features, made with xgboost.")
    assert (
        f"| auc | {auc['value']:.4g} | {auc['low']:.4g} to {auc['high']:.4g} | 0.5 | "
        f"{over['value']:+.4g} ({over['low']:.4g} to {over['high']:.4g}) |"
    ) in text
    assert {f"| {metric} |" in text for metric in document["metrics"]} == {True}
    assert "Measured on the test set, 120 rows, 2013-01-01 to 2013-01-30" in text
    assert "| max_depth | 1 |" in text
    assert f"`headrace lineage artifact:{model.digest[:12]}`" in text
    assert f"[Logged model]({servers.mlflow_url}/#/experiments/" in text


def test_the_registered_model_is_described_in_one_line_which_people_may_change(
    tested: Tested, name: str, servers: Settings
) -> None:
    from mlflow import MlflowClient

    client: Any = MlflowClient(servers.mlflow_url)
    register(*tested, name=name)
    ours = client.get_registered_model(name).description
    client.update_registered_model(name, "Ask Ada.")

    register(*tested, name=name)

    assert ours == (
        "Probability of `late` (class `1`) from 1 features. The versions say how good each is."
    )
    assert client.get_registered_model(name).description == "Ask Ada."


def test_registering_again_finds_the_version_and_moves_no_number(
    tested: Tested, better: Tested, name: str
) -> None:
    register(*tested, name=name)
    register(*better, name=name)

    again = register(*tested, name=name)

    registry = Registry()
    assert again.document["version"] == "1"
    assert again.document["created"] is False
    assert [v.version for v in registry.versions(name)] == ["2", "1"]
    assert registry.version(name, "1").aliases == ("candidate",)
    assert registry.version(name, "2").aliases == ()


def test_figures_that_changed_are_set_anew_on_the_version(tested: Tested, name: str) -> None:
    model, evaluation = tested
    register(model, evaluation, name=name)
    document = {**evaluation.document, "metrics": {"auc": {"value": 0.25}}}

    register(model, Evaluation.of(document), name=name)

    version = Registry().version(name, "1")
    assert version.tags["test_auc"] == "0.25"
    assert "| auc | 0.25 | - | 0.5 |" in version.description


def test_a_version_of_an_older_form_gets_its_description_when_it_is_registered_again(
    tested: Tested, name: str, servers: Settings
) -> None:
    from mlflow import MlflowClient

    client: Any = MlflowClient(servers.mlflow_url)
    register(*tested, name=name)
    before = Registry().version(name, "1").description
    client.update_model_version(name, "1", "")

    register(*tested, name=name)

    assert Registry().version(name, "1").description == before


def test_a_model_whose_files_cannot_be_written_is_not_left_pending(
    tested: Tested, name: str, servers: Settings, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client: Any = MlflowClient(servers.mlflow_url)
    card = replace(tested[0].card, extra={"only": name})
    fresh = Model.of({"model.ubj": tested[0].read("model.ubj")}, card=card)
    evaluation = Evaluation.of({**tested[1].document, "model": fresh.digest})
    blocked = tmp_path / "file"
    blocked.touch()
    experiment = client.create_experiment(name, artifact_location=(blocked / "models").as_uri())

    with pytest.raises(ServiceError, match="cannot be written"):
        register(SelectedModel.chosen(fresh), evaluation, name=name)

    (model,) = client.search_logged_models([experiment])
    assert model.status.name == "FAILED"


def test_many_at_once_register_one_version(tested: Tested, name: str) -> None:
    created: list[bool] = []

    def registering() -> None:
        created.append(register(*tested, name=name).document["created"])

    threads = [threading.Thread(target=registering) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(created) == [False, False, False, True]
    assert len(Registry().versions(name)) == 1


def test_a_registered_model_answers_as_ours_does(
    tested: Tested, name: str, servers: Settings
) -> None:
    import mlflow

    model, evaluation = tested
    register(model, evaluation, name=name)
    mlflow.set_tracking_uri(servers.mlflow_url)

    loaded = mlflow.pyfunc.load_model(f"models:/{name}@candidate")
    answer = loaded.predict(loaded.input_example)

    expected = load(model).score(dict(model.card.example))
    np.testing.assert_array_equal(answer["probability"], expected)


def test_the_model_of_the_training_run_is_registered_and_not_a_copy(
    better: Tested, name: str, servers: Settings, tmp_path: Path
) -> None:
    from datetime import UTC, datetime

    from mlflow import MlflowClient

    from flows.tracking import MlflowRunLog
    from headrace.lineage import InvocationRecord, RunRecord

    model, evaluation = better
    now = datetime.now(UTC)
    run = RunRecord(id="r1", flow=name, started_at=now)
    log = MlflowRunLog(home=tmp_path)
    parent = log.run_started(run, {})
    trained = InvocationRecord(
        id="i1", run_id="r1", node="train", operator="train", state="executed", started_at=now
    )
    log.node_finished(run, trained, {"result": Model.holding(model._content)}, {})

    with invoking(Invocation(run_id="r1", node="register", flow=name, mlflow_run_id=parent)):
        register(model, evaluation, name=name)

    client: Any = MlflowClient(servers.mlflow_url)
    experiment = client.get_experiment_by_name(name)
    (logged,) = client.search_logged_models([experiment.experiment_id])
    version = client.get_model_version(name, "1")
    assert version.source == f"models:/{logged.model_id}"
    assert version.run_id == logged.source_run_id
    assert client.get_run(logged.source_run_id).info.run_name == "train"
    assert version.tags["headrace.run"] == "run:r1"
    view = "?workflowType=machine_learning"
    address = f"{servers.mlflow_url}/#/experiments/{experiment.experiment_id}"
    assert version.description.endswith(
        f"\n\n[Logged model]({address}/models/{logged.model_id}{view}), "
        f"[Training run train]({address}/runs/{logged.source_run_id}{view}), "
        f"[Flow run {name} r1]({address}/runs/{parent}{view})"
    )


def test_without_an_alias_none_is_set(tested: Tested, name: str) -> None:
    register(*tested, name=name, alias=None)

    assert Registry().version(name, "1").aliases == ()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param(
            {"name": "late/flights"},
            "A model cannot be registered as 'late/flights'.\n  Fix: Begin with a letter and go on "
            "with letters, digits, '_', '-' or '.', at most 100.",
            id="a slash in the name",
        ),
        pytest.param(
            {"name": "late", "alias": "v1"},
            "A version cannot have the alias 'v1'.\n  Fix: Begin with a letter and go on with "
            "letters, digits, '_' or '-', at most 100; not 'latest', and not 'v' with a number.",
            id="an alias that reads as a version",
        ),
    ],
)
def test_a_name_that_is_not_allowed_is_refused_by_the_plan_and_by_the_call(
    changes: dict[str, Any], problem: str, tested: Tested
) -> None:
    check = register.options.check
    assert check is not None

    planned = check(PlannedCall(operator="register", parameters=changes, inputs={}))
    with pytest.raises(ParameterError) as refused:
        register(*tested, **changes)

    assert str(refused.value) == problem
    assert [f"{finding.problem}\n  Fix: {finding.remedy}" for finding in planned] == [problem]


def test_the_evaluation_of_another_model_is_refused(tested: Tested, better: Tested) -> None:
    model, other = tested[0], better[0]

    with pytest.raises(DataError) as refused:
        register(model, better[1], name="late")

    assert str(refused.value) == (
        f"The evaluation is of the model {other.digest[:12]}, not of {model.digest[:12]}, which is "
        "to be registered.\n  Fix: Evaluate the model that you register: evaluate(model, test)."
    )


def test_a_server_that_is_down_is_said(tested: Tested) -> None:
    with using_settings(mlflow_url="http://127.0.0.1:9"), pytest.raises(ServiceError) as refused:
        register(*tested, name="late")

    assert refused.value.problem == (
        "The MLflow server at http://127.0.0.1:9 does not answer: [Errno 111] Connection refused."
    )
