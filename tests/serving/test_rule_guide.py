"""The guide's page about rules has every field, and its YAML is rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from serving.rule import Rule, read_rule
from serving.rule_guardrails import Guardrail
from serving.rule_stages import Approval, Gate, Ramp, Watch

PAGE = (Path(__file__).parents[2] / "docs/guide/rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PARTS = {"ramp": Ramp, "approval": Approval, "watch": Watch, "gate": Gate}


def rows(heading: str) -> dict[str, str]:
    """Return the table below a heading: the names of its first column, with the rest."""
    table = PAGE.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    found = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            first, rest = line.strip("| ").split(" | ", 1)
            found |= dict.fromkeys(re.findall(r"`(\w+)`", first), rest)
    return found


def test_every_field_of_a_rule_is_in_the_table() -> None:
    assert sorted(rows("## Fields of a rule")) == sorted(Rule.model_fields)


def test_every_guardrail_is_in_the_table_with_its_fields() -> None:
    shown = rows("### Guardrails")
    kinds = {kind.model_fields["metric"].default: kind for kind in get_args(get_args(Guardrail)[0])}

    assert list(shown) == list(kinds)
    for metric, kind in kinds.items():
        missing = [name for name in kind.model_fields if f"`{name}`" not in shown[metric]]
        assert missing == ["metric"]


def test_every_stage_is_in_the_table_with_its_fields() -> None:
    shown = rows("### Stages")

    assert list(shown) == list(PARTS)
    for name, kind in PARTS.items():
        assert [field for field in kind.model_fields if f"`{field}`" not in shown[name]] == []


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_every_example_is_a_rule(text: str) -> None:
    rule = read_rule(text)

    assert rule.english().count("\n") > 8
    assert Rule(**rule.document()) == rule


def test_there_is_an_example_of_every_design_and_of_every_part() -> None:
    rules = [read_rule(text) for text in EXAMPLES]
    guardrails = {guardrail.metric for rule in rules for guardrail in rule.guardrails}

    assert {rule.design for rule in rules} == {"paired_shadow", "randomised"}
    assert {rule.test for rule in rules} == {"sequence", "group_sequential"}
    assert guardrails == set(rows("### Guardrails"))
    for part in PARTS:
        assert any(getattr(rule, part) is not None for rule in rules)
