"""Looking at the registry."""

from __future__ import annotations

import pytest

from headrace import Evaluation, SelectedModel
from headrace.errors import UnknownNameError
from serving.register import register
from serving.registry import Registry

Tested = tuple[SelectedModel, Evaluation]


def test_an_unknown_name_is_said_with_the_nearest(tested: Tested, name: str) -> None:
    register(*tested, name=name)

    with pytest.raises(UnknownNameError) as refused:
        Registry().versions(name[:-1])

    assert str(refused.value).startswith(
        f"There is no registered model '{name[:-1]}'. Did you mean"
    )
    assert f"'{name}'" in str(refused.value)


def test_an_unknown_alias_is_said_with_those_that_there_are(tested: Tested, name: str) -> None:
    register(*tested, name=name)

    with pytest.raises(UnknownNameError) as refused:
        Registry().version(name, "champion")

    assert str(refused.value) == (
        f"There is no version or alias of '{name}' named 'champion'. Known: '1', 'candidate'.\n"
        "  Fix: Give a version's number or one of the aliases."
    )


def test_an_alias_moves_from_one_version_to_another(
    tested: Tested, better: Tested, name: str
) -> None:
    register(*tested, name=name)
    register(*better, name=name)
    registry = Registry()

    registry.set_alias(name, "champion", "2")
    registry.set_alias(name, "champion", "1")

    assert registry.version(name, "champion").version == "1"
    assert registry.version(name, "2").aliases == ("candidate",)


def test_names_list_what_was_registered(tested: Tested, name: str) -> None:
    register(*tested, name=name)

    assert name in Registry().names()


def test_an_alias_is_taken_away_and_one_that_nobody_has_is_no_trouble(
    tested: Tested, name: str
) -> None:
    register(*tested, name=name)
    registry = Registry()

    registry.remove_alias(name, "candidate")
    registry.remove_alias(name, "candidate")

    assert registry.version(name, "1").aliases == ()
