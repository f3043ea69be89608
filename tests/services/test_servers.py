"""Both servers at the pinned versions: an import test misses what breaks them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from headrace.settings import Settings


def test_the_prefect_server_answers_its_client(servers: Settings):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        assert str(client.api_url).rstrip("/") == servers.prefect_api_url
        assert client.api_version()
        assert isinstance(client.read_flow_runs(limit=1), list)


def test_the_mlflow_server_answers_its_client(servers: Settings):
    import mlflow

    client = mlflow.MlflowClient(servers.mlflow_url)

    names = [experiment.name for experiment in client.search_experiments()]

    assert mlflow.get_tracking_uri() == servers.mlflow_url
    assert "Default" in names


def test_mlflow_keeps_artifacts_under_our_home(servers: Settings):
    import mlflow

    client = mlflow.MlflowClient(servers.mlflow_url)
    run = client.create_run(client.create_experiment("artifacts"))

    client.log_text(run.info.run_id, "kept", "note.txt")

    [kept] = (servers.home / "mlflow" / "artifacts").rglob("note.txt")
    assert kept.read_text() == "kept"


def test_prefect_pages_ask_the_address_that_the_browser_is_given(servers: Settings):
    told = httpx.get(f"{servers.prefect_url}/ui-settings", timeout=30)

    assert told.json()["api_url"] == servers.prefect_api_url


def test_a_burst_of_writers_gets_no_refusal(servers: Settings):
    """Stock Prefect on SQLite answers 503 to a part of such a burst; bare HTTP doesn't retry."""
    fresh = httpx.Limits(max_keepalive_connections=0)  # the server closes idle ones under our feet
    with httpx.Client(base_url=servers.prefect_api_url, timeout=60, limits=fresh) as client:
        flow = client.post("/flows/", json={"name": "burst"}).json()["id"]

        def write(number: int) -> list[int]:
            run = {"flow_id": flow, "name": f"burst-{number}", "state": {"type": "PENDING"}}
            made = client.post("/flow_runs/", json=run)
            to = {"state": {"type": "RUNNING"}, "force": True}
            moved = client.post(f"/flow_runs/{made.json().get('id')}/set_state", json=to)
            return [made.status_code, moved.status_code]

        with ThreadPoolExecutor(16) as pool:
            answers = [code for codes in pool.map(write, range(120)) for code in codes]
        named = {"flows": {"name": {"any_": ["burst"]}}}
        kept = client.post("/flow_runs/count", json=named).json()

    assert set(answers) <= {200, 201}
    assert kept == 120


def test_transactions_begin_as_writers_and_changing_prefect_twice_changes_nothing_more(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    import asyncio

    from prefect.server.database import configurations

    from flows._services.prefect_server import begin_every_transaction_as_a_writer

    kind = configurations.AioSqliteConfiguration
    monkeypatch.setattr(kind, "begin_transaction", kind.begin_transaction)  # undone at the end
    modes: list[str | None] = []

    async def transact() -> None:
        configuration = kind(f"sqlite+aiosqlite:///{tmp_path / 'some.db'}")
        engine = await configuration.engine()
        session = await configuration.session(engine)
        async with session, configuration.begin_transaction(session):
            modes.append(configurations.SQLITE_BEGIN_MODE.get())
        await engine.dispose()

    asyncio.run(transact())
    begin_every_transaction_as_a_writer()
    changed = kind.begin_transaction
    asyncio.run(transact())
    begin_every_transaction_as_a_writer()

    assert modes == ["DEFERRED", "IMMEDIATE"]
    assert kind.begin_transaction is changed
