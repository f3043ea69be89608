"""What the OpenAPI document of an endpoint allows, and what it forbids, thousandfold."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from tests.serving.lane.conftest import RunningLane

# what the document says is answered is what is answered, whatever was sent
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
CASES = 150


@pytest.fixture(scope="module")
def schema(endpoint: RunningLane) -> Any:
    return schemathesis.openapi.from_dict(endpoint.ask("/openapi.json").document)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_fails_the_lane_and_every_answer_is_as_documented(
    mode: GenerationMode, schema: Any, endpoint: RunningLane
) -> None:
    statuses: Counter[int] = Counter()
    items_refused: Counter[str] = Counter()  # in the answers to batches
    refusals = dict(endpoint.replica._app.meters.refusals)  # type: ignore[union-attr]

    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # a path without parameters and body cannot be asked wrongly

        @settings(
            max_examples=CASES,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            response = case.call(base_url=endpoint.url)
            case.validate_response(response, checks=CHECKS)
            statuses[response.status_code] += 1
            if response.status_code == 200:  # of a batch, each item is refused by itself
                told = response.json().get("decisions", ())
                items_refused.update(each["error"]["code"] for each in told if "error" in each)
            if response.status_code >= 400:
                assert response.json()["error"]["remedy"]

        ask()

    counted = endpoint.replica._app.meters.refusals  # type: ignore[union-attr]
    refused = sum(count for status, count in statuses.items() if status >= 400)
    assert statuses.keys() & {200, 422}
    refused += items_refused.total()
    assert sum(counted.values()) - sum(refusals.values()) == refused, "each refusal is counted"
    assert endpoint.decide().status == 200
