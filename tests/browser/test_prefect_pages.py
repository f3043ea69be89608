"""What a user does on Prefect's pages: launch, be refused, watch, and see what was reused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
    shot("flight-delay-form")

    page = prefect.page
    assert prefect.field("Model Name").input_value() == "flight_delay"
    assert page.get_by_text("What the models are compared by on the validation set.").count() == 1
    assert prefect.offered("Metric") == ["log_loss", "auc", "brier"]


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_a_run_that_asks_goes_on_after_the_form_and_ships_only_what_was_approved(
    prefect: Any, api: Any, shot: Shot, decision: str
) -> None:
    run_id = api.launch("tasting", to="cider press")
    prefect.open_run(run_id)
    prefect.wait_for_state("Suspended")

    said = prefect.ask_to_resume()
    prefect.choose("Decision", option=decision)
    prefect.field("Approved By").fill("Pomona")
    prefect.field("Note").fill("bitten into twelve")
    shot(f"{decision}-form")
    prefect.answer()
    prefect.wait_for_state("Completed")

    assert said.startswith("Do these apples taste ripe? Evaluation ")
    assert "auc 0.9" in said
    approved = decision == "approve"
    lines = prefect.log_lines(until="Finished in state Completed('run:")
    assert [line for line in lines if "a crate to cider press" in line and "ship" in line] == (
        [lines[-3]] if approved else []
    )
    states = prefect.task_states(6)
    shot(f"{decision}-tasks")
    assert states["ship"] == ("Completed" if approved else "Skipped")
