"""`headrace features` as people use it, on a home of their own with views of a shop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.catalog import catalog
from features.store import publish_rows
from headrace.settings import using_settings

VIEWS = '''
"""Views of a shop."""
from datetime import timedelta
from typing import Annotated, Protocol
from features.view import Entity, FeatureView
from headrace import Col, Schema

SHOP = Entity(name="shop", column="shop", description="A shop of ours.")

class Till(Schema, Protocol):
    shop: str

class Sales(Schema, Protocol):
    sold: Annotated[float, Col(unit="EUR", description="Turnover of the day.")]
    weather: Annotated[str, Col(description="What the manager saw.")]
    wage: Annotated[float, Col(unit="EUR", sensitivity="secret", description="Wages of the day.")]

class Takings(Schema, Protocol):
    taken: float

def read(till):
    return till

shop_sales = FeatureView(
    name="shop_sales", entities=(SHOP,), source=Till, features=Sales, compute=read, owner="retail",
    description="What a shop sold in a day.", tags=("daily",), freshness=timedelta(days=2),
)
shop_takings = FeatureView(
    name="shop_takings", entities=(SHOP,), source=Till, features=Takings, compute=read,
    owner="finance", description="What a shop took.", stage="deprecated", replaced_by="shop_sales",
)
'''
HEAVY = ("duckdb", "feast", "great_expectations", "pandas", "pyarrow", "numpy", "sqlalchemy",
         "mlflow", "prefect", "ray")  # fmt: skip


class Shop:
    """This is a home with the views of a shop, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root = folder / "home", folder / "shop"
        (self.root / "features").mkdir(parents=True)
        (self.root / "features" / "till.py").write_text(VIEWS)

    def settings(self) -> dict[str, str]:
        return {"HEADRACE_HOME": str(self.home), "HEADRACE_ROOTS": str(self.root)}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `headrace features …`."""
        return self._run(Path(sys.executable).with_name("headrace"), "features", *words)

    def loaded(self, *words: str) -> set[str]:
        """Run the same, and return which modules it loaded."""
        code = (
            "import sys\nfrom flows._command.main import app\n"
            f"try: app(args={['features', *words]!r}, prog_name='headrace')\n"
            "except SystemExit as ended: assert not ended.code, ended.code\n"
            "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
        )
        done = self._run(sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.splitlines()[-1].split())

    def _run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=os.environ | self.settings() | {"PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop with thirty days of published sales."""
    shop = Shop(tmp_path_factory.mktemp("published"))
    now = datetime.now(UTC).replace(microsecond=0)
    days = [now - timedelta(days=4 + day) for day in range(30)]
    rows = pa.table(
        {
            "shop": [f"shop {day % 3}" for day in range(30)],
            "event_time": pa.array(days, pa.timestamp("us", tz="UTC")),
            "known_time": pa.array(days, pa.timestamp("us", tz="UTC")),
            "sold": [float(day) if day % 5 else None for day in range(30)],
            "weather": ["sun"] * 20 + ["rain"] * 10,
            "wage": [1234.5] * 30,
        }
    )
    with using_settings(home=shop.home, roots=[shop.root]):
        publish_rows(catalog().view("shop_sales"), rows, digest="1" * 64)
    return shop


def test_the_list_says_what_there_is_whose_it_is_and_what_to_use_instead(shop: Shop):
    done = shop("list")

    assert done.stderr == ""
    assert done.stdout == (
        "view          stage                       about  features  owner    freshness      "
        "description\n"
        "shop_sales    active                      shop   3         retail   not published  "
        "What a shop sold in a day.\n"
        "shop_takings  deprecated, use shop_sales  shop   1         finance  not published  "
        "What a shop took.\n"
    )


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["shop_sales", "shop_takings"]),
        (("--stage", "deprecated"), ["shop_takings"]),
        (("--owner", "retail"), ["shop_sales"]),
        (("--entity", "shop", "--stage", "active"), ["shop_sales"]),
    ],
)
def test_the_list_as_json_leaves_what_is_asked_for(shop: Shop, words, names):
    done = shop("list", *words, "--json")

    assert [view["name"] for view in json.loads(done.stdout)] == names


def test_an_owner_that_nobody_is_is_refused_with_the_nearest(shop: Shop):
    done = shop("list", "--owner", "retial")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: There is no feature with the owner 'retial'. Did you mean 'retail'?\n"
        "  Fix: Use a known owner.\n"
    )


def test_without_views_the_list_says_how_to_add_one(shop: Shop):
    (shop.root / "features" / "till.py").unlink()

    listed, searched = shop("list"), shop("search", "sales")

    assert listed.stdout == searched.stdout
    assert listed.stdout.startswith("There is no feature view yet.\n  Add one: ")
    assert shop("list", "--json", "--stage", "active").stdout == "[]\n"


def test_a_module_that_cannot_be_imported_is_told_aside_and_the_others_are_listed(shop: Shop):
    (shop.root / "features" / "broken.py").write_text("raise RuntimeError('no till')\n")

    done = shop("list", "--json")

    assert len(json.loads(done.stdout)) == 2
    assert done.stderr == "features/broken.py could not be imported: RuntimeError: no till\n"


def test_a_search_forgives_typing_errors_and_says_why_it_found_what(shop: Shop):
    done = shop("search", "wether")

    assert done.stdout == (
        "feature             type    owner   description            why\n"
        "shop_sales:weather  string  retail  What the manager saw.  column: like weather\n"
    )


def test_what_is_deprecated_is_found_last_with_what_replaces_it(shop: Shop):
    hits = json.loads(shop("search", "shop", "--json").stdout)
    told = shop("search", "shop").stdout

    assert [hit["reference"] for hit in hits] == ["shop_sales", "shop_takings"]
    assert hits[-1]["replaced_by"] == "shop_sales"
    assert "deprecated, use shop_sales; name: shop" in told


def test_a_search_for_nothing_that_there_is_says_so(shop: Shop):
    done = shop("search", "zzzzzz")

    assert (done.returncode, done.stdout) == (
        0,
        "Nothing matches. `headrace features list` shows all views.\n",
    )


@pytest.mark.parametrize(
    "words", [("list",), ("list", "--json"), ("search", "wether", "unit:EUR"), ("--help",)]
)
def test_listing_and_searching_load_no_engine(published: Shop, words):
    assert published.loaded(*words) & set(HEAVY) == set()


def test_a_view_is_shown_with_its_statistics_and_nothing_of_what_is_secret(published: Shop):
    done = published("show", "shop_sales")

    assert done.stderr == ""
    assert "1234" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[:2] == ["shop_sales  active  v0", "  What a shop sold in a day."]
    assert "  published    30 rows of 3 entities" in done.stdout
    assert "  freshness    stale by 2 d, target 2 d; newest row known at " in done.stdout
    assert "  online       no; `headrace features materialize shop_sales`" in done.stdout
    [sold] = [line for line in lines if line.startswith("sold ")]
    assert sold.split()[:4] == ["sold", "float", "EUR", "20.0%"]
    assert "sun 67%, rain 33%" in done.stdout
    assert "It is secret: values are not shown." in done.stdout
    assert lines[-1] == "Nobody is known to use it."


def test_one_feature_is_shown_in_full(published: Shop):
    told = json.loads(published("show", "shop_sales:sold@v0", "--json").stdout)
    text = published("show", "shop_sales@v0:weather").stdout

    [column] = told["columns"]
    assert (told["column"], column["name"], column["unit"]) == ("sold", "sold", "EUR")
    assert column["profile"]["null_rate"] == pytest.approx(0.2)
    assert len(told["rows"]["times"]["rows"]) == 24
    assert told["freshness"]["state"] == "stale"
    assert told["usage"] == {
        "view": "shop_sales", "column": "sold", "flows": [], "models": [], "endpoints": [],
    }  # fmt: skip
    assert "   66.7%  sun\n" in text


def test_a_deprecated_view_names_what_to_use(shop: Shop):
    done = shop("show", "shop_takings")

    assert done.stdout.splitlines()[:2] == [
        "shop_takings  deprecated",
        "  Use shop_sales instead: headrace features show shop_sales",
    ]
    assert "Statistics come with the next publication of its rows." in done.stdout


def test_it_is_brought_online_and_its_cost_is_measured_and_kept(published: Shop):
    before = published("show", "shop_sales", "--measure")
    done = published("materialize", "shop_sales")
    again = json.loads(published("materialize", "shop_sales", "--full", "--json").stdout)
    measured = json.loads(published("show", "shop_sales", "--measure", "--json").stdout)
    kept = published("show", "shop_sales").stdout

    assert before.returncode == 1
    assert before.stderr == (
        "Error: No entity of view 'shop_sales' is online, so that there is nothing to read.\n"
        "  Fix: Bring it online first: `headrace features materialize shop_sales`.\n"
    )
    assert done.stdout == (
        "shop_sales v0 is online: 3 entities, 3 written, 0 the same, 0 newer there.\n"
    )
    assert (again["changed"], again["same"]) == (False, 3)
    cost = measured["cost"]
    assert 0 < cost["cpu_ms_per_1000"] < 2_000
    assert (cost["store"], cost["number"]) == ("sqlite", 0)
    assert 20 < cost["bytes_per_entity"] < 2_000
    assert f"{cost['cpu_ms_per_1000']:g} ms CPU" in kept
    assert measured["online"]["entities"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ("show", "shop_sals"),
            "Error: There is no feature view 'shop_sals'. Did you mean 'shop_sales' or "
            "'shop_takings'?\n",
            id="a mistyped view",
        ),
        pytest.param(
            ("usage", "shop_sales:solt"),
            "Error: There is no feature in view 'shop_sales' called 'solt'. Did you mean 'sold'?\n"
            "  Fix: Name one of its features; `headrace features show shop_sales` lists them.\n",
            id="a mistyped feature",
        ),
        pytest.param(
            ("show", "shop_sales@v1"),
            "Error: Nothing is published of view 'shop_sales', so there is no version v1.\n"
            "  Fix: Look at its definition: `headrace features show shop_sales`.\n",
            id="a version that never was",
        ),
        pytest.param(
            ("show", "shop_sales@first"),
            "Error: 'shop_sales@first' names no view.\n"
            "  Fix: Write it like airport_weather, airport_weather:temp or airport_weather@v0.\n",
            id="no version at all",
        ),
        pytest.param(
            ("materialize", "shop_sales", "--until", "noon"),
            "Error: --until is 'noon', which is no moment.\n"
            "  Fix: Write it like 2013-07-01 or 2013-07-01T12:00+00:00.\n",
            id="no moment",
        ),
    ],
)
def test_what_is_mistyped_is_refused_with_the_nearest(shop: Shop, words, message):
    done = shop(*words)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)


@pytest.mark.parametrize("command", ["list", "search", "show", "usage", "materialize"])
def test_each_has_help_with_an_example(shop: Shop, command: str):
    done = shop(command, "--help")

    assert done.returncode == 0
    assert f"Example: headrace features {command}" in done.stdout
