"""On-demand views in Feast: its own SDK computes the values that `build` computes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pytest

from features._on_demand_feast import list_of
from features.catalog import catalog
from features.on_demand import OnDemandView
from features.on_demand_call import Argument, OnDemandCall
from features.publish import publish
from features.publish_on_demand import publish_on_demand, published_on_demand
from features.store import feature_store
from features.view import Entity, FeatureView
from headrace import Col, Labels, Schema, Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import DataError
from headrace.settings import using_settings
from operators.build import build
from operators.compute_features import compute_features

# Feast and the ibis beneath it use what their dependencies have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SOURCE = '''
from datetime import date, datetime
from typing import Annotated, Any, Protocol

from features.on_demand import OnDemandView
from headrace import Col, Schema


class Order(Schema, Protocol):
    """This is what a request says."""

    amount: float
    items: int
    customer: str
    ordered_at: datetime
    decided_at: Annotated[datetime, Col(role="decision_time")]


class Ratio(Schema, Protocol):
    """This is what is computed."""

    ratio: Annotated[float, Col(unit="1", sensitivity="public", description="Against the mean.")]
    days_known: Annotated[int, Col(unit="d")]
    who: str
    waited: Annotated[float, Col(unit="s")]


def ratio_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    pairs = zip(values["amount"], values["mean"], strict=True)
    return {
        "ratio": [None if a is None or m is None else a / m for a, m in pairs],
        "days_known": [
            None if s is None or n is None else (n.date() - s).days
            for s, n in zip(values["since"], values["decided_at"], strict=True)
        ],
        "who": [
            f"{_named(c)}/{i}" for c, i in zip(values["customer"], values["items"], strict=True)
        ],
        "waited": [
            None if o is None else (n - o).total_seconds()
            for o, n in zip(values["ordered_at"], values["decided_at"], strict=True)
        ],
    }


def _named(customer: str | None) -> str:
    return "?" if customer is None else customer.upper()


order_ratio = OnDemandView(
    name="order_ratio",
    request=Order,
    views={"spending": ["mean", "since"]},
    features=Ratio,
    compute=ratio_of,
    owner="shop",
    description="An order against what its customer spends.",
    tags=("orders",),
)
'''


class Account(Schema, Protocol):
    """This is what came in of a customer."""

    customer: str
    event_time: datetime
    known_time: datetime
    mean: float | None
    since: date | None


class Spending(Schema, Protocol):
    """This is what is known of a customer."""

    mean: Annotated[float, Col(unit="EUR")]
    since: date


class Ordered(Schema, Protocol):
    """This is an order with what came of it."""

    order: Annotated[str, Col(role="entity")]
    customer: Annotated[str | None, Col(known_at="decided_at")]
    amount: Annotated[float | None, Col(known_at="decided_at")]
    items: Annotated[int | None, Col(known_at="decided_at")]
    ordered_at: Annotated[datetime | None, Col(known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    paid_at: Annotated[datetime, Col(role="known_time")]
    paid: Annotated[int, Col(role="label")]


def as_given(source: pa.Table) -> pa.Table:
    return source


spending = FeatureView(
    name="spending",
    entities=(Entity(name="customer", column="customer"),),
    source=Account,
    features=Spending,
    compute=as_given,
    owner="shop",
    description="What a customer spends.",
)
FEATURES = [f"order_ratio:{name}" for name in ("ratio", "days_known", "who", "waited")]


def accounts() -> Table[Any]:
    source = {
        "customer": ["ann", "bob", "cyd"],
        "event_time": [NOON] * 3,
        "known_time": [NOON] * 3,
        "mean": [20.0, None, 8.0],
        "since": [date(2024, 1, 1), date(2023, 12, 31), None],
    }
    return compute_features(Table.of(pa.table(source)), view=spending)


def orders() -> Labels[Any]:
    moments = [NOON + timedelta(hours=n + 1) for n in range(6)]
    table = {
        "order": [f"o{n}" for n in range(6)],
        "customer": ["ann", "bob", "cyd", "eve", "ann", "cyd"],
        "amount": [10.0, 5.0, 4.0, 1.0, None, 8.0],
        "items": pa.array([1, 2, None, 4, 5, 6]),
        "ordered_at": [*(m - timedelta(minutes=5) for m in moments[:5]), None],
        "decided_at": moments,
        "paid_at": [m + timedelta(days=1) for m in moments],
        "paid": [0, 1, 0, 1, 0, 1],
    }
    made: Labels[Any] = Labels[Ordered].of(pa.table(table))
    return made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's own root with the module of an on-demand view, and a home."""
    root = tmp_path_factory.mktemp("project") / "shop"
    (root / "features").mkdir(parents=True)
    for folder in (root, root / "features"):
        (folder / "__init__.py").touch()
    (root / "features" / "order_ratio.py").write_text(SOURCE)
    clock = VirtualClock(NOON + timedelta(days=1))
    home = tmp_path_factory.mktemp("home")
    with using_settings(roots=(root,), home=home), using_clock(clock):
        yield root


@pytest.fixture(scope="module")
def view(project: Path) -> OnDemandView:
    """The view, found as the catalogue finds it."""
    [found] = catalog().on_demand
    return found


@pytest.fixture(scope="module")
def offline(view: OnDemandView) -> list[dict[str, Any]]:
    """What `build` computes."""
    return build(orders(), [accounts()], on_demand=[view]).arrow().to_pylist()


@pytest.fixture(scope="module")
def registered(view: OnDemandView) -> Any:
    """What publishing reports; the online store of Feast has what is published."""
    reported = publish(accounts(), view=spending)
    made = publish_on_demand([reported], view=view)
    store = feature_store()
    store.materialize(NOON - timedelta(days=1), NOON + timedelta(days=1), ["spending"])
    return made


def test_a_view_is_not_published_before_what_it_needs(view):
    with pytest.raises(DataError) as error:
        publish_on_demand([], view=view)

    assert str(error.value) == (
        "On-demand view 'order_ratio' needs view 'spending', of which nothing is published.\n"
        "  Fix: Publish it before, and give its report to `needed`."
    )
    assert published_on_demand("order_ratio") is None


def test_feast_lists_the_view_with_what_it_promises(registered):
    found = feature_store().get_on_demand_feature_view("order_ratio")

    assert (found.owner, found.mode, found.singleton) == ("shop", "python", False)
    assert found.tags["orders"] == "true"
    assert found.tags["stage"] == "active"
    assert sorted(found.get_request_data_schema()) == [
        "amount", "decided_at", "items", "ordered_at",
    ]  # fmt: skip
    projections = found.source_feature_view_projections
    assert [f.name for f in projections["spending"].features] == ["mean", "since"]
    assert {f.name: str(f.dtype) for f in found.features} == {
        "ratio": "Float64", "days_known": "Int64", "who": "String", "waited": "Float64",
    }  # fmt: skip


def test_feast_computes_online_what_build_computes(registered, offline):
    store = feature_store()

    rows = [
        {
            "customer": order["customer"],
            "amount": order["amount"],
            "items": order["items"],
            "ordered_at": order["ordered_at"],
            "decided_at": order["decided_at"],
        }
        for order in orders().arrow().to_pylist()
    ]
    found = store.get_online_features(FEATURES, rows).to_dict()

    names = ["ratio", "days_known", "who", "waited"]
    assert {name: found[name] for name in names} == {
        name: [row[name] for row in offline] for name in names
    }


def test_feast_keeps_instants_of_a_request_in_whole_seconds(registered):
    asked = {
        "customer": "ann",
        "amount": 1.0,
        "items": 1,
        "ordered_at": NOON + timedelta(seconds=0.5),
        "decided_at": NOON + timedelta(seconds=1.75),
    }

    found = feature_store().get_online_features(FEATURES, [asked]).to_dict()

    assert found["waited"] == [1.0]


def test_a_feature_that_feast_gives_for_another_views_is_refused(view):
    two = OnDemandCall(
        view="order_ratio",
        module="shop.features.order_ratio",
        function="ratio_of",
        code="",
        arguments=(
            Argument(name="spending__mean", column="mean", view="spending"),
            Argument(name="store__mean", column="mean", view="store"),
        ),
        columns=view.columns,
    )
    means = [1.0]

    with pytest.raises(DataError) as error:
        list_of(two, two.arguments[0], {"spending__mean": means, "store__mean": means})

    assert str(error.value) == (
        "On-demand view 'order_ratio' is computed of the feature 'mean' of two views, and Feast "
        "gave one of them for both.\n  Fix: Ask Feast with full_feature_names=True."
    )
    assert list_of(two, two.arguments[1], {"spending__mean": [1.0], "store__mean": means}) is means


def test_feast_computes_offline_what_build_computes(registered, offline):
    store = feature_store()
    frame = orders().frame().rename(columns={"order": "row"})
    frame["event_timestamp"] = frame["decided_at"]

    job = store.get_historical_features(frame, FEATURES)
    found = job.to_df().set_index("row").loc[[f"o{n}" for n in range(6)]]

    names = ["ratio", "days_known", "who", "waited"]
    plain = found[names].astype(object).where(found[names].notna(), None).to_dict("records")
    assert plain == [{name: row[name] for name in names} for row in offline]


def test_a_process_of_its_own_computes_it_by_feast_alone(registered, project):
    config = feature_store().config
    told = config.model_dump_json(by_alias=True, exclude_none=True)
    program = textwrap.dedent(
        f"""
        import warnings; warnings.simplefilter("ignore")
        from datetime import UTC, datetime
        from pathlib import Path
        from feast import FeatureStore, RepoConfig
        config = RepoConfig.model_validate_json({told!r})
        store = FeatureStore(config=config)
        row = {{"customer": "ann", "amount": 10.0, "items": 3, "ordered_at": None,
               "decided_at": datetime(2024, 5, 1, 13, tzinfo=UTC)}}
        found = store.get_online_features({FEATURES!r}, [row]).to_dict()
        print(found["ratio"], found["days_known"], found["who"], found["waited"])
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[0.5] [121] ['ANN/3'] [None]"


def test_the_same_again_changes_nothing(registered, view):
    again = publish_on_demand([], view=view)

    assert registered.document["changed"] is True
    assert again.document["changed"] is False
    assert {k: v for k, v in again.document.items() if k != "changed"} == {
        k: v for k, v in registered.document.items() if k != "changed"
    }
    record = published_on_demand("order_ratio")
    assert record is not None
    assert (record.number, list(record.needs)) == (0, ["spending"])


def test_other_code_than_was_published_is_refused_by_feast_too(registered, project):
    from features import _on_demand_feast

    file = project / "features" / "order_ratio.py"
    store = feature_store()
    call = dict(customer="ann", amount=1.0, items=1, ordered_at=None, decided_at=NOON)
    try:
        file.write_text(SOURCE.replace("a / m", "a * m"))
        _on_demand_feast._ready.cache_clear()
        sys.modules.pop("shop.features.order_ratio")
        with pytest.raises(Exception, match="which is not what it was at deploy"):
            store.get_online_features(FEATURES, [call])
    finally:
        file.write_text(SOURCE)
        _on_demand_feast._ready.cache_clear()
        sys.modules.pop("shop.features.order_ratio", None)
