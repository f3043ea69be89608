"""A rule that does not fit the endpoint is refused in the plan, or when it is deployed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace import Report, flow, operator
from headrace.errors import DefinitionError, ServiceError
from headrace.settings import using_settings
from operators.bundle import read_card
from serving._rule_at_endpoint import require_fitting, served_problems
from serving.deploy import deploy
from serving.endpoints import Endpoints
from serving.outcome_kinds import OutcomeKind
from serving.rule import Rule
from serving.split import Split

ONE = "flight_delay/1"
PAIRED: dict[str, Any] = {"name": "d", "metric": "log_loss", "label_window_hours": 24}
RANDOMISED = PAIRED | {
    "metric": "outcome", "direction": "higher", "design": "randomised", "unit": ["tail"],
}  # fmt: skip
RAMP = {"steps": [0.05, 1], "begins": "at_once", "unit": ["tail"]}
SLICES = {"metric": "slice_gap", "max_drop": 0.1}


@operator()
def proposed() -> Report:
    """Propose the first version."""
    return Report.of({"name": "flight_delay", "version": "1"})


@pytest.fixture
def home(tmp_path: Path, bundles: dict[str, Path]) -> Iterator[Path]:
    """A home in which a version is registered, and nothing is up."""
    folder = tmp_path / "home"
    shutil.copytree(bundles[ONE], folder / "serving" / "models" / "one")
    version = folder / "serving" / "versions" / f"{ONE}.json"
    version.parent.mkdir(parents=True, exist_ok=True)
    version.write_text(json.dumps({"digest": "one"}))
    with using_settings(home=folder, actor="ada"):
        yield folder


def deployed(views: Any, rule: dict[str, Any], **more: Any) -> None:
    report = Report.of({"name": "flight_delay", "version": "1"})
    deploy(report, [], endpoint="late", views=views, rule=Rule(**rule), **more)


def planned(views: Any, rule: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    said = Rule(**rule)

    @flow
    def delays() -> Report:
        """Serve what tells delays."""
        return deploy(proposed(), [], endpoint="late", views=views, rule=said, **more)

    found = [p for p in delays.plan().problems if p.rule == "endpoint rule"]
    return [(problem.problem, problem.remedy) for problem in found]


PLANNED = [
    pytest.param(
        PAIRED | {"outcome": "lande"},
        {"outcomes": [OutcomeKind(name="landed", kind="binary")]},
        "it goes by the outcome 'lande', which the endpoint does not take. Did you mean 'landed'?",
        "Name one of them, or declare it: outcomes=[OutcomeKind(name=...)].",
        id="an outcome that nobody tells",
    ),
    pytest.param(
        PAIRED | {"outcome": "minutes", "missing_outcomes": "zero"},
        {"outcomes": [OutcomeKind(name="minutes", least=1.0)]},
        "it takes what is missing for 0, and the outcome 'minutes' must be a number from 1.",
        "Set 'missing_outcomes' to 'exclude' or 'hold'.",
        id="zero is no value",
    ),
    pytest.param(
        RANDOMISED | {"min_effect": 0.01, "outcome": "profit", "ramp": RAMP},
        {"outcomes": [OutcomeKind(name="profit")]},
        "its effect is 'relative', and the outcome 'profit' may be below 0, of which a share says "
        "nothing.",
        "Set 'effect' to 'absolute', or declare what it is at least: OutcomeKind(name='profit', "
        "least=0.0).",
        id="a share of what may be negative",
    ),
    pytest.param(
        PAIRED | {"ramp": {"steps": [0.05, 1]}},
        {"traffic": Split(design="ab", share=0.2)},
        "it ramps traffic by itself, and `traffic` deals it by 'ab'.",
        "Leave `traffic` out: the ramp begins with 0.05.",
        id="two who deal",
    ),
    pytest.param(
        RANDOMISED,
        {"traffic": Split(design="thompson", unit=["tail"])},
        "its design is 'randomised', and 'thompson' deals traffic by the outcomes, so that means "
        "of the two arms are biased.",
        "Deal traffic by 'ab', or let people decide: rule=None.",
        id="adaptive shares",
    ),
    pytest.param(
        RANDOMISED,
        {"traffic": Split(design="ab", share=0.2)},
        "it compares by 'tail', and `traffic` deals by single decisions.",
        "Give both the same `unit`.",
        id="two sorts of units",
    ),
    pytest.param(
        RANDOMISED | {"unit": ["landings"], "ramp": RAMP | {"unit": ["landings"]}},
        {},
        "its unit 'landings' is a feature of a view, and requests name units in 'entity'. Known: "
        "'origin', 'tail'.",
        "Name columns that are keys of the views.",
        id="a feature is no unit",
    ),
]


@pytest.mark.parametrize(("rule", "more", "problem", "remedy"), PLANNED)
def test_what_can_be_told_without_models_is_refused_in_the_plan(
    views, rule, more, problem, remedy
) -> None:
    assert planned(views, rule, **more) == [
        (f"'deploy': The rule 'd' does not fit: {problem}", remedy)
    ]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("rule", "more", "problem", "remedy"), PLANNED)
def test_and_by_the_call(views, rule, more, problem, remedy) -> None:
    with pytest.raises(DefinitionError) as refused:
        deployed(views, rule, **more)

    assert str(refused.value) == (
        f"The rule 'd' does not fit the endpoint 'late': {problem}\n  Fix: {remedy}"
    )
    assert Endpoints().names() == []


@pytest.mark.parametrize(
    ("rule", "problem", "remedy"),
    [
        pytest.param(
            PAIRED | {"metric": "mae"},
            "it compares by 'mae', which is of estimates, and flight_delay/1 is a model for "
            "classification.",
            "Compare by 'log_loss', 'brier' or 'auc'.",
            id="a metric of estimates",
        ),
        pytest.param(
            RANDOMISED | {"unit": ["tial"], "ramp": RAMP | {"unit": ["tial"]}},
            "its unit 'tial' is no column of the entity. Did you mean 'tail'?",
            "Name a column that the endpoint has.",
            id="a unit that no request has",
        ),
        pytest.param(
            PAIRED | {"ramp": {"steps": [0.1, 1], "unit": ["customer"]}},
            "its unit 'customer' is no column of the entity. Known: 'carrier', 'distance', "
            "'origin', 'tail'.",
            "Name a column that the endpoint has.",
            id="a unit of the ramp that no request has",
        ),
        pytest.param(
            RANDOMISED | {"covariate": "winds", "ramp": RAMP},
            "its covariate 'winds' is taken by none of the models. Did you mean 'wind'?",
            "Name a column that the endpoint has.",
            id="a covariate that is not logged",
        ),
        pytest.param(
            RANDOMISED | {"covariate": "carrier", "ramp": RAMP},
            "its covariate 'carrier' is no number. Known: 'distance', 'landings', 'wind'.",
            "Name a column that the endpoint has.",
            id="a covariate that is text",
        ),
        pytest.param(
            PAIRED | {"guardrails": [SLICES | {"by": "carriers"}]},
            "it slices by 'carriers', which is no column of the entity, and no feature of the "
            "models. Did you mean 'carrier'?",
            "Name a column that the endpoint has.",
            id="slices by nothing",
        ),
        pytest.param(
            PAIRED
            | {"guardrails": [{"metric": "feature_drift", "features": ["wind", "last_delay"]}]},
            "it watches the drift of 'last_delay', which none of the models takes. Known: "
            "'carrier', 'distance', 'landings', 'wind'.",
            "Name a column that the endpoint has.",
            id="drift of what no model takes",
        ),
    ],
)
def test_a_rule_that_does_not_fit_the_models_is_refused(
    home: Path, views, rule, problem, remedy
) -> None:
    with pytest.raises(DefinitionError) as refused:
        deployed(views, rule)

    assert str(refused.value) == (
        f"The rule 'd' does not fit the endpoint 'late': {problem}\n  Fix: {remedy}"
    )
    assert Endpoints().names() == []


def test_a_rule_of_probabilities_does_not_fit_estimates(bundles, views) -> None:
    card = replace(read_card(bundles[ONE]), task="estimation")
    rule = Rule(**PAIRED | {"guardrails": [{"metric": "calibration", "max": 0.1}]})

    with pytest.raises(DefinitionError) as refused:
        require_fitting(rule, "late", served_problems(rule, cards={ONE: card}, views=views))

    assert str(refused.value) == (
        "The rule 'd' does not fit the endpoint 'late': \n"
        "  - it compares by 'log_loss', which is of probabilities, and flight_delay/1 is a model "
        "for estimation.\n"
        "  - 'calibration' is of probabilities, and flight_delay/1 is a model for estimation.\n"
        "  Fix: Compare by 'mae', 'mse' or 'pinball'."
    )


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        pytest.param(PAIRED | {"guardrails": [SLICES | {"by": "tail"}]}, {}, id="paired"),
        pytest.param(
            RANDOMISED
            | {"covariate": "wind", "ramp": RAMP, "guardrails": [SLICES | {"by": "x"}]}
            | {"guardrails": [{"metric": "feature_drift", "features": ["wind"]}]},
            {},
            id="randomised",
        ),
        pytest.param(
            RANDOMISED, {"traffic": Split(design="ab", share=0.5, unit=["tail"])}, id="dealt"
        ),
    ],
)
def test_a_rule_that_fits_is_deployed_as_far_as_anything_is_up(
    home: Path, views, rule, more
) -> None:
    with pytest.raises(ServiceError):
        deployed(views, rule, **more)


def test_an_experiment_that_nobody_deals_traffic_to_is_a_warning(views) -> None:
    said = Rule(**RANDOMISED)

    @flow
    def delays() -> Report:
        """Serve what tells delays."""
        return deploy(proposed(), [], endpoint="late", views=views, rule=said)

    plan = delays.plan()

    assert plan.problems == ()
    assert any("neither a ramp nor `traffic` lets a challenger answer" in w for w in plan.warnings)
