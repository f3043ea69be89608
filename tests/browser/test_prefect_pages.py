"""What a user does on Prefect's pages: launch, be refused, watch, and see what was reused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Shot = Callable[[str], None]
NODES = {"pick_apples", "train_xgboost", "train_sklearn", "select", "evaluate", "ship"}


def test_a_run_launched_from_the_form_completes_and_a_second_one_shows_cached_nodes(
    prefect: Any, api: Any, shot: Shot
) -> None:
    prefect.open_form("ripeness")
    prefect.field("Trees", "Depth").fill("4")
    prefect.field("To").fill("cider press")
    shot("form")

    run_id = prefect.submit()
    prefect.wait_for_state("Completed")

    assert api(f"/flow_runs/{run_id}")["parameters"]["parameters"] == {
        "count": 600,
        "trees": {"count": 20, "depth": 4},
        "metric": "log_loss",
        "to": "cider press",
    }
    assert prefect.task_states(6) == dict.fromkeys(NODES, "Completed")
    shot("first-run")

    prefect.open_form("ripeness")
    prefect.field("Trees", "Depth").fill("4")
    again = prefect.submit()
    prefect.wait_for_state("Completed")

    states = prefect.task_states(6)
    shot("second-run")
    assert again != run_id
    # `to` is another again, and only an effect takes it
    assert states == dict.fromkeys(NODES - {"ship"}, "Cached") | {"ship": "Completed"}


def test_a_value_out_of_bounds_is_refused_with_the_reason_and_no_run_is_made(
    prefect: Any, api: Any, heard: Any, shot: Shot
) -> None:
    before = api.count("ripeness")
    prefect.open_form("ripeness")
    prefect.field("Trees", "Depth").fill("99")

    prefect.page.get_by_role("button", name="Submit").click()

    said = "Validation failed for field 'parameters.trees.depth'. Failure reason: 99 is greater"
    prefect.page.get_by_text(said).last.wait_for()
    shot("refused")
    assert "/run" in prefect.page.url  # still the form, with what was filled in
    assert prefect.field("Trees", "Depth").input_value() == "99"
    assert api.count("ripeness") == before
    # the refusal is an answer that the page asked for, and throws
    assert [code for code, path in heard.refused if path.endswith("create_flow_run")] == [409]
    heard.refused, heard.errors = [r for r in heard.refused if r[0] != 409], []


def test_what_the_form_cannot_see_fails_before_any_node_and_says_why(
    prefect: Any, api: Any, shot: Shot
) -> None:
    prefect.open_form("ripeness")
    prefect.field("Trees", "Depth").fill("99")
    prefect.page.get_by_text("Validate parameters").click()  # a user may untick it

    run_id = prefect.submit()
    prefect.wait_for_state("Failed")

    lines = prefect.log_lines(until="cannot start")
    shot("failed")
    [why] = [line for line in lines if "cannot start" in line]
    assert "Flow 'ripeness' cannot start: parameter 'trees.depth' is 99" in why
    assert api("/task_runs/count", {"flow_runs": {"id": {"any_": [run_id]}}}) == 0


def test_what_a_node_says_is_in_the_log_of_the_run_and_of_its_task(
    prefect: Any, api: Any, shot: Shot
) -> None:
    run_id = api.launch("ripeness", count=480)
    prefect.open_run(run_id)
    prefect.wait_for_state("Completed")

    lines = prefect.log_lines(until="a crate to market")
    shot("run-log")
    [picked] = [line for line in lines if "240 apples to train with, 120 to test with" in line]
    assert "pick_apples" in picked  # which of its nodes said so
    assert any("MLflow run: http://127.0.0.1:" in line for line in lines)

    prefect.task_states(6)
    prefect.page.get_by_role("link", name="ship", exact=True).click()
    shipped = prefect.log_lines(until="a crate to market")
    shot("task-log")
    assert not [line for line in shipped if "apples to train with" in line]


def test_the_bundled_flow_has_a_form_with_descriptions_choices_and_defaults(
    prefect: Any, shot: Shot
) -> None:
    prefect.open_form("flight_delay")

    prefect.field("Late Minutes").fill("30")
    prefect.field("Until").fill("2013-10-01")
    shot("flight-delay-form")

    page = prefect.page
    assert prefect.field("Model Name").input_value() == "flight_delay"
    assert page.get_by_text("What the models are compared by on the validation set.").count() == 1
    page.get_by_text("log_loss", exact=True).click()
    offered = page.locator(".p-select-options").get_by_role("option").all_inner_texts()
    assert [choice.strip() for choice in offered] == ["log_loss", "auc", "brier"]
