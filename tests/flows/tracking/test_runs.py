"""What a flow's run looks like in MLflow."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace import Model


def _children(client: Any, parent: str) -> dict[str, Any]:
    experiment = client.get_run(parent).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    return {run.info.run_name: run for run in found}


def _prefect(data: Any) -> dict[str, str]:
    return {key: value for key, value in data.tags.items() if key.startswith("prefect.")}


def _files(client: Any, run_id: str, folder: str) -> set[str]:
    return {Path(entry.path).name for entry in client.list_artifacts(run_id, folder)}


def test_a_flow_is_one_run_with_a_child_for_each_node_that_trained(
    recorded: Any, made: Any, client: Any
) -> None:
    parent = client.get_run(recorded.mlflow_run_id)
    assert client.get_experiment(parent.info.experiment_id).name == recorded.run.flow
    assert parent.info.run_name == f"{recorded.run.flow} {recorded.run.id[:8]}"
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.user"] == "ada"
    children = _children(client, recorded.mlflow_run_id)
    assert children.keys() == {"shallow", "deep"}
    assert {child.info.status for child in children.values()} == {"FINISHED"}


def test_a_child_has_parameters_figures_and_what_the_compare_page_does_not_show_by_itself(
    recorded: Any, made: Any, client: Any
) -> None:
    child = _children(client, recorded.mlflow_run_id)["deep"]
    assert child.data.params["max_depth"] == "3"
    assert child.data.params["search.rounds"] == "5"
    assert child.data.params["data.train"] == made.train.digest
    assert child.data.params["data.validation"] == made.validation.digest
    assert child.data.params["model.digest"] == made.deep.digest
    assert len(child.data.params["code.digest"]) == 16
    assert child.data.metrics["validation_auc"] == pytest.approx(made.deep.card.metrics["auc"])
    assert child.data.metrics["model_bytes"] == len(made.deep.read("model.ubj"))
    assert 0 < child.data.metrics["latency_p50_ms"] <= child.data.metrics["latency_p99_ms"]
    assert child.data.metrics["fit_seconds"] == made.deep.notes["fit_seconds"]
    assert child.data.tags["headrace.threads"] == str(made.deep.notes["threads"])
    assert "threads" not in child.data.metrics
    losses = client.get_metric_history(child.info.run_id, "validation_loss")
    assert [m.step for m in losses] == made.deep.card.curves["learning"]["round"]
    assert _files(client, child.info.run_id, "") >= {
        "roc.png",
        "precision_recall.png",
        "calibration.png",
        "importance.png",
        "slices.png",
        "learning.png",
    }


def test_data_is_logged_with_the_digest_of_all_of_it_and_its_schema(
    recorded: Any, made: Any, client: Any
) -> None:
    child = _children(client, recorded.mlflow_run_id)["deep"]
    inputs = {entry.tags[0].value: entry.dataset for entry in child.inputs.dataset_inputs}
    assert inputs.keys() == {"training", "validation"}
    assert inputs["training"].digest == made.train.digest[:36]
    source = json.loads(inputs["training"].source)
    assert source["artifact"] == f"artifact:{made.train.digest}"
    assert json.loads(inputs["training"].profile) == {"num_rows": 200}
    columns = {c["name"]: c for c in json.loads(inputs["training"].schema)["mlflow_colspec"]}
    assert columns["wind"] == {"type": "double", "name": "wind", "required": False}
    parent = client.get_run(recorded.mlflow_run_id)
    assert [e.dataset.name for e in parent.inputs.dataset_inputs] == ["test", "ingest"]


def test_selection_and_evaluation_are_figures_and_files_of_the_parent(
    recorded: Any, made: Any, client: Any
) -> None:
    parent = client.get_run(recorded.mlflow_run_id)
    auc = made.evaluation.document["metrics"]["auc"]
    assert parent.data.metrics["test_auc"] == pytest.approx(auc["value"])
    assert parent.data.metrics["test_auc_low"] == pytest.approx(auc["low"])
    assert parent.data.metrics["test_auc_high"] == pytest.approx(auc["high"])
    assert parent.data.metrics["test_baseline_auc"] == 0.5
    assert parent.data.metrics["test_rows"] == 400
    assert parent.data.tags["selected.select"] == made.selected.digest
    assert parent.data.tags["evaluate.data.test"] == made.test.digest
    assert parent.data.tags["ingest.data"] == made.flights.digest
    plots = {"roc.png", "precision_recall.png", "calibration.png", "slices.png"}
    assert _files(client, recorded.mlflow_run_id, "evaluation/evaluate") == {
        "evaluation.json",
        *plots,
    }
    folders = {"evaluation", "selection", "reports"}
    assert _files(client, recorded.mlflow_run_id, "") == folders | plots
    assert _files(client, recorded.mlflow_run_id, "selection") == {"select.json", "select.md"}
    assert _files(client, recorded.mlflow_run_id, "reports") == {"select.json"}


def test_of_the_candidates_the_parent_has_only_the_metric_that_the_selection_used(
    recorded: Any, made: Any, client: Any
) -> None:
    metrics = client.get_run(recorded.mlflow_run_id).data.metrics

    validated = {key: value for key, value in metrics.items() if "validation" in key}
    assert made.choice.document["metric"] == "log_loss"
    assert validated == pytest.approx(
        {
            "select.validation_log_loss": made.selected.card.metrics["log_loss"],
            "shallow.validation_log_loss": made.shallow.card.metrics["log_loss"],
            "deep.validation_log_loss": made.deep.card.metrics["log_loss"],
        }
    )
    assert all(key.startswith("test_") for key in metrics.keys() - validated.keys())


def test_the_page_of_a_run_begins_with_the_selected_model_and_its_test_figures(
    recorded: Any, made: Any, client: Any
) -> None:
    note = client.get_run(recorded.mlflow_run_id).data.tags["mlflow.note.content"]

    document = made.evaluation.document
    loss, baseline = document["metrics"]["log_loss"], document["baseline"]["log_loss"]
    name = "deep" if made.selected.digest == made.deep.digest else "shallow"
    selected, head, _, first, second, *_ = [line for line in note.splitlines() if line]
    assert selected == (
        f"**Selected `{name}`**: log_loss {made.selected.card.metrics['log_loss']:.4g} on "
        f"validation (xgboost, `artifact:{made.selected.digest[:12]}`)."
    )
    assert head == "| test | value | interval (95%) | baseline | over baseline |"
    assert first.startswith(
        f"| log_loss | {loss['value']:.4g} | {loss['low']:.4g} to {loss['high']:.4g} | "
        f"{baseline:.4g} |"
    )
    assert second.startswith("| auc |")
    assert "Measured on 400 rows of the test set." in note


def test_the_page_of_a_run_says_why_each_node_was_executed(recorded: Any, client: Any) -> None:
    note = client.get_run(recorded.mlflow_run_id).data.tags["mlflow.note.content"]

    assert "| node | state | why | seconds |" in note
    assert "| ingest | executed | the code of 'ingest' changed | 2.50 |" in note
    assert "| select | executed | the code of 'select' changed | 2.50 |" in note
    child = next(iter(_children(client, recorded.mlflow_run_id).values())).info
    assert (
        f"| {child.run_name} | executed | the code of '{child.run_name}' changed, "
        f"[training run]({recorded.log.links(recorded.run.id).experiment.partition('?')[0]}"
        f"/{child.run_id}?workflowType=machine_learning) | 2.50 |"
    ) in note


def test_plots_of_several_evaluations_stay_in_their_folders(
    story: Callable[..., Any], made: Any, client: Any
) -> None:
    told = story().start()
    given = {"model": made.selected, "test": made.test}

    told.node("first", {"result": made.evaluation}, given)
    told.node("second", {"result": made.evaluation}, given)
    told.finish()

    assert _files(client, told.mlflow_run_id, "") == {"evaluation"}
    assert _files(client, told.mlflow_run_id, "evaluation") == {"first", "second"}


def test_what_was_reused_gets_no_child_but_a_link_to_the_run_that_made_it(
    story: Callable[..., Any], recorded: Any, made: Any, client: Any
) -> None:
    second = story().start()

    second.whole_flow(made, reusing=recorded)
    second.finish()

    maker = _children(client, recorded.mlflow_run_id)["deep"]
    assert _children(client, second.mlflow_run_id) == {}
    parent = client.get_run(second.mlflow_run_id)
    link = parent.data.tags["headrace.reused.deep"]
    assert link.endswith(
        f"/#/experiments/{maker.info.experiment_id}/runs/{maker.info.run_id}"
        "?workflowType=machine_learning"
    )
    why = f"made by run {recorded.run.id[:8]}, [training run]({link})"
    assert f"| deep | cached | {why} | 2.50 |" in parent.data.tags["mlflow.note.content"]
    before = client.get_run(recorded.mlflow_run_id).data
    assert parent.data.metrics == before.metrics
    assert [e.dataset.name for e in parent.inputs.dataset_inputs] == ["test", "ingest"]
    digests = {k: v for k, v in before.tags.items() if not k.startswith(("mlflow.", "headrace."))}
    assert digests.keys() >= {"deep.code", "deep.model", "ingest.data", "selected.select"}
    assert parent.data.tags.items() >= (digests.items() - _prefect(before).items())


def test_a_model_that_was_made_unrecorded_gets_its_child_when_it_is_reused(
    story: Callable[..., Any], made: Any, client: Any
) -> None:
    fitted_on = {"train": made.train, "validation": made.validation}
    card = replace(made.deep.card, extra={"only": uuid.uuid4().hex})
    unrecorded = Model.of({"model.ubj": made.deep.read("model.ubj")}, card=card)
    told = story().start()

    told.node("train", {"result": unrecorded}, fitted_on, state="cached", reused_from="i1")
    told.finish()

    child = _children(client, told.mlflow_run_id)["train"]
    assert child.data.tags["headrace.state"] == "cached"
    assert child.data.tags["headrace.reused_from"] == "i1"


def test_a_failed_flow_keeps_what_was_done_and_says_why(
    story: Callable[..., Any], made: Any, client: Any
) -> None:
    told = story().start()
    fitted_on = {"train": made.train, "validation": made.validation}

    told.node("shallow", {"result": made.shallow}, fitted_on)
    told.node("deep", {}, fitted_on, state="failed", message="Out of memory.\n  Fix: Use less.")
    told.finish("failed", "deep: Out of memory.\n  Fix: Use less.", failed=1)

    parent = client.get_run(told.mlflow_run_id)
    assert parent.info.status == "FAILED"
    assert parent.data.tags["headrace.message"] == "deep: Out of memory.\n  Fix: Use less."
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("**Failed.**\n\n    deep: Out of memory.\n      Fix: Use less.\n\n")
    assert "| deep | failed | Out of memory. | 2.50 |" in note
    assert parent.data.tags["headrace.failed"] == "1"
    assert _children(client, told.mlflow_run_id).keys() == {"shallow"}
    logged = client.search_logged_models([parent.info.experiment_id])
    assert [model.status.name for model in logged] == ["READY"]


def test_links_lead_to_the_run_the_experiment_and_prefect(
    recorded: Any, client: Any, mlflow_url: str
) -> None:
    links = recorded.log.links(recorded.run.id)

    parent = client.get_run(recorded.mlflow_run_id)
    experiment = f"{mlflow_url}/#/experiments/{parent.info.experiment_id}/runs"
    view = "?workflowType=machine_learning"
    assert links.experiment == f"{experiment}{view}"
    assert links.run == f"{experiment}/{recorded.mlflow_run_id}{view}"
    prefect = parent.data.tags["prefect.flow_run_url"]
    assert prefect.endswith("/runs/flow-run/0192-abc")
    assert f"({prefect})" in parent.data.tags["mlflow.note.content"]
    assert parent.data.tags["headrace.run"] == f"run:{recorded.run.id}"


def test_parameters_of_the_flow_the_plan_and_the_summary_are_kept(
    story: Callable[..., Any], client: Any
) -> None:
    told = story(parameters={"month": 3, "label": {"minutes": 15.0}, "long": "x" * 7000})

    told.start(nodes=20, digest="abc")
    told.finish(executed=3, seconds=1.5, machine="two cores")

    parent = client.get_run(told.mlflow_run_id)
    assert parent.data.params["month"] == "3"
    assert parent.data.params["label.minutes"] == "15.0"
    assert parent.data.params["long"] == "x" * 5999 + "…"
    assert parent.data.tags["headrace.plan.nodes"] == "20"
    assert parent.data.tags["headrace.plan.digest"] == "abc"
    assert parent.data.metrics == {}
    assert parent.data.tags["headrace.executed"] == "3"
    assert parent.data.tags["headrace.seconds"] == "1.5"
    assert parent.data.tags["headrace.machine"] == "two cores"


def test_a_run_that_is_taken_up_again_with_corrected_code_goes_on_in_the_same_place(
    story: Callable[..., Any], made: Any, client: Any
) -> None:
    part = {"kind": "code", "name": "structure"}
    first = story(parameters={"month": 3}).start()
    first.node("ingest", {"result": made.flights}, key_parts=[part | {"digest": "wrong"}])
    first.finish("failed", "The machine was tired.")
    before = client.get_run(first.mlflow_run_id).data.tags["ingest.code"]

    again = story(
        id=first.run.id, mlflow_run_id=first.mlflow_run_id, parameters={"month": 3}
    ).start()
    status_meanwhile = client.get_run(again.mlflow_run_id).info.status
    again.node("ingest", {"result": made.flights}, key_parts=[part | {"digest": "right"}])
    again.finish()

    after = client.get_run(first.mlflow_run_id)
    assert again.mlflow_run_id == first.mlflow_run_id
    assert status_meanwhile == "RUNNING"
    assert after.info.status == "FINISHED"
    assert after.data.tags["ingest.code"] != before


def test_a_run_that_mlflow_has_no_more_is_begun_anew(
    story: Callable[..., Any], client: Any
) -> None:
    told = story(mlflow_run_id="0" * 32, parameters={"month": 3})

    told.start()

    assert told.mlflow_run_id != "0" * 32
    assert client.get_run(told.mlflow_run_id).data.params == {"month": "3"}


def test_nodes_may_finish_in_many_threads_at_once(
    story: Callable[..., Any], made: Any, client: Any
) -> None:
    told = story().start()
    fitted_on = {"train": made.train, "validation": made.validation}

    threads = [
        threading.Thread(target=told.node, args=(f"n{n}", {"result": made.deep}, fitted_on))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.finish()

    children = _children(client, told.mlflow_run_id)
    assert children.keys() == {f"n{n}" for n in range(4)}
    assert {c.data.params["model.digest"] for c in children.values()} == {made.deep.digest}
    note = client.get_run(told.mlflow_run_id).data.tags["mlflow.note.content"]
    assert note.count("[training run]") == 4


def test_a_training_node_costs_one_batch_and_so_does_a_whole_reused_flow(
    story: Callable[..., Any], recorded: Any, made: Any, gateway: Any, tmp_path: Path
) -> None:
    from flows.tracking import MlflowRunLog

    log = MlflowRunLog(gateway.url, home=tmp_path)
    told = story(log).start()
    fitted_on = {"train": made.train, "validation": made.validation}
    before = gateway.count("log-batch")

    told.node("train", {"result": made.deep}, fitted_on)

    assert gateway.count("log-batch") - before == 1
    told.finish()
    again = story(log).start()
    before = gateway.count("log-batch")
    again.whole_flow(made, reusing=recorded)
    again.finish()
    assert gateway.count("log-batch") - before == 1
