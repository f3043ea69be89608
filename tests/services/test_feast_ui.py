"""The Feast UI: its own process for real once, and what goes before it with a small page."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from features.airport_weather import airport_weather
from flows import _services
from flows._services.feast_ui import LazyPages
from headrace.settings import using_settings


class Page:
    """This is a page that counts how often it was loaded, and fails the first time if told to."""

    def __init__(self, *, failing: int = 0) -> None:
        self.loaded = 0
        self._failing = failing

    def __call__(self) -> Any:
        self.loaded += 1
        if self.loaded <= self._failing:
            raise OSError("the registry is locked")
        return self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def asked(pages: LazyPages, *requests: tuple[str, str, str]) -> list[tuple[int, str]]:
    """Ask with each method, address and path."""

    async def ask() -> list[tuple[int, str]]:
        transport = httpx.ASGITransport(app=pages)
        answers = []
        async with httpx.AsyncClient(transport=transport) as client:
            for method, address, path in requests:
                answer = await client.request(method, f"{address}{path}")
                answers.append((answer.status_code, answer.text))
        return answers

    return asyncio.run(ask())


HERE = "http://127.0.0.1:5051"


def test_nothing_is_loaded_before_somebody_looks_and_then_once():
    page = Page()

    answers = asked(LazyPages(page), ("GET", HERE, "/health"))
    before = page.loaded
    answers += asked(LazyPages(page), *[("GET", HERE, "/p/headrace")] * 3)

    assert answers == [(200, '{"detail": "not loaded yet"}'), *[(200, "/p/headrace")] * 3]
    assert (before, page.loaded) == (0, 1)


def test_a_page_that_cannot_be_loaded_says_why_and_is_tried_again():
    answers = asked(LazyPages(Page(failing=1)), ("GET", HERE, "/"), ("GET", HERE, "/"))

    assert answers == [
        (503, '{"detail": "Feast could not be loaded: OSError: the registry is locked"}'),
        (200, "/"),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_page_only_shows(method):
    [answer] = asked(LazyPages(Page()), (method, HERE, "/api/v1/entities"))

    assert answer == (
        405,
        '{"detail": "The Feast UI only shows: change a feature view where it is defined."}',
    )


def test_another_sites_name_for_this_machine_is_refused_on_loopback():
    to_another = ("GET", "http://rebound.example:5051", "/")

    refused, taken = (
        asked(LazyPages(Page(), host=host), to_another)[0]
        for host in ("127.0.0.1", ".".join("0000"))
    )
    named = asked(LazyPages(Page()), ("GET", "http://localhost:5051", "/"))[0]

    assert refused == (
        403, '{"detail": "The Feast UI answers requests to this machine only."}'
    )  # fmt: skip
    assert (taken[0], named[0]) == (200, 200)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _weather() -> pa.Table:
    moment = pa.array([1_356_998_400_000_000], pa.timestamp("us", tz="UTC"))
    columns = {name: pa.array([1.5]) for name in (c.name for c in airport_weather.columns)}
    return pa.table(
        {
            "origin": pa.array(["EWR"]),
            "event_time": moment,
            "known_time": moment,
            "expires_at": moment,
            **columns,
        }
    ).select(airport_weather.schema.names)


@pytest.mark.slow
def test_the_feast_ui_shows_an_empty_registry_and_then_what_is_published_and_so_does_feast(
    tmp_path: Path,
):
    with using_settings(home=tmp_path, feast_ui_port=_free_port()) as home:
        try:
            [up] = _services.up(only=("feast",))
            with httpx.Client(base_url=str(up.url), timeout=180) as client:
                page = client.get("/p/headrace")
                nothing = client.get("/api/v1/feature_views", params={"project": "headrace"})
                projects = client.get("/projects-list.json").json()["projects"]
                from features.store import publish_rows

                publish_rows(airport_weather, _weather(), digest="0" * 64)
                for _ in range(20):  # it looks at the registry every two seconds
                    views = client.get("/api/v1/feature_views", params={"project": "headrace"})
                    if views.json()["featureViews"]:
                        break
                    client.get("/health")
                    asyncio.run(asyncio.sleep(0.5))
                found = client.get("/api/v1/search", params={"query": "weather"}).json()
            [seen] = [state for state in _services.status() if state.name == "feast"]
        finally:
            stopped = _services.down(only=("feast",))

    assert (up.url, seen.state) == (f"http://127.0.0.1:{home.feast_ui_port}", "ready")
    assert page.headers["content-type"].startswith("text/html")
    assert (nothing.json()["featureViews"], [p["id"] for p in projects]) == ([], ["headrace"])
    assert [v["spec"]["name"] for v in views.json()["featureViews"]] == ["airport_weather"]
    assert "airport_weather" in json.dumps(found["results"])
    assert stopped == ("feast",)
    # as `feast -c FOLDER` opens it
    from feast import FeatureStore

    by_file = FeatureStore(repo_path=str(tmp_path / "features"))
    assert [view.name for view in by_file.list_feature_views()] == ["airport_weather"]
