"""A rule is typed data; what is wrong with one is said before the experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import ParameterError
from serving.rule import Rule, read_rule

YAML = """\
name: delay-v1
metric: log_loss
label_window_hours: 48
timezone: America/New_York
min_blocks: 21
"""


def _delay(**fields: object) -> Rule:
    given: dict[str, object] = {"name": "delay-v1", "metric": "log_loss", "label_window_hours": 48}
    return Rule(**(given | fields))  # type: ignore[arg-type]


def test_a_rule_is_the_same_from_python_from_text_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "delay.yaml"
    file.write_text(YAML)

    from_python = _delay(timezone="America/New_York", min_blocks=21)

    assert read_rule(YAML) == from_python
    assert read_rule(file) == from_python
    assert read_rule(str(file)).hash == from_python.hash
    assert Rule(**from_python.document()) == from_python


def test_a_number_may_be_written_with_an_exponent() -> None:
    assert read_rule(YAML + "alpha: 1e-3\n").alpha == 0.001
    assert read_rule(YAML + "alpha: 1.0e-3\n").alpha == 0.001


def test_an_alias_that_leads_back_to_itself_is_refused() -> None:
    with pytest.raises(ParameterError, match="'guardrails"):
        read_rule(YAML + "guardrails: &all [*all]\n")


def test_the_hash_knows_every_field_and_no_spelling() -> None:
    rule = _delay()

    assert _delay(label_window_hours=48.0, min_effect=0).hash == rule.hash
    assert _delay(alpha=0.05, clip=None).hash == rule.hash
    changed = {"alpha": 0.04, "clip": 4.6, "min_blocks": 22, "block": "hour", "name": "delay-v2"}
    hashes = {_delay(**{field: value}).hash for field, value in changed.items()}
    assert len(hashes | {rule.hash}) == len(changed) + 1


def test_a_copy_with_another_field_is_checked_and_has_a_hash_of_its_own() -> None:
    rule = _delay()
    stricter = rule.model_copy(update={"alpha": 0.01})

    assert stricter == _delay(alpha=0.01)
    assert stricter.hash == _delay(alpha=0.01).hash != rule.hash
    with pytest.raises(ParameterError, match="'min_blocks' is 3"):
        rule.model_copy(update={"min_blocks": 3})


def test_a_rule_does_not_change() -> None:
    rule = _delay()

    with pytest.raises(Exception, match="frozen"):
        rule.alpha = 0.2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("metric", "clip", "largest"),
    [
        pytest.param("log_loss", None, 13.815510557964274, id="a probability of one in a million"),
        pytest.param("log_loss", 4.6, 4.6, id="as declared"),
        pytest.param("mse", None, None, id="errors have no natural bound"),
    ],
)
def test_the_largest_loss_is_declared_beforehand(metric, clip, largest) -> None:
    assert _delay(metric=metric, clip=clip).largest_loss == largest


@pytest.mark.parametrize(
    ("field", "value", "said", "remedy"),
    [
        pytest.param(
            "alpha",
            0.7,
            "field 'alpha' is 0.7 (float); expected a probability from 0.0001 to 0.2.",
            "Set 'alpha' to a probability from 0.0001 to 0.2.",
            id="out of range",
        ),
        pytest.param(
            "min_blocks",
            5,
            "field 'min_blocks' is 5 (int); expected a whole number from 20 to 10000.",
            "Set 'min_blocks' to a whole number from 20 to 10000.",
            id="fewer blocks than the theory bears",
        ),
        pytest.param(
            "alpha",
            "0.05",
            "field 'alpha' is '0.05' (str); expected a probability from 0.0001 to 0.2.",
            "Set 'alpha' to a probability from 0.0001 to 0.2.",
            id="text is no number",
        ),
        pytest.param(
            "min_effect",
            float("nan"),
            "field 'min_effect' is nan (float); expected a number of at least 0.",
            "Set 'min_effect' to a number of at least 0.",
            id="nan",
        ),
        pytest.param(
            "min_coverage",
            True,
            "field 'min_coverage' is True (bool); expected a share from 0 to 1.",
            "Set 'min_coverage' to a share from 0 to 1.",
            id="true is no share",
        ),
        pytest.param(
            "timezone",
            "Mars/Olympus",
            "field 'timezone' is 'Mars/Olympus' (str); expected the IANA name of a time zone, "
            "such as 'Europe/Paris'.",
            "Set 'timezone' to the IANA name of a time zone, such as 'Europe/Paris'.",
            id="no zone",
        ),
        pytest.param(
            "timezone",
            "../../etc/passwd",
            "field 'timezone' is '../../etc/passwd' (str); expected the IANA name of a time zone, "
            "such as 'Europe/Paris'.",
            "Set 'timezone' to the IANA name of a time zone, such as 'Europe/Paris'.",
            id="a path is no zone",
        ),
        pytest.param(
            "metric",
            "logloss",
            "field 'metric' is 'logloss' (str); expected one of 'log_loss', 'brier', 'mae', 'mse', "
            "'pinball', 'auc', 'ndcg', 'outcome'. Did you mean 'log_loss'?",
            "Set 'metric' to one of 'log_loss', 'brier', 'mae', 'mse', 'pinball', 'auc', 'ndcg', "
            "'outcome'.",
            id="no metric",
        ),
        pytest.param(
            "min_block",
            30,
            "there is no field 'min_block' (it is 30). Did you mean 'min_blocks', 'max_blocks' or "
            "'block'?",
            "Remove or rename the field.",
            id="unknown",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_expected(
    field, value, said, remedy
) -> None:
    with pytest.raises(ParameterError) as caught:
        _delay(**{field: value})

    assert str(caught.value) == f"The rule 'delay-v1' is wrong: {said}\n  Fix: {remedy}"


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        Rule(metric="log_loss", clip=-1.0, alfa=0.05)  # type: ignore[call-arg]

    assert str(caught.value) == (
        "The rule is wrong: \n"
        "  - field 'name' is missing; expected a text of 1 to 100 characters.\n"
        "  - field 'label_window_hours' is missing; expected a number of hours from 0 to 8760.\n"
        "  - field 'clip' is -1.0 (float); expected a number above 0, or null.\n"
        "  - there is no field 'alfa' (it is 0.05). Did you mean 'alpha'?\n"
        "  Fix: Set 'name' to a text of 1 to 100 characters."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "name: a\nmetric: log_loss\nname: b\n",
            "The rule has the field 'name' twice, in lines 1 and 3.\n  Fix: Keep one of them.",
            id="a field twice",
        ),
        pytest.param(
            "name: a\nramp:\n  steps: [0.1, 1]\nguardrails:\n  - {metric: latency, max_ms: 5, "
            "max_ms: 9}\n",
            "The rule has the field 'guardrails[0].max_ms' twice, in lines 5 and 5.\n"
            "  Fix: Keep one of them.",
            id="a field of a part twice",
        ),
        pytest.param(
            "name: [a\n",
            "The rule is no YAML: expected ',' or ']', but got '<stream end>' in line 2.\n"
            "  Fix: Write one field a line, as in `alpha: 0.05`.",
            id="broken",
        ),
        pytest.param(
            "- name: a\n",
            "The rule is no mapping of fields, got list.\n"
            "  Fix: Write one field a line, as in `alpha: 0.05`.",
            id="a list",
        ),
        pytest.param(
            "name: !!python/object/apply:os.getcwd []\n",
            "The rule is no YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.getcwd' in line 1.\n"
            "  Fix: Write one field a line, as in `alpha: 0.05`.",
            id="code",
        ),
    ],
)
def test_text_that_is_no_rule_is_refused(text, message) -> None:
    with pytest.raises(ParameterError) as caught:
        read_rule(text)

    assert str(caught.value) == message


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        read_rule(tmp_path / "none.yaml")

    assert str(caught.value) == (
        f"The rule '{tmp_path / 'none.yaml'}' cannot be read: No such file or directory.\n"
        "  Fix: Give the path of a YAML file with a rule."
    )
