"""Votes of rules are reused until a rule's code, or what it reads, is another."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from headrace.settings import using_settings

FLOW = '''
from typing import Annotated, Any, Protocol

from headrace import Col, Report, Schema, Table, flow, operator
from headrace.labels.schema import LabelSchema
from operators.label_by_rules import LabelingRule, label_by_rules, labeling_rule

{head}


class Note(Schema, Protocol):
    note: Annotated[str, Col(role="entity")]
    text: str


@operator()
def notes() -> Table[Note]:
    """Read notes."""
    return Table[Note].of({{"note": ["1", "2"], "text": ["goal", "rate"]}})


{rule}


@flow
def say() -> Report:
    """Let the rule vote."""
    return label_by_rules(notes(), rules=[rule], schema=LabelSchema(choices=("a", "b")))[1]
'''
DECORATED = """
@labeling_rule(choices=("a",))
def rule(row):
    return "a" if "{word}" in row["text"] else None
"""
LAMBDA = 'rule = LabelingRule(name="rule", fn=lambda row: "a" if "{word}" in row["text"] else None)'
CLOSURE = """
def mentions(word):
    def fn(row):
        return "a" if word in row["text"] else None
    return LabelingRule(name="rule", fn=fn)


rule = mentions("{word}")
"""
CONSTANT = """
WORDS = ["{word}"]


@labeling_rule
def rule(row):
    return "a" if any(word in row["text"] for word in WORDS) else None
"""

Write = Callable[..., ModuleType]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a function that writes the flow anew and imports it."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(rule: str, *, head: str = "") -> ModuleType:
        (folder / "rules_flow.py").write_text(FLOW.format(head=head, rule=rule))
        sys.modules.pop("rules_flow", None)
        importlib.invalidate_caches()
        return importlib.import_module("rules_flow")

    with using_settings(home=tmp_path / "home", roots=[folder]):
        yield write
    sys.modules.pop("rules_flow", None)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(DECORATED, id="decorated"),
        pytest.param(LAMBDA, id="lambda"),
        pytest.param(CLOSURE, id="closure"),
        pytest.param(CONSTANT, id="constant of its module"),
    ],
)
def test_votes_are_reused_until_the_rule_changes(written: Write, rule: str) -> None:
    first = written(rule.format(word="goal")).say.run()
    again = written(rule.format(word="goal") + "\n# a comment\n").say.run()
    changed = written(rule.format(word="rate")).say.run()

    states = [run.outcomes["label_by_rules"].state for run in (first, again, changed)]
    assert states == ["executed", "cached", "executed"]
    assert changed.outcomes["notes"].state == "cached"
    assert "changed" in changed.outcomes["label_by_rules"].message


def test_a_rule_that_nobody_can_see_through_is_not_reused_and_the_plan_says_why(
    written: Write,
) -> None:
    opaque = """
LOCK = threading.Lock()


@labeling_rule
def rule(row):
    with LOCK:
        return None
"""

    flow = written(opaque, head="import threading").say
    flow.run()
    second = flow.run()

    assert second.outcomes["label_by_rules"].state == "executed"
    assert "LOCK" in second.outcomes["label_by_rules"].message


def test_the_record_of_a_run_says_which_rules_voted(written: Write) -> None:
    from headrace.execution import Session

    run = written(DECORATED.format(word="goal")).say.run()

    session = Session.of_settings()
    (record,) = [
        each for each in session.lineage.invocations(run.id) if each.node == "label_by_rules"
    ]
    (rule,) = record.parameters["rules"]
    assert rule == {
        "name": "rule",
        "fn": "rules_flow.rule.fn",
        "choices": ["a"],
        "columns": None,
    }
