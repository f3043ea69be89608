"""What may be answered is said once, and every answer is kept in one written form."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.errors import DataError
from headrace.labels.schema import LabelSchema

TOPICS = ("business", "politics", "sport")
SINGLE = LabelSchema(choices=TOPICS)
MULTI = LabelSchema(kind="multi", choices=TOPICS)
RANKING = LabelSchema(kind="ranking", choices=TOPICS)
NUMBER = LabelSchema(kind="number", low=0, high=10, unit="kg")
SPAN = LabelSchema(kind="span", choices=("person", "place"))


@pytest.mark.parametrize(
    ("schema", "answer", "written", "value"),
    [
        (SINGLE, "sport", "sport", "sport"),
        (MULTI, ["sport", "business"], '["business","sport"]', ["business", "sport"]),
        (MULTI, [], "[]", []),
        (RANKING, ["sport", "business", "politics"], '["sport","business","politics"]', None),
        (NUMBER, 3, "3.0", 3.0),
        (NUMBER, "2.50", "2.5", 2.5),
        (NUMBER, -0.0, "0.0", 0.0),
        (
            SPAN,
            [{"start": 9, "end": 12, "label": "place"}, {"start": 0, "end": 4, "label": "person"}],
            '[{"end":4,"label":"person","start":0},{"end":12,"label":"place","start":9}]',
            None,
        ),
    ],
)
def test_an_answer_is_kept_in_one_written_form(
    schema: LabelSchema, answer: Any, written: str, value: Any
) -> None:
    read = schema.read(answer)

    assert read == written
    assert value is None or schema.value(read) == value


@given(
    st.one_of(
        st.tuples(st.just(SINGLE), st.sampled_from(TOPICS)),
        st.tuples(st.just(MULTI), st.lists(st.sampled_from(TOPICS), unique=True)),
        st.tuples(st.just(RANKING), st.permutations(TOPICS)),
        st.tuples(st.just(NUMBER), st.floats(0, 10)),
        st.tuples(
            st.just(SPAN),
            st.lists(
                st.builds(
                    lambda start, size, label: {
                        "start": start,
                        "end": start + size,
                        "label": label,
                    },
                    st.integers(0, 50),
                    st.integers(1, 9),
                    st.sampled_from(("person", "place")),
                )
            ),
        ),
    )
)
def test_what_is_written_reads_as_itself(case: tuple[LabelSchema, Any]) -> None:
    schema, answer = case

    written = schema.read(answer)

    assert schema.read(written) == written
    assert schema.read(schema.value(written)) == written


@pytest.mark.parametrize(
    ("schema", "answer", "said"),
    [
        (
            SINGLE,
            "sports",
            "The answer 'sports' is none of the choices. Did you mean 'sport'?\n"
            "  Fix: Answer with one of: business, politics, sport.",
        ),
        (
            SINGLE,
            None,
            "The answer None is none of the choices.\n"
            "  Fix: Answer with one of: business, politics, sport.",
        ),
        (
            MULTI,
            "sport",
            "The answer 'sport' is no answer of the kind 'multi'.\n"
            "  Fix: Answer with a list of some of: business, politics, sport.",
        ),
        (
            MULTI,
            ["sport", "sport"],
            "The answer ['sport', 'sport'] has 'sport' twice.\n"
            "  Fix: Answer with a list of some of: business, politics, sport.",
        ),
        (
            MULTI,
            {"sport": True},
            "The answer {'sport': True} is no list of choices, as the kind 'multi' takes.\n"
            "  Fix: Answer with a list of some of: business, politics, sport.",
        ),
        (
            RANKING,
            ["sport", "politics"],
            "The answer ['sport', 'politics'] leaves out 'business'; a ranking has every choice.\n"
            "  Fix: Answer with a list of all of: business, politics, sport, best first.",
        ),
        (
            NUMBER,
            11,
            "The answer 11 is above the most, 10.\n"
            "  Fix: Answer with a number of at least 0 and of at most 10.",
        ),
        (
            NUMBER,
            -1,
            "The answer -1 is below the least, 0.\n"
            "  Fix: Answer with a number of at least 0 and of at most 10.",
        ),
        (
            NUMBER,
            True,
            "The answer True is no number.\n"
            "  Fix: Answer with a number of at least 0 and of at most 10.",
        ),
        (
            NUMBER,
            "nan",
            "The answer 'nan' is no number.\n"
            "  Fix: Answer with a number of at least 0 and of at most 10.",
        ),
        (
            NUMBER,
            "1_0",
            "The answer '1_0' is no number.\n"
            "  Fix: Answer with a number of at least 0 and of at most 10.",
        ),
        (
            SPAN,
            [{"start": 4, "end": 4, "label": "place"}],
            "The answer {'start': 4, 'end': 4, 'label': 'place'} does not end after its start.\n"
            '  Fix: Answer with a list such as [{"start": 0, "end": 4, "label": "person"}].',
        ),
        (
            SPAN,
            [{"start": 4, "label": "place"}],
            "The answer {'start': 4, 'label': 'place'} is no span: it needs 'start', 'end' and "
            "'label'.\n"
            '  Fix: Answer with a list such as [{"start": 0, "end": 4, "label": "person"}].',
        ),
    ],
)
def test_what_is_no_answer_is_refused_with_what_would_be(
    schema: LabelSchema, answer: Any, said: str
) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        schema.read(answer)


def test_a_text_that_is_nested_beyond_all_measure_is_no_answer() -> None:
    with pytest.raises(DataError, match="is no answer of the kind 'multi'"):
        MULTI.read("[" * 100_000)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"choices": ["one"]}, "A schema of the kind 'single' needs at least 2 choices, not 1"),
        ({"choices": ["a", "b", "a"]}, "The choice 'a' is there twice"),
        ({"choices": ["a", " b"]}, "The choice ' b' begins or ends with a blank"),
        ({"kind": "number", "choices": ["a", "b"]}, "A number has no choices"),
        ({"kind": "number", "low": 2, "high": 1}, "The least is 2, which is not below the most, 1"),
        (
            {"choices": ["a", "b"], "unit": "kg"},
            "Bounds and a unit are for the kind 'number', not 'single'",
        ),
    ],
)
def test_a_schema_that_nobody_could_answer_is_refused(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        LabelSchema(**declared)

    assert [error["msg"] for error in refused.value.errors()] == [said]


def test_any_change_makes_another_version_and_the_same_words_the_same_one() -> None:
    again = LabelSchema.model_validate(SINGLE.model_dump(mode="json"))

    others = {
        SINGLE.model_copy(update=change).version
        for change in (
            {"choices": TOPICS[::-1]},
            {"guideline": "Read it whole."},
            {"kind": "multi"},
        )
    }

    assert again.version == SINGLE.version
    assert len(others | {SINGLE.version}) == 4


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_no_database_keeps_is_refused_where_it_is_declared(text: str) -> None:
    said = f"The text {text!r} has a character that cannot be kept"

    for changes in ({"choices": ["x", text]}, {"guideline": text}):
        with pytest.raises(ValidationError) as refused:
            LabelSchema.model_validate({"choices": ["x", "y"]} | changes)

        assert [error["msg"] for error in refused.value.errors()] == [said]


@pytest.mark.parametrize(
    ("schema", "answer", "said"),
    [
        (SINGLE, "x" * 300, f"The answer '{'x' * 199}… is none of the choices."),
        (NUMBER, "1e400", "The answer '1e400' is no number."),
        (NUMBER, "9" * 400, f"The answer '{'9' * 199}… is no number."),
        (
            SPAN,
            [{"start": 0, "end": 2**40, "label": "place"}],
            "The answer {'start': 0, 'end': 1099511627776, 'label': 'place'} ends beyond any text.",
        ),
        pytest.param(
            NUMBER, 10**5000, "The answer a value of the type int is no number.", id="digits"
        ),
        pytest.param(
            SINGLE,
            10**5000,
            "The answer a value of the type int is none of the choices.",
            id="digits for a choice",
        ),
    ],
)
def test_what_is_out_of_all_proportion_is_refused_in_few_words(
    schema: LabelSchema, answer: Any, said: str
) -> None:
    with pytest.raises(DataError) as refused:
        schema.read(answer)

    assert refused.value.problem == said
