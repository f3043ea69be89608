"""What is published is read by those who may, and everybody else is told whom to ask."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pandas as pd
import pyarrow as pa
import pytest

from features.access import reads_of
from features.store import feature_store, publish_rows
from features.view import EXPIRES, Entity, FeatureView
from headrace import Col, Examples, Labels, Schema, Table, flow, operator
from headrace.content import table_digest
from headrace.errors import GrantError, ParameterError, UnknownNameError
from headrace.grants import granting
from headrace.schemas import Column, TableSchema
from headrace.settings import settings, using_settings
from operators.build import build
from operators.read_features import read_features

US = pa.timestamp("us", tz="UTC")
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


def as_given(source: pa.Table) -> pa.Table:
    return source


def customer(**changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "customer",
        "entities": (Entity(name="person", column="person"),),
        "source": TableSchema(name="Source", columns=(Column(name="person", dtype="string"),)),
        "features": (
            Column(name="visits", dtype="int", unit="1/d"),
            Column(name="kind", dtype="category"),
            Column(name="since", dtype="date"),
            Column(name="age", dtype="int", unit="a", sensitivity="personal"),
        ),
        "compute": as_given,
        "ttl": timedelta(days=7),
        "owner": "risk-team",
        "description": "What is known of a customer.",
        "readers": ("*", "credit", "slow_credit", "loans"),
    }
    return FeatureView(**given | changes)


ROWS = pa.table(
    {
        "person": ["ada", "bob"],
        "event_time": pa.array([NOON, NOON], US),
        "known_time": pa.array([NOON, NOON], US),
        EXPIRES: pa.array([NOON + timedelta(days=7)] * 2, US),
        "visits": pa.array([3, None], pa.int64()),
        "kind": pa.array(["a", "b"]).dictionary_encode(),
        "since": [date(2001, 1, 31), None],
        "age": pa.array([36, 40], pa.int64()),
    }
)


def put_out(view: FeatureView, rows: pa.Table = ROWS) -> None:
    publish_rows(view, rows.select(view.schema.names), digest=table_digest(rows))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home in which the view `customer` is published."""
    folder = tmp_path_factory.mktemp("home")
    with using_settings(home=folder, roots=[Path(__file__).parent], actor="ada"):
        put_out(customer())
        yield folder


@operator()
def peek(*, view: str) -> Table[Any]:
    """Read published rows without saying so, in this process."""
    from features.access import granted_rows

    return Table.of(granted_rows(view))


@flow(grants=["feature:customer/*"])
def anybody() -> Table[Any]:
    """Read what is not sensitive."""
    return read_features(view="customer", columns=["visits", "kind"])


@flow(grants=["feature:customer/*", "feature:customer/age"])
def credit() -> Table[Any]:
    """Read everything, by the owner's leave."""
    return read_features(view="customer")


@flow(grants=["feature:customer/*", "feature:customer/age"])
def ads() -> Table[Any]:
    """Read everything, without the owner's leave."""
    return read_features(view="customer")


@flow(grants=["feature:*"])
def loans() -> Table[Any]:
    """Read everything, by the owner's leave, with a wildcard."""
    return read_features(view="customer")


@flow
def nothing() -> Table[Any]:
    """Read without a grant."""
    return read_features(view="customer", columns=["visits"])


@flow
def nothing_at_all() -> Table[Any]:
    """Read everything without a grant."""
    return read_features(view="customer")


@flow(grants=["feature:customer/visits"])
def secret() -> Table[Any]:
    """Read everything in secret."""
    return peek(view="customer")


@flow(grants=["feature:*"])
def mistakes() -> None:
    """Make every mistake."""
    read_features(view="custmer")
    read_features(view="customer@v3")
    read_features(view="customer", columns=["visit"])
    read_features(view="customer", columns=["visits", "visits"])
    read_features(view="customer", columns=[])
    read_features(view="Customer!")


def told(run: Any) -> list[tuple[str, str, str]]:
    return [(p.rule, p.problem, p.remedy) for p in run.plan().problems]


OWNER_SAYS = (
    "owner",
    "The owner of feature view 'customer', risk-team, does not let flow '{flow}' read 'age' "
    "(personal): its readers are '*', 'credit', 'slow_credit', 'loans', and a wildcard never gives "
    "what is personal or secret.",
    "Ask risk-team to write `readers=('*', 'credit', 'slow_credit', 'loans', '{flow}')` in view "
    "'customer' and to publish it.",
)


def test_rows_come_as_they_were_computed_with_roles_units_and_times():
    read = credit.run().returned()

    assert read.schema == customer().schema
    assert read.arrow().equals(ROWS.select(read.schema.names).cast(read.arrow().schema))


def test_columns_may_be_chosen_and_keys_and_times_come_along():
    read = anybody.run().returned()

    names = ("person", "event_time", "known_time", EXPIRES, "visits", "kind")
    assert read.schema == customer().schema.keeping(names)
    assert read.arrow()["visits"].to_pylist() == [3, None]


def test_a_view_may_be_named_by_its_definition():
    assert read_features(view=customer()).rows == 2


def test_what_is_published_is_the_key_and_the_same_rows_are_not_read_again():
    states = []
    for rows in (ROWS, ROWS, ROWS.slice(0, 1)):
        put_out(customer(), rows)
        [outcome] = anybody.run().outcomes.values()
        assert outcome.invocation.uncached_because == []
        states.append((outcome.state, outcome.outputs["result"].rows))

    assert states == [("executed", 2), ("cached", 2), ("executed", 1)]


def test_an_older_version_is_read_by_its_own_schema_and_says_which_it_is():
    put_out(customer(ttl=None))

    old, new = (read_features(view=ref, columns=["visits"]) for ref in ("customer@v0", "customer"))

    assert (EXPIRES in old.schema, EXPIRES in new.schema) == (True, False)
    assert old.schema.column("visits").source == "customer@v0"
    assert new.schema.column("visits").source == "customer"
    assert read_features(view="customer@v1").schema == read_features(view="customer").schema


def test_every_mistake_is_told_in_the_plan():
    found = [(problem, remedy) for _, problem, remedy in told(mistakes)]

    nearest = "Name features of the view; its keys and times always come along."
    once = "Name each feature once, or leave `columns` out for all of them."
    assert found == [
        (
            "'read_features:custmer': No feature view 'custmer' is published. Did you mean "
            "'customer'?",
            "Name a published view; `headrace features list` shows what there is.",
        ),
        (
            "'read_features:customer@v3': View 'customer' has no published version v3; it has v0.",
            "Name one of its versions, or none for the current one.",
        ),
        (
            "'read_features:customer': There is no feature of view 'customer' called 'visit'. Did "
            "you mean 'visits'?",
            nearest,
        ),
        (
            "'read_features:customer#2': The read of view 'customer' asks for feature 'visits' "
            "twice.",
            once,
        ),
        ("'read_features:customer#3': The read of view 'customer' asks for no feature.", once),
        (
            "'read_features:Customer!': 'Customer!' is no reference to a feature view.",
            "Write the view's name, such as 'airport_weather', or 'airport_weather@v0' for one of "
            "its versions.",
        ),
    ]


def test_outside_a_plan_the_same_mistakes_are_raised():
    with pytest.raises(UnknownNameError, match="No feature view 'custmer' is published"):
        read_features(view="custmer")
    with pytest.raises(ParameterError, match="asks for no feature"):
        read_features(view="customer", columns=[])


def test_a_view_that_is_only_defined_is_not_published_yet(home: Path):
    package = home / "features"
    (package / "orders.py").write_text(
        "from features.view import Entity, FeatureView\n"
        "from headrace.schemas import Column, TableSchema\n\n\n"
        "def compute(source):\n    return source\n\n\n"
        "orders = FeatureView(name='orders', entities=(Entity(name='p', column='p'),),\n"
        "    source=TableSchema(name='S', columns=(Column(name='p', dtype='string'),)),\n"
        "    features=(Column(name='n', dtype='int'),), compute=compute, owner='o',\n"
        "    description='d')\n"
    )

    @flow(grants=["feature:*"])
    def early() -> Table[Any]:
        return read_features(view="orders")

    with using_settings(home=home, roots=[home]):
        found = told(early)

    assert found == [
        (
            "published view",
            "'read_features:orders': View 'orders' is defined, but nothing of it is published yet.",
            "Run the flow that publishes it; a flow that computes it has its rows already.",
        )
    ]


@pytest.mark.parametrize(
    ("replaced_by", "instead"),
    [("", "Ask its owner why."), ("customer_2", "Read 'customer_2' instead.")],
)
def test_a_deprecated_view_is_read_with_a_warning(replaced_by: str, instead: str):
    put_out(customer(stage="deprecated", replaced_by=replaced_by))

    plan = anybody.plan()

    assert plan.problems == ()
    [warning] = plan.warnings
    assert warning.partition(": ")[2] == (
        f"'read_features:customer': View 'customer' is deprecated. {instead}"
    )


# --- who may read ---


def test_a_flow_without_the_grant_is_refused_in_the_plan_with_the_grant_to_ask_for():
    assert told(nothing) == [
        (
            "missing grant",
            "'read_features:customer' reads 'feature:customer/visits', but the flow is granted "
            "nothing.",
            "Add it to the flow: `@flow(grants=['feature:customer/visits'])`.",
        )
    ]
    assert told(nothing_at_all) == [
        (
            "missing grant",
            "'read_features:customer' reads 'feature:customer/visits', 'feature:customer/kind', "
            "'feature:customer/since', 'feature:customer/age', but the flow is granted nothing.",
            "Add them to the flow: `@flow(grants=['feature:customer/*', 'feature:customer/age'])`.",
        ),
        tuple(part.format(flow="nothing_at_all") for part in OWNER_SAYS),
    ]


def test_a_wildcard_never_gives_what_is_personal():
    assert told(loans) == [
        (
            "missing grant",
            "'read_features:customer' reads 'age' (personal) of feature view 'customer', which no "
            "grant with a wildcard gives; the flow is granted 'feature:*'.",
            "Name it in the flow: `@flow(grants=['feature:customer/age'])`. Or read only what it "
            "may: `columns=['visits', 'kind', 'since']`.",
        )
    ]


def test_the_owner_names_who_reads_what_is_personal():
    rule, problem, remedy = (part.format(flow="ads") for part in OWNER_SAYS)

    assert told(ads) == [
        (
            rule,
            problem,
            f"{remedy} Or read only what it may: `columns=['visits', 'kind', 'since']`.",
        )
    ]
    assert told(credit) == []


def test_an_owner_may_give_a_view_to_some_flows_only():
    put_out(customer(readers=("credit*",)))

    assert told(anybody) == [
        (
            "owner",
            "The owner of feature view 'customer', risk-team, does not let flow 'anybody' read "
            "'visits', 'kind': its readers are 'credit*'.",
            "Ask risk-team to write `readers=('credit*', 'anybody')` in view 'customer' and to "
            "publish it.",
        )
    ]


def test_what_the_owner_says_now_counts_for_an_older_version_too():
    stricter = customer(
        ttl=None,
        features=(
            Column(name="visits", dtype="int", unit="1/d", sensitivity="secret"),
            Column(name="kind", dtype="category"),
        ),
    )
    put_out(stricter)

    @flow(grants=["feature:customer/*"])
    def old() -> Table[Any]:
        return read_features(view="customer@v0", columns=["visits"])

    assert [rule for rule, _, _ in told(old)] == ["missing grant", "owner"]
    assert "'visits' (secret)" in told(old)[0][1]


# other processes import it by name
APART = '''
from typing import Any

from features.access import granted_rows
from headrace import Table, flow, operator


@operator(timeout=120.0)
def peek_apart(*, view: str) -> Table[Any]:
    """Read published rows without saying so, in a process of its own."""
    return Table.of(granted_rows(view))


@flow(grants=["feature:customer/visits"])
def secret() -> Table[Any]:
    """Read everything in secret."""
    return peek_apart(view="customer")


@flow(grants=["feature:customer/*", "feature:customer/age"])
def slow_credit() -> Table[Any]:
    """Read everything by the owner's leave."""
    return peek_apart(view="customer")
'''


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module whose operator runs in a process of its own."""
    (tmp_path / "reads_apart.py").write_text(APART)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "reads_apart", raising=False)
    return importlib.import_module("reads_apart")


def refused_at_the_store(run: Any) -> str:
    outcome = run.run()
    assert outcome.state == "failed"
    [node] = outcome.outcomes.values()
    assert isinstance(node.error, GrantError)
    return str(node.error)


SECRET_IS_REFUSED = (
    "The operator reads 'feature:customer/kind', 'feature:customer/since', 'feature:customer/age', "
    "but its flow is granted 'feature:customer/visits'. "
    + OWNER_SAYS[1].format(flow="secret")
    + "\n  Fix: Add them to the flow: `@flow(grants=['feature:customer/kind', "
    "'feature:customer/since', 'feature:customer/age'])`. "
    + OWNER_SAYS[2].format(flow="secret")
    + " Or read only what it may: `columns=['visits']`."
)


def test_a_read_that_no_plan_sees_is_refused_at_the_store():
    assert told(secret) == []
    assert refused_at_the_store(secret) == SECRET_IS_REFUSED
    assert reads_of("customer") == []


def test_and_in_a_process_of_its_own(apart: Any):
    assert refused_at_the_store(apart.secret) == SECRET_IS_REFUSED
    assert reads_of("customer") == []


def test_the_same_error_in_a_plain_call():
    with granting(["feature:customer/*"], flow="ads"), pytest.raises(GrantError) as refused:
        read_features(view="customer", columns=["age"])

    assert str(refused.value) == (
        "The operator reads 'age' (personal) of feature view 'customer', which no grant with a "
        "wildcard gives; its flow is granted 'feature:customer/*'. "
        + OWNER_SAYS[1].format(flow="ads")
        + "\n  Fix: Name it in the flow: `@flow(grants=['feature:customer/age'])`. "
        + OWNER_SAYS[2].format(flow="ads")
    )


# --- what is on record ---


def test_each_read_of_a_sensitive_view_is_on_record_once_and_so_is_each_reuse():
    first, second = credit.run(), credit.run()
    anybody.run()

    reads = reads_of("customer")
    every = ("visits", "kind", "since", "age")
    assert [(r.sort, r.flow, r.run_id, r.columns) for r in reads[:2]] == [
        ("read", "credit", first.id, every),
        ("reused", "credit", second.id, every),
    ]
    assert [(r.sort, r.flow, r.columns) for r in reads[2:]] == [
        ("read", "anybody", ("visits", "kind"))
    ]
    assert {(r.view, r.version, r.rows, r.actor, r.endpoint) for r in reads} == {
        ("customer", 0, 2, "ada", None)
    }


def test_a_read_in_a_process_of_its_own_is_on_record(apart: Any):
    run = apart.slow_credit.run()

    assert [(r.sort, r.flow, r.run_id) for r in reads_of("customer")] == [
        ("read", "slow_credit", run.id)
    ]


def test_a_person_in_a_repl_reads_everything_and_is_on_record():
    read_features(view="customer", columns=["age"])

    [read] = reads_of("customer")
    assert (read.flow, read.run_id, read.actor, read.columns) == ("", None, "ada", ("age",))


def test_a_view_without_anything_sensitive_leaves_no_trace():
    put_out(customer(features=customer().columns[:3]), ROWS.drop_columns(["age"]))

    anybody.run()

    assert reads_of("customer") == []


def test_nothing_is_handed_out_when_it_cannot_be_recorded(home: Path):
    broken = home / "broken.db"
    broken.write_bytes(b"no database at all, but long enough to be taken for one" * 10)

    with (
        using_settings(home=home, database_url=f"sqlite:///{broken}"),
        pytest.raises(Exception, match="cannot be used: file is not a database"),
    ):
        read_features(view="customer", columns=["age"])


# --- models ---


class Asked(Schema, Protocol):
    order: Annotated[str, Col(role="entity")]
    person: str
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    paid: Annotated[int, Col(role="label")]


@operator()
def orders() -> Labels[Asked]:
    """Make two labelled orders."""
    at = [NOON + timedelta(hours=1)] * 2
    return Labels[Asked].of(
        {
            "order": ["o1", "o2"],
            "person": ["ada", "bob"],
            "decided_at": pa.array(at, US),
            "known_at": pa.array([t + timedelta(days=1) for t in at], US),
            "paid": [1, 0],
        }
    )


@operator(produces=lambda call: customer().schema)
def computed() -> Table[Any]:
    """Compute the view in the flow itself."""
    return Table.of(ROWS, schema=customer().schema)


@flow
def learns() -> Examples[Any]:
    """Put everything before a model."""
    return build(orders(), [computed()])


@flow(grants=["feature:customer/age"])
def credit_learns() -> Examples[Any]:
    """The same, with a grant but without the owner's leave."""
    return build(orders(), [computed()])


@flow
def learns_some() -> Examples[Any]:
    """Put what is not sensitive before a model."""
    return build(orders(), [computed()], select=["customer:visits"])


def test_another_teams_features_are_built_with_and_not_computed():
    @flow(grants=["feature:customer/*"])
    def builds() -> Examples[Any]:
        return build(orders(), [read_features(view="customer", columns=["visits"])])

    examples = builds.run().returned()

    assert examples.frame()["visits"].tolist()[0] == 3
    assert examples.schema.column("visits").source == "customer"


def test_a_model_learns_from_what_is_personal_only_where_the_flow_is_granted_it():
    problem = (
        "missing grant",
        "'computed' → 'build.features': 'build' reads 'feature:customer/age', but the flow is "
        "granted nothing.",
        "Add it to the flow: `@flow(grants=['feature:customer/age'])`.",
    )
    owner = (
        "owner",
        "'computed' → 'build.features': " + OWNER_SAYS[1].format(flow="learns"),
        OWNER_SAYS[2].format(flow="learns"),
    )
    assert told(learns) == [problem, owner]
    assert [rule for rule, _, _ in told(credit_learns)] == ["owner"]
    assert told(learns_some) == []


def test_an_unpublished_view_has_no_readers_but_what_is_personal_needs_its_grant(home: Path):
    with using_settings(home=home / "another"):
        assert [rule for rule, _, _ in told(learns)] == ["missing grant"]
        assert told(credit_learns) == []


def test_the_settings_of_this_module_are_its_own(home: Path):
    assert settings().home == home


@pytest.mark.filterwarnings("ignore")  # Feast uses what its dependencies have deprecated
def test_feasts_own_sdk_asks_the_same_in_a_flow():
    asked = pd.DataFrame({"person": ["ada"], "event_timestamp": [NOON + timedelta(hours=1)]})

    def read(feature: str) -> list[Any]:
        job = feature_store().get_historical_features(
            entity_df=asked, features=[f"customer:{feature}"]
        )
        return list(job.to_df()[feature])

    with granting(["feature:customer/*"], flow="ads"):
        visits = read("visits")
        with pytest.raises(GrantError) as refused:
            read("age")

    assert visits == [3]
    assert str(refused.value).startswith(
        "The operator reads 'age' (personal) of feature view 'customer', which no grant with a "
        "wildcard gives; its flow is granted 'feature:customer/*'. "
    )
    assert [(r.flow, r.columns) for r in reads_of("customer")] == [("ads", ("visits",))]
    assert read("age") == [36]  # a person in a REPL
    assert reads_of("customer")[-1].flow == ""
