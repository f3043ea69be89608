"""Nothing that is missing helps, a further guardrail never helps, and a trace judges the same."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.content import canonical_json
from headrace.errors import DataError
from serving._check import WORST_FIRST
from serving.judge import judge
from serving.rollout.assess import assess, replay
from serving.rollout.gathered import Gathered
from serving.rollout.ruling import Ruling
from serving.rollout.state import RolloutState, Said
from serving.rule import Rule

GUARDRAILS: list[dict[str, Any]] = [
    {"metric": "error_rate", "max": 0.01},
    {"metric": "latency", "max_ms": 50.0},
    {"metric": "calibration", "max": 0.05},
    {"metric": "slice_gap", "by": "carrier", "max_drop": 0.1},
    {"metric": "feature_drift"},
]
WRONG = [None, math.nan, math.inf, -math.inf, "0.5", True, [], {}, -1, 1e308, 10**400]
# that nobody holds, or said anything, is an answer and no missing one
PEOPLE = {"held", "said", "authors"}

rules = st.fixed_dictionaries(
    {
        "ramp": st.none()
        | st.fixed_dictionaries(
            {
                "steps": st.lists(st.integers(1, 99), min_size=1, max_size=5, unique=True).map(
                    lambda steps: [step / 100 for step in sorted(steps)] + [1]
                ),
                "hold_hours": st.sampled_from([0.0, 24.0]),
                "begins": st.sampled_from(["won", "at_once"]),
            }
        ),
        "guardrails": st.lists(st.sampled_from(GUARDRAILS[:2]), max_size=2, unique_by=str),
        "watch": st.none() | st.just({"blocks": 22}),
        "approval": st.none() | st.just({"by": ("bob",)}),
        "min_days": st.sampled_from([0.0, 25.0]),
        "min_effect": st.sampled_from([0.0, 0.01]),
        "tries": st.sampled_from(["champion", "each"]),
    }
)
states = st.fixed_dictionaries(
    {
        "share": st.sampled_from([0.0, 0.01, 0.05, 0.3, 0.99]),
        "is_watch": st.booleans(),
        "first_try": st.integers(1, 4),
        "said": st.sampled_from([("bob", True), ("bob", True), None, ("bob", False)]),
        "held": st.sampled_from([None, None, None, "inventory"]),
    }
)


# about half of them are won
gains = st.tuples(st.sampled_from([0, 5, 25, 30]), st.sampled_from([-0.02, 0.0, 0.02, 0.03]))
looks = st.tuples(rules, states, gains)


def _state(made: Any, drawn: dict[str, Any], gathered: Gathered) -> RolloutState:
    said = drawn["said"]
    word = None if said is None else Said(actor=said[0], approved=said[1], at=gathered.as_of)
    others = {"first_try": drawn["first_try"], "last_try": 4, "said": word, "held": drawn["held"]}
    if drawn["is_watch"]:
        return made.watch(**others)
    return made.traffic(drawn["share"], **others) if drawn["share"] else made.state(**others)


def _looked_at(made: Any, fields: dict[str, Any], drawn: dict[str, Any], gains: Any) -> Ruling:
    rule = made.rule(**fields)
    gathered = made.gathered(rule, made.gains(*gains))
    return assess(rule, gathered, _state(made, drawn, gathered))


def _leaves(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    else:
        return [path]
    return [path] * bool(path) + [leaf for k, v in items for leaf in _leaves(v, (*path, k))]


def _with(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def _rank(action: str) -> int:
    return WORST_FIRST.index(action)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(data=st.data(), look=looks, wrong=st.sampled_from(WRONG))
def test_evidence_that_is_missing_or_mistyped_never_advances(made, data, look, wrong):
    before = _looked_at(made, *look)
    document = before.gathered.to_json()
    path = data.draw(st.sampled_from(_leaves(document)))
    if path[0] == "scope" or not _is_doubtful(document, path, wrong):
        return

    try:
        gathered = Gathered.from_json(_with(document, path, wrong))
    except DataError:
        return
    after = assess(before.rule, gathered, before.state)

    assert _rank(after.action) <= max(_rank(before.action), _rank("hold"))
    assert after.prose()
    assert replay(json.loads(canonical_json(after.trace()))).action == after.action


@pytest.mark.parametrize("wrong", [None, math.nan, "0.5", True, [], -1], ids=str)
def test_a_promotion_needs_every_figure_to_be_one(made, wrong):
    rule = made.rule(ramp={"steps": [0.05, 1]}, guardrails=GUARDRAILS[:2])
    gathered, state = made.gathered(rule, made.gains(25)), made.traffic(0.05)
    document = gathered.to_json()
    leaves = [path for path in _leaves(document) if "blocks" not in path or path[-2] == 7]
    if wrong is None:  # there may be too few blocks for it to be known
        leaves = [path for path in leaves if "design" not in path or path[-1] == "requests"]
    advanced = []

    for path in leaves:
        try:
            doubtful = Gathered.from_json(_with(document, path, wrong))
        except DataError:  # the document itself cannot be read: nobody judges it
            continue
        if assess(rule, doubtful, state).action not in ("hold", "rollback"):
            advanced.append(path)

    assert assess(rule, gathered, state).action == "promote"
    assert len(leaves) > 40
    assert advanced == []


def _is_doubtful(document: Any, path: tuple[Any, ...], wrong: Any) -> bool:
    """Return whether the value is none that the place may have: a smaller count may be true."""
    inner = document
    for key in path:
        inner = inner[key]
    is_number = isinstance(inner, int | float) and not isinstance(inner, bool)
    return inner is not None and not (is_number and wrong in (1e308, 10**400))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), look=looks, wrong=st.sampled_from(WRONG))
def test_a_state_that_is_missing_or_mistyped_never_advances(made, data, look, wrong):
    before = _looked_at(made, *look)
    known = [f.name for f in dataclasses.fields(RolloutState)]
    name = data.draw(st.sampled_from([name for name in known if name not in PEOPLE]))
    if wrong in (10**400, 1e308, 10**9) and name in ("first_try", "last_try", "generation"):
        return

    state = dataclasses.replace(before.state, **{name: wrong})
    after = assess(before.rule, before.gathered, state)

    if name not in ("generation", "design"):
        assert _rank(after.action) <= max(_rank(before.action), _rank("hold"))
    assert after.prose()
    assert canonical_json(after.trace())


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from([f.name for f in dataclasses.fields(Gathered)]),
    wrong=st.sampled_from([*WRONG, "x", (None,), object]),
    drawn=states,
)
def test_assessing_is_total(made, name, wrong, drawn):
    rule = made.rule(guardrails=GUARDRAILS, watch={"blocks": 20}, ramp={"steps": [0.05, 1]})
    gathered = made.gathered(rule, made.gains(25))

    ruling = assess(
        rule, dataclasses.replace(gathered, **{name: wrong}), _state(made, drawn, gathered)
    )

    assert ruling.action in ("hold", "rollback")
    assert canonical_json(ruling.trace())


@settings(max_examples=40, deadline=None)
@given(
    look=looks,
    more=st.sampled_from(GUARDRAILS),
    failures=st.sampled_from([0, 25, 400]),
    known=st.booleans(),
)
def test_a_further_guardrail_never_helps(made, look, more, failures, known):
    fields, drawn, n = look
    rule = made.rule(**fields | {"guardrails": []})
    gathered = made.gathered(rule, made.gains(*n))
    state = _state(made, drawn, gathered)
    before = assess(rule, gathered, state)

    with_one = rule.model_copy(update={"guardrails": [more]})
    again = made.gathered(with_one, made.gains(*n), figures=())
    figures = (made.figures(with_one.guardrails[0], failures),) if known else ()
    after = assess(with_one, dataclasses.replace(again, figures=figures), state)

    assert _rank(after.action) <= _rank(before.action)


@settings(max_examples=80, deadline=None)
@given(look=looks, is_live=st.booleans())
def test_a_trace_is_judged_the_same_to_the_last_byte(made, look, is_live):
    fields, drawn, n = look
    rule = made.rule(**fields)
    gathered = made.gathered(rule, made.gains(*n), scope="live" if is_live else "all")
    ruling = assess(rule, gathered, _state(made, drawn, gathered))
    kept = canonical_json(ruling.trace())

    again = replay(json.loads(kept))

    assert again == ruling
    assert canonical_json(again.trace()) == kept


@settings(max_examples=50, deadline=None)
@given(data=st.data(), drawn=states)
def test_any_changed_figure_of_a_trace_is_found(made, data, drawn):
    fields = {"ramp": {"steps": [0.05, 1]}, "guardrails": GUARDRAILS[:2], "watch": {"blocks": 20}}
    trace = json.loads(canonical_json(_looked_at(made, fields, drawn, (25, 0.01)).trace()))
    leaves = [path for path in _leaves(trace) if path[0] != "rule"]
    path = data.draw(st.sampled_from(leaves))
    inner = trace
    for key in path:
        inner = inner[key]
    other = inner + 1 if isinstance(inner, int | float) else "2014-01-01T00:00:00+00:00"
    if isinstance(inner, bool):
        other = not inner

    with pytest.raises(DataError):
        replay(_with(trace, path, other))


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.integers(1, 9999), min_size=1, max_size=8, unique=True),
    begins=st.sampled_from(["won", "at_once"]),
)
def test_a_ramp_skips_no_step_never_goes_down_and_ends_with_the_promotion(made, steps, begins):
    shares = [step / 10_000 for step in sorted(steps)]
    rule = made.rule(ramp={"steps": [*shares, 1], "begins": begins})
    gathered = made.gathered(rule, made.gains(25))
    state = made.state()
    seen = []

    while (ruling := assess(rule, gathered, state)).action == "ramp":
        seen.append(ruling.share)
        state = made.traffic(ruling.share, since=gathered.as_of - timedelta(days=2))

    assert ruling.action == "promote"
    assert seen == shares


def test_a_trace_of_before_there_were_rulings_is_still_judged(made):
    rule = made.rule()
    verdict = judge(rule, made.evidence(rule, made.gains(25)))

    assert replay(verdict.trace()) == verdict


def test_something_else_is_no_trace():
    with pytest.raises(DataError) as caught:
        replay({"format": "x"})

    assert str(caught.value) == (
        "The trace has the format 'x', or no rule; expected 'headrace ruling 1' or 'headrace "
        "verdict 1'.\n  Fix: Give the document that `Ruling.trace()` or `Verdict.trace()` returned."
    )


def test_a_trace_that_says_something_else_is_found(made):
    rule = Rule(name="delay-v1", metric="log_loss", label_window_hours=48)
    trace = assess(rule, made.gathered(rule, made.gains(25, 0.0)), made.state()).trace()

    with pytest.raises(DataError) as caught:
        replay(trace | {"action": "promote"})

    assert caught.value.problem == (
        "Judging the trace again gives another action: it says 'promote', its rule and evidence "
        "say 'hold'."
    )
