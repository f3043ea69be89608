"""A list is ranked by one model; what else an answer says follows from its score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from headrace.decisions import DecisionLog
from serving.traffic import Span, Traffic

RANK, DECIDE = "/v1/flight_delay/rank", "/v1/flight_delay/decide"
CONTEXT = {"entity": {"origin": "EWR"}, "features": {"distance": 719}}
ITEMS: list[dict[str, Any]] = [
    {"entity": {"tail": f"N{n}"}, "features": {"carrier": carrier, "wind": wind}}
    for n, carrier, wind in [(1, "UA", 3), (2, "AA", 14), (3, "DL", 9), (1, "UA", 3)]
]


def ranked(lane: Any, **fields: Any) -> Any:
    return lane.ask(RANK, {**CONTEXT, "items": ITEMS, **fields})


def alone(lane: Any, item: dict[str, Any]) -> dict[str, Any]:
    body = {name: {**CONTEXT[name], **item[name]} for name in CONTEXT}
    return dict(lane.ask(DECIDE, body).document)


def dealt(table: Any, to: str, share: int = 10_000, **more: Any) -> Any:
    spans = (Span(model=to, start=0, end=share),)
    traffic = Traffic(design="ab", salt="s", spans=spans, patience_ms=5_000, **more)
    return replace(table, traffic=traffic)


# --- rank ---


def test_items_are_ranked_by_their_scores_and_of_equals_the_first_comes_first(lane):
    found = ranked(lane, id="menu").document

    scores = [alone(lane, item)["answer"]["probability"] for item in ITEMS]
    expected = sorted(range(4), key=lambda place: (-scores[place], place))
    assert [item["place"] for item in found["items"]] == expected
    assert [item["rank"] for item in found["items"]] == [1, 2, 3, 4]
    assert [item["answer"]["probability"] for item in found["items"]] == [
        scores[place] for place in expected
    ]
    assert expected.index(0) + 1 == expected.index(3)
    assert [item["id"] for item in found["items"]] == [f"menu/{place}" for place in expected]
    assert (found["id"], found["model"], found["repeated"]) == ("menu", "flight_delay/1", False)


def test_all_items_are_logged_with_their_ranks_and_outcomes_can_be_told(lane, table, logged):
    best = ranked(lane, id="menu", top=1).document["items"]

    told = lane.tell({"id": best[0]["id"], "value": 1}, {"id": "menu/0", "value": 0})
    records = [logged(table(), f"menu/{place}") for place in range(4)]
    assert told.document["recorded"] == 2
    assert len(best) == 1
    assert {record["batch"] for record in records} == {"menu"}
    assert sorted(record["rank"] for record in records) == [1, 2, 3, 4]
    assert records[best[0]["place"]]["rank"] == 1
    assert records[1]["named"] == {"carrier": "AA", "distance": 719.0, "wind": 14.0, "landings": 2}


def test_a_list_of_a_known_id_gets_the_logged_ranking_whatever_it_holds(lane):
    first = ranked(lane, id="menu").document

    again = ranked(lane, id="menu", items=ITEMS[:1]).document
    other = ranked(lane).document

    assert again == first | {"repeated": True}
    assert (other["repeated"], other["id"] != "menu") == (False, True)


def test_one_model_answers_a_whole_list_even_where_units_are_dealt_one_by_one(
    start_lane, tables, tmp_path, bundles
):
    rival = replace(tables(tmp_path).champion, ref="same/3", folder=bundles["flight_delay/1"])
    table = replace(tables(tmp_path), challenger=rival, experiment="e")
    lane = start_lane(dealt(table, "same/3", share=5_000, unit=("tail",)))
    tails = [
        {"entity": {"tail": f"N{1 + n % 5}"}, "features": ITEMS[0]["features"]} for n in range(9)
    ]

    lists = [ranked(lane, id=f"list{n}", items=tails).document for n in range(10)]

    assert {each["model"] for each in lists} == {"flight_delay/1", "same/3"}
    with DecisionLog.open(table.log, writer="reader") as log:
        for each in lists:
            records = [log.decision(f"{each['id']}/{place}") for place in range(9)]
            assert {r and r["model"] for r in records} == {each["model"]}
            assert {r and r["unit"] for r in records} == {each["id"]}


def test_a_list_about_a_unit_goes_to_the_model_of_that_unit(start_lane, tables, tmp_path, bundles):
    rival = replace(tables(tmp_path).champion, ref="same/3", folder=bundles["flight_delay/1"])
    table = replace(tables(tmp_path), challenger=rival, experiment="e")
    lane = start_lane(dealt(table, "same/3", share=5_000, unit=("passenger",)))

    for passenger in range(8):
        entity = {"origin": "EWR", "passenger": passenger}
        found = ranked(lane, entity=entity).document
        single = lane.ask(DECIDE, {"entity": {"tail": "N1", **entity}, "features": {
            "carrier": "UA", "distance": 719}}).document  # fmt: skip
        assert found["model"] == single["model"]


@pytest.mark.parametrize(
    ("fields", "status", "field", "message"),
    [
        pytest.param(
            {"items": [ITEMS[0], {"features": {"carrier": "UA"}}]}, 422, "items[1].entity.tail",
            "Item 1: The field 'entity.tail' is missing: expected text or null, got nothing.",
            id="an item without its key",
        ),
        pytest.param(
            {"items": [ITEMS[0] | {"entity": {"tail": "N404"}}]}, 404, "items[0].entity.tail",
            "Item 0: There are no online features of view 'tails' for tail 'N404'.",
            id="an unknown entity",
        ),
        pytest.param(
            {"items": [{"id": "a"}]}, 422, "items[0].id",
            "The field 'items[0]' has no field 'id'. Known: 'entity', 'features'.",
            id="an id of an item",
        ),
        pytest.param(
            {"items": []}, 422, "items",
            "The field 'items' must be a list of 1 to 500 items, got none.", id="nothing",
        ),
        pytest.param(
            {"top": 0}, 422, "top",
            "The field 'top' must be a whole number from 1 to 500, got 0.", id="none of the best",
        ),
        pytest.param(
            {"id": "x" * 191}, 422, "id",
            "The field 'id' must be text of at most 190 characters, got 191 characters.",
            id="a long id",
        ),
    ],
)  # fmt: skip
def test_a_list_that_is_wrong_is_refused_whole(lane, fields, status, field, message):
    refused = ranked(lane, **{"id": "menu", **fields})

    error = refused.document["error"]
    assert (refused.status, error["field"], error["message"]) == (status, field, message)
    assert error["remedy"]
    assert lane.tell({"id": "menu/0", "value": 1}).status == 404


# --- outputs ---


def test_a_class_comes_with_its_threshold_and_is_logged_with_the_answer(lane, table, logged):
    found = lane.decide(id="UA1", outputs=["class"]).document
    again = lane.decide(id="UA1").document

    probability = found["answer"]["probability"]
    assert found["answer"] == {
        "probability": probability, "class": str(int(probability >= 0.5)), "threshold": 0.5,
    }  # fmt: skip
    assert again == found | {"repeated": True}
    assert logged(table(), "UA1")["answer"] == found["answer"]


def test_an_estimate_comes_with_an_interval_around_it(start_lane, table):
    lane = start_lane(table("minutes/1"))

    found = lane.ask(DECIDE, {
        "entity": {"origin": "EWR"}, "features": {"distance": 719}, "outputs": ["interval"],
    }).document["answer"]  # fmt: skip

    low, high = found["interval"]
    assert list(found) == ["estimate", "interval", "coverage"]
    assert (found["coverage"], low + high) == (0.9, pytest.approx(2 * found["estimate"]))
    assert 5 < high - low < 200


def test_an_output_that_the_model_has_not_is_refused_with_those_it_has(endpoint):
    refused = endpoint.decide(outputs=["class", "interval"])

    assert (refused.status, refused.document["error"]) == (
        422,
        {
            "code": "out_of_range", "field": "outputs[1]",
            "expected": "one of 'probability', 'class'", "got": "'interval' (text)",
            "message": "The endpoint 'flight_delay' has no output 'interval' (text). Known: "
            "'class', 'probability'.",
            "remedy": "ask for outputs that every model of the endpoint has, or leave them out.",
        },
    )  # fmt: skip


# --- explanations ---


def test_an_explanation_adds_up_to_the_score_and_is_the_same_for_a_repeat(lane, table, logged):
    found = lane.decide(id="UA1", explain=True).document
    again = lane.decide(id="UA1", explain=True).document

    explained = found["explanation"]
    parts = explained["contributions"]
    total = explained["base"] + sum(parts.values())
    assert (explained["method"], explained["space"]) == ("tree_shap", "log_odds")
    assert list(parts) == ["carrier", "distance", "wind", "landings"]
    assert explained["total"] == pytest.approx(total)
    assert 1 / (1 + math.exp(-total)) == pytest.approx(found["answer"]["probability"], abs=1e-5)
    assert again == found | {"repeated": True}
    assert "explanation" not in logged(table(), "UA1")


def test_a_batch_and_a_ranking_are_explained_item_by_item(lane):
    item = {"entity": {"origin": "EWR", "tail": "N1"}, "features": {"carrier": "UA", "distance": 1}}
    batch = lane.ask(
        "/v1/flight_delay/decide-batch", {"decisions": [item, item, {}],
                                          "explain": True, "outputs": ["class"]},
    ).document["decisions"]  # fmt: skip
    ranking = ranked(lane, explain=True, top=2, outputs=["class"]).document["items"]

    assert ["explanation" in each for each in batch] == [True, True, False]
    assert all("class" in each["answer"] for each in [*batch[:2], *ranking])
    for each in [batch[0], *ranking]:
        total = each["explanation"]["total"]
        assert 1 / (1 + math.exp(-total)) == pytest.approx(each["answer"]["probability"], abs=1e-5)


def test_a_decision_of_a_model_that_is_gone_is_not_explained_by_another(lane, table):
    lane.decide(id="UA1")
    lane.take(table("flight_delay/2", generation=2))

    features = {"carrier": "UA", "hour": 9}
    refused = lane.decide(id="UA1", features=features, explain=True)
    without = lane.decide(id="UA1", features=features)

    assert (refused.status, refused.document["error"]["code"]) == (409, "not_explained")
    assert refused.document["error"]["message"] == (
        "The decision was made by 'flight_delay/1' and cannot be explained here: that model is not "
        "served any more."
    )
    assert (without.status, without.document["model"]) == (200, "flight_delay/1")


def test_a_linear_model_is_explained_from_the_features_it_takes(start_lane, table):
    lane = start_lane(table("flight_delay/2"))

    found = lane.decide(features={"carrier": "HA", "hour": 9}, explain=True).document

    explained = found["explanation"]
    assert (explained["method"], explained["space"]) == ("linear", "log_odds")
    assert set(explained["contributions"]) == {"last_delay", "hour", "wind", "carrier"}
    assert 1 / (1 + math.exp(-explained["total"])) == pytest.approx(
        found["answer"]["probability"], abs=1e-5
    )


def test_more_explanations_than_fifty_in_a_request_are_refused(endpoint):
    refused = endpoint.ask(RANK, {**CONTEXT, "items": ITEMS * 13, "explain": True})

    error = refused.document["error"]
    assert (refused.status, error["field"], error["got"]) == (422, "explain", "true for 52")
