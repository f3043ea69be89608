"""When a flow starts by itself: what can be written, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Cron, Every, Flow, Report, When, flow, operator
from headrace.errors import DefinitionError, ParameterError

_CRON = '  Fix: Write minute, hour, day, month and day of the week, as in Cron("0 3 * * *").'


@operator()
def brew(*, litres: int) -> Report:
    """Brew some tea."""
    return Report.of({"litres": litres})


def tea(*, litres: int = 2, kind: Literal["green", "black"] = "green") -> Report:
    """Make tea."""
    return brew(litres=litres)


def made(**options: Any) -> Flow[..., Any]:
    return flow(**options)(tea)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        pytest.param("0 3 * *", "it has 4 fields, not 5", id="too few fields"),
        pytest.param("0 25 * * *", "the hour is '25', not 0 to 23", id="too late an hour"),
        pytest.param("0 3 * * fry", "'fry' is no day of the week", id="no such day"),
        pytest.param("@daily", "it has 1 fields, not 5", id="a nickname"),
        pytest.param("*/0 * * * *", "the minute '*/0' has a step of 0", id="no step at all"),
        pytest.param("0 20-4 * * *", "the hour '20-4' runs backwards", id="backwards"),
        pytest.param("0 0 30 2 *", "none of these months has a day 30", id="a day that never is"),
        pytest.param("0 3 L * *", "'l' is no day of the month", id="a letter of other crons"),
    ],
)
def test_a_cron_expression_that_cannot_be_read_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ParameterError) as refused:
        Cron(expression)

    assert str(refused.value) == (
        f"The cron expression '{expression}' cannot be read: {problem}.\n{_CRON}"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: Cron("0 3 * * *", timezone="Europe/Berln"),
            "Cron(...) has the time zone 'Europe/Berln', which there is not. Did you mean "
            "'Europe/Berlin', 'Europe/Belfast' or 'Europe/Helsinki'?\n"
            '  Fix: Use a name such as timezone="America/New_York" or "UTC".',
            id="no such zone",
        ),
        pytest.param(
            lambda: Every(hours=-6),
            "Every(...) has an interval of -21600 seconds; the shortest is 1.\n"
            "  Fix: Give a longer one, as in Every(hours=6).",
            id="a negative interval",
        ),
        pytest.param(
            lambda: Every(days=1, anchor=datetime(2013, 1, 1, 6)),
            "Every(...) has the anchor 2013-01-01T06:00:00, a time without a zone.\n"
            "  Fix: Say the zone, as in datetime(2013, 1, 1, 6, tzinfo=UTC).",
            id="an anchor nowhere",
        ),
        pytest.param(
            lambda: When("model promoted"),
            "When(...) waits for the event 'model promoted', which is no name of one.\n"
            '  Fix: Write words with dots between, as in When("headrace.model.promoted").',
            id="no event",
        ),
        pytest.param(
            lambda: When("shop.closed", resource="*.berlin"),
            "When('shop.closed') has the resource '*.berlin'; a '*' may only end it, and it may "
            "not be empty.\n"
            '  Fix: Write it as in resource="headrace.model.*", or leave it out for all.',
            id="a star in front",
        ),
    ],
)
def test_what_cannot_start_anything_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ParameterError) as refused:
        make()

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (Cron("5 14 * * *", timezone="Europe/Berlin"), "every day at 14:05 Europe/Berlin"),
        (Cron("0 3 * * mon-fri"), "cron '0 3 * * mon-fri' UTC"),
        (Every(days=1), "every day"),
        (Every(hours=6, minutes=30), "every 6 hours and 30 minutes"),
        (
            Every(weeks=1, anchor=datetime(2013, 1, 5, 6, tzinfo=UTC)),
            "every week, counted from 2013-01-05 06:00 UTC",
        ),
        (When("shop.closed", resource="shop.*"), "when shop.closed of shop.*"),
        (When("shop.*"), "when shop.*"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_start_is_told_in_words(start: object, words: str) -> None:
    assert str(start) == words


def test_hours_are_counted_from_a_monday_midnight_in_the_zone() -> None:
    every = Every(hours=6, timezone="America/New_York")

    assert every.interval == timedelta(hours=6)
    assert every.first.isoformat() == "2001-01-01T00:00:00-05:00"
    assert every.first.strftime("%A") == "Monday"


@pytest.mark.parametrize(
    ("event", "resource", "met"),
    [
        ("shop.closed", "shop.berlin", True),
        ("shop.closed", "school.berlin", False),
        ("shop.opened", "shop.berlin", False),
    ],
)
def test_a_trigger_is_met_by_its_event_at_its_resource(
    event: str, resource: str, met: bool
) -> None:
    assert When("shop.closed", resource="shop.*").is_met_by(event, resource) is met


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"schedules": [Every(days=1, parameters={"liters": 3})]},
            "Flow 'tea' cannot start: there is no parameter 'liters'. Did you mean 'litres'?\n"
            "It is to start every day.\n"
            "  Fix: Correct `parameters={...}` of Every(...) in `@flow(schedules=[...])`.",
            id="a misspelt name",
        ),
        pytest.param(
            {"schedules": [Cron("0 3 * * *", parameters={"litres": "many"})]},
            "Flow 'tea' cannot start: parameter 'litres' is 'many': input should be a valid "
            "integer, unable to parse string as an integer.\n"
            "It is to start every day at 03:00 UTC.\n"
            "  Fix: Correct `parameters={...}` of Cron(...) in `@flow(schedules=[...])`.",
            id="a wrong value",
        ),
        pytest.param(
            {"schedules": [Every(days=1, parameters={"litres": "{{ event.payload.n }}"})]},
            "Flow 'tea' cannot start: parameter 'litres' is '{{ event.payload.n }}': input should "
            "be a valid integer, unable to parse string as an integer.\n"
            "It is to start every day.\n"
            "  Fix: Correct `parameters={...}` of Every(...) in `@flow(schedules=[...])`.",
            id="a template where no event is",
        ),
        pytest.param(
            {"triggers": [When("a.b", parameters={"litre": "{{ event.payload.n }}"})]},
            "Flow 'tea' cannot start: there is no parameter 'litre'. Did you mean 'litres'?\n"
            "It is to start when a.b.\n"
            "  Fix: Correct `parameters={...}` of When(...) in `@flow(triggers=[...])`.",
            id="a template for a misspelt name",
        ),
    ],
)
def test_parameters_that_the_flow_does_not_take_are_refused(
    options: dict[str, Any], message: str
) -> None:
    scheduled = made(**options)

    with pytest.raises(ParameterError) as refused:
        scheduled.check_starts()

    assert str(refused.value) == message


def test_templates_stand_for_values_of_any_type() -> None:
    late = "{{ event.payload.n }}"

    made(triggers=[When("a.b", parameters={"litres": late, "kind": late})]).check_starts()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"schedules": Every(days=1)},
            "Flow 'tea' has the schedules Every(weeks=0, days=1, hours=0, minutes=0, seconds=0, "
            "anchor=None, timezone='UTC', parameters={}), not a list.\n"
            "  Fix: Write `@flow(schedules=[Every(...)])`.",
            id="a schedule without a list",
        ),
        pytest.param(
            {"triggers": ["a.b"]},
            "Flow 'tea' has 'a.b' among its triggers.\n"
            "  Fix: Write them as in `@flow(triggers=[When('headrace.model.promoted')])`.",
            id="a text for a trigger",
        ),
        pytest.param(
            {"at_once": 0},
            "Flow 'tea' may have 0 runs at once.\n  Fix: Allow at least one: `@flow(at_once=1)`.",
            id="never",
        ),
    ],
)
def test_a_flow_is_given_lists_of_schedules_and_triggers(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        made(**options)

    assert str(refused.value) == message


def _field(lowest: int, highest: int, words: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    stepped = st.tuples(st.one_of(span, st.just("*")), st.integers(1, 9)).map(
        lambda both: f"{both[0]}/{both[1]}"
    )
    part = st.one_of(number.map(str), span, stepped, *([st.sampled_from(words)] if words else []))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


@given(
    st.tuples(
        _field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12, ("jan", "DEC")),
        _field(0, 6, ("mon", "Sun")),
    ).map(" ".join)
)  # fmt: skip
@settings(deadline=None)  # the first example imports Prefect
def test_prefect_finds_a_time_for_every_cron_expression_that_is_taken(expression: str) -> None:
    from prefect.server.schemas.schedules import CronSchedule

    schedule = CronSchedule(cron=Cron(expression).expression, timezone="UTC")

    assert list(schedule._get_dates_generator(n=1, start=datetime(2013, 1, 1, tzinfo=UTC)))
