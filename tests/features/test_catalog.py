from __future__ import annotations

import sys
from pathlib import Path

import pytest

from features.airport_weather import airport_weather
from features.catalog import catalog
from headrace.errors import DefinitionError, UnknownNameError

VIEW = """
from typing import Protocol
from features.view import Entity, FeatureView
from headrace import Schema

class Source(Schema, Protocol):
    shop: str

class Sales(Schema, Protocol):
    sold: float

def sales(source):
    return source

shop_sales = FeatureView(
    name="{name}", entities=(Entity(name="shop", column="shop"),), source=Source,
    features=Sales, compute=sales, owner="retail", description="What a shop sold.",
)
"""


@pytest.fixture
def root(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    # modules live as long as the process, so that each test needs a package of its own
    package = tmp_path / f"package_of_{request.node.name}"
    (package / "features").mkdir(parents=True)
    for folder in (package, package / "features"):
        (folder / "__init__.py").touch()
    return package


def test_the_bundled_views_are_found():
    assert [v.name for v in catalog().list()] == [
        "airport_congestion",
        "airport_weather",
        "carrier_history",
        "tail_history",
    ]
    assert catalog().view("airport_weather") is airport_weather


def test_an_unknown_view_is_told_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        catalog().view("airport_wether")

    assert str(error.value) == (
        "There is no feature view 'airport_wether'. Did you mean 'airport_weather' or "
        "'airport_congestion'?\n"
        "  Fix: Use the name of a view in a `features` folder under one of the roots in "
        "headrace.toml."
    )


def test_a_search_looks_at_names_first_and_then_at_columns_owners_and_tags():
    by_word = [v.name for v in catalog().search("weather")]
    by_column = [v.name for v in catalog().search("Visib")]
    by_both = [v.name for v in catalog().search("delay aircraft")]

    assert by_word == ["airport_weather"]
    assert by_column == ["airport_weather"]
    assert by_both == ["tail_history"]
    assert catalog().search("no such thing") == ()


def test_the_views_of_a_root_of_ones_own_are_found(root):
    (root / "features" / "sales.py").write_text(VIEW.format(name="shop_sales"))
    (root / "features" / "_private.py").write_text(VIEW.format(name="hidden"))

    found = catalog([root])

    assert [v.name for v in found.list()] == ["shop_sales"]
    assert found.broken == ()


def test_a_broken_module_hides_no_other_view_and_is_named_when_one_is_missed(root):
    (root / "features" / "sales.py").write_text(VIEW.format(name="shop_sales"))
    (root / "features" / "stock.py").write_text("import no_such_library")

    found = catalog([root])

    assert [v.name for v in found.list()] == ["shop_sales"]
    with pytest.raises(UnknownNameError) as error:
        found.view("stock")
    assert error.value.problem == (
        "There is no feature view 'stock'. Known: 'shop_sales'. features/stock.py could not be "
        "imported: ModuleNotFoundError: No module named 'no_such_library'."
    )


def test_two_views_of_one_name_are_refused(root):
    (root / "features" / "one.py").write_text(VIEW.format(name="shop_sales"))
    (root / "features" / "two.py").write_text(VIEW.format(name="shop_sales"))

    with pytest.raises(DefinitionError) as error:
        catalog([root])

    assert str(error.value) == (
        "Two feature views are called 'shop_sales': in features/one.py and in features/two.py.\n"
        "  Fix: Rename one of them."
    )
