from __future__ import annotations

from dataclasses import dataclass

import pytest

from features._search_lifecycle import check_replacements
from headrace.errors import DefinitionError


@dataclass(frozen=True)
class View:
    name: str
    replaced_by: str = ""


def test_a_replacement_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(DefinitionError) as error:
        check_replacements([View("old_weather", "airport_wether"), View("airport_weather")])

    assert str(error.value) == (
        "Feature view 'old_weather' is replaced by 'airport_wether', which does not exist. "
        "Did you mean 'airport_weather'?\n"
        "  Fix: Name the view to use instead, or leave `replaced_by` out."
    )


def test_views_that_replace_each_other_in_a_circle_are_refused():
    with pytest.raises(DefinitionError) as error:
        check_replacements([View("a", "b"), View("b", "c"), View("c", "b")])

    assert str(error.value) == (
        "Feature views replace each other in a circle: b → c → b.\n"
        "  Fix: Let one of them stay, without `replaced_by`."
    )


def test_a_replacement_may_itself_be_replaced():
    check_replacements([View("a", "b"), View("b", "c"), View("c")])


def test_where_a_module_could_not_be_read_the_replacement_may_be_in_it():
    check_replacements([View("a", "b")], unread=["broken.py"])
