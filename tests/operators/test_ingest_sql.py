"""These tests specify reading databases, on a real SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from headrace.calls import PlannedCall
from headrace.errors import DataError, GrantError, HeadraceError, ParameterError, ServiceError
from headrace.grants import granting
from operators.ingest import load_sql, read_sql

URL = "sqlite:///shop.db"


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("shop.db") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER, price NUMERIC, who TEXT)")
        shop.execute("INSERT INTO orders VALUES (1, 2.5, 'ann'), (2, NULL, 'bob')")
    shop.close()


def _orders() -> int:
    shop = sqlite3.connect("shop.db")
    (count,) = shop.execute("SELECT count(*) FROM orders").fetchone()
    shop.close()
    return int(count)


def test_a_query_becomes_a_table():
    orders = read_sql(url=URL, query="SELECT * FROM orders ORDER BY id").arrow()

    assert orders.to_pylist() == [
        {"id": 1, "price": 2.5, "who": "ann"},
        {"id": 2, "price": None, "who": "bob"},
    ]


def test_colons_and_percent_signs_in_a_query_are_left_as_they_are():
    rows = load_sql(URL, "SELECT who || ':x' AS w FROM orders WHERE who LIKE 'a%'").to_pylist()

    assert rows == [{"w": "ann:x"}]


def test_a_result_without_rows_keeps_its_columns():
    assert load_sql(URL, "SELECT id, who FROM orders WHERE id > 9").column_names == ["id", "who"]


WRONG_CALLS = [
    pytest.param(
        URL,
        "SELECT * FROM oders",
        DataError,
        "The database refused the query: no such table: oders. Did you mean 'orders'?",
        id="unknown table",
    ),
    pytest.param(
        URL,
        "SELECT prize FROM orders",
        DataError,
        "The database refused the query: no such column: prize.",
        id="unknown column",
    ),
    pytest.param(
        URL,
        "SELECT id, who AS id FROM orders",
        DataError,
        "The result names column 'id' 2 times.",
        id="a name twice",
    ),
    pytest.param(
        URL,
        "SELECT CASE id WHEN 1 THEN 'one' ELSE 2 END AS mixed FROM orders",
        DataError,
        "Column 'mixed' of the result mixes int and str.",
        id="mixed types",
    ),
    pytest.param(
        URL,
        "/* tidy up */ DELETE FROM orders",
        ParameterError,
        "The query begins with 'DELETE'; an ingest only reads.",
        id="not a query",
    ),
    pytest.param(
        URL, "  ", ParameterError, "The query is empty; an ingest only reads.", id="nothing"
    ),
    pytest.param(
        "sqlite:///shap.db",
        "SELECT 1",
        DataError,
        "There is no file 'shap.db' in '.'. Did you mean 'shop.db'?",
        id="no such file",
    ),
    pytest.param(
        "warehouse",
        "SELECT 1",
        ParameterError,
        "'warehouse' is not the address of a database.",
        id="no address",
    ),
    pytest.param(
        "postgrsql://host/x",
        "SELECT 1",
        ParameterError,
        "There is no SQL dialect 'postgrsql'. Did you mean 'postgresql'?",
        id="unknown dialect",
    ),
    pytest.param(
        "postgresql://me:secret@host/x",
        "SELECT 1",
        ParameterError,
        "The address 'postgresql://me:***@host/x' holds a password, which would be shown wherever "
        "parameters are.",
        id="a password",
    ),
]


@pytest.mark.parametrize(("url", "query", "kind", "problem"), WRONG_CALLS)
def test_what_cannot_be_read_is_refused_and_why(
    url: str, query: str, kind: type[HeadraceError], problem: str
):
    with pytest.raises(kind) as refused:
        read_sql(url=url, query=query)

    assert refused.value.problem == problem
    assert not Path("shap.db").exists()


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("WITH old AS (SELECT 1) DELETE FROM orders", id="hidden behind WITH"),
        pytest.param(
            "WITH old AS (SELECT 9) INSERT INTO orders (id) SELECT * FROM old", id="insert"
        ),
    ],
)
def test_a_query_that_writes_all_the_same_changes_nothing(query: str):
    with pytest.raises(DataError, match="attempt to write a readonly database"):
        load_sql(URL, query)

    assert _orders() == 2


def test_a_database_that_does_not_answer_is_a_service_that_is_down():
    with pytest.raises(ServiceError) as refused:
        load_sql("sqlite:///file:missing.db?mode=ro&uri=true", "SELECT 1")

    assert str(refused.value) == (
        "The database 'sqlite:///file%3Amissing.db?mode=ro&uri=true' cannot be reached: unable to "
        "open database file.\n"
        "  Fix: Check the address, that the server is up, and that the user may log in."
    )


def test_a_file_that_is_no_database_is_refused():
    Path("notes.db").write_bytes(b"these are notes, not pages of SQLite" * 30)

    with pytest.raises(DataError) as refused:
        load_sql("sqlite:///notes.db", "SELECT * FROM orders")

    assert refused.value.problem == "The database refused the query: file is not a database."


def test_a_wrong_query_is_found_while_the_flow_is_planned():
    call = PlannedCall(
        operator="read_sql", parameters={"url": URL, "query": "DROP TABLE orders"}, inputs={}
    )

    (finding,) = read_sql.options.check(call)

    assert finding.problem == "The query begins with 'DROP'; an ingest only reads."


def test_a_database_is_granted_by_dialect_and_name():
    with granting(["sql:postgresql/*"]), pytest.raises(GrantError) as refused:
        load_sql(URL, "SELECT 1")
    with granting(["sql:sqlite/shop.db"]):
        rows = load_sql(URL, "SELECT 1 AS one").to_pylist()

    assert refused.value.problem.startswith("The operator reads 'sql:sqlite/shop.db', but")
    assert rows == [{"one": 1}]


def test_a_query_runs_every_time_since_databases_change_without_a_trace():
    (external,) = read_sql.options.reads({"url": URL, "query": "SELECT 1"})

    assert read_sql.options.always
    assert external.fingerprint() is None
