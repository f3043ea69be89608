"""The page of an endpoint as it is sent: its figures, its safety, and what it shows to whom."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from serving._request_errors import RequestError
from serving.lane.exchange import Asked, Verb
from serving.lane.notices import ShadowFigures, ShadowNotice, shadow_file, write_notice
from serving.lane.page_chart import traffic_chart
from serving.lane.page_html import page
from serving.lane.page_sections import sections
from serving.lane.page_text import size
from serving.lane.table import Served
from serving.traffic import Span, Traffic

CHALLENGER = "flight_delay/2"
HOSTILE = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>"
OWN = "/v1/flight_delay"


class Read(HTMLParser):
    """This reads a page: its text by section, its elements, and all attributes."""

    VOID = ("meta", "link", "input")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str | None]] = []
        self.texts: dict[str | None, str] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        within = [name for tag, name in self.open if tag == "section"]
        key = within[0] if within else None
        self.texts[key] = f"{self.texts.get(key, '')} {data.strip()}".strip()


def fetched(lane: Any, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    request = Request(f"{lane.url}{path}", headers=headers)  # noqa: S310
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, dict(answer.headers.items()), answer.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, dict(refused.headers.items()), refused.read().decode()


def write_history(folder: Path, *changes: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"endpoint": "flight_delay", "generation": len(changes), "changes": changes}
    (folder / "flight_delay.history.json").write_text(json.dumps(document))


def change(generation: int, champion: str, reason: str, **more: Any) -> dict[str, Any]:
    at = f"2026-03-0{generation}T08:00:00+00:00"
    told = {"generation": generation, "at": at, "action": "promote", "actor": "ann"}
    return told | {"champion": champion, "challenger": None, "reason": reason} | more


def test_the_page_shows_who_answers_who_challenges_and_what_happened(start_lane, table):
    chosen = table(
        challenger=CHALLENGER,
        traffic=Traffic(
            design="ab",
            unit=("tail",),
            salt="s",
            patience_ms=5_000,
            spans=(Span(model=CHALLENGER, start=0, end=1),),
        ),
        generation=3,
    )
    write_history(
        chosen.notices,
        change(3, "flight_delay/1", "a canary first", action="split", challenger=CHALLENGER),
        change(2, "flight_delay/1", "better by 3 %"),
        change(1, "flight_delay/0", "the beginning", action="declare"),
    )
    figures = ShadowFigures(
        model=CHALLENGER, experiment="1-against-2", scored=7_500, failed=2, dropped=3, behind=2_048
    )
    write_notice(
        shadow_file(chosen.notices, "flight_delay"), ShadowNotice.of(3, os.getpid(), [figures])
    )
    lane = start_lane(chosen)
    features = {"carrier": "UA", "distance": 719, "hour": 7}
    for number in range(3):
        assert lane.decide(id=f"UA{number}", features=features).status == 200
    lane.tell({"id": "UA1", "value": 1})
    lane.decide(entity={"origin": "EWR", "tail": "N404"}, features=features)

    status, _, document = fetched(lane, f"{OWN}/page")

    shown = Read(document).texts
    assert status == 200
    assert "flight_delay/1 Champion since 2026-03-02 08:00:00 UTC" in shown["answers"]
    assert "Generation 3" in shown["answers"]
    assert "dealt by design ab, by tail" in shown["compared"]
    assert f"{CHALLENGER} 0.01% of the traffic closed 7,500 2 3 2.0 kB" in shown["compared"]
    assert "In 5 minutes 4 Refused (4xx) 1 Failed (5xx) 0" in shown["traffic"]
    assert "p99 decide 3" in shown["latency"]
    assert "unknown_entity 1" in shown["trouble"]
    assert "Outcomes: recorded 1" in shown["decisions"]
    assert "3 split flight_delay/1 flight_delay/2 ann a canary first" in shown["changes"]


def test_figures_are_told_as_a_document_too(start_lane, table):
    lane = start_lane(table())
    lane.decide(id="UA1")
    lane.decide(id="UA1")

    _, headers, body = fetched(lane, f"{OWN}/stats")
    figures = json.loads(body)

    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert figures["champion"]["model"] == "flight_delay/1"
    assert figures["replicas"] == [figures["pid"]] == [os.getpid()]
    assert (figures["decisions"], figures["repeated"]) == ({"flight_delay/1": 1}, 1)
    assert sum(figures["recent"]["answered"]) == 2
    took = figures["latency"]["/v1/{endpoint}/decide"]
    assert took["count"] == 2
    assert 0 < took["p50_ms"] <= took["p95_ms"] <= took["p99_ms"] < 20_000
    assert figures["requests"][0] == {"path": "/v1/{endpoint}/decide", "status": "200", "count": 2}


def test_a_lane_that_starts_has_a_page_that_says_so(start_lane, table, tmp_path: Path):
    gone = Served(ref="flight_delay/9", folder=tmp_path / "none")
    lane = start_lane(replace(table(), champion=gone))

    status, _, document = fetched(lane, f"{OWN}/page")

    assert lane.decide().status == 503
    assert status == 200
    assert "The endpoint is starting; no model is loaded." in document


def told_verdict(**more: Any) -> dict[str, Any]:
    """What the host leaves of a verdict over 24 days."""
    days = [f"2026-03-{day:02}T00:00:00+00:00" for day in range(1, 25)]
    bounds = [
        {"start": day, "mean": 0.01, "lower": -0.03 + 0.001 * place, "log_e": 0.1 * place}
        for place, day in enumerate(days)
        if place >= 19
    ]
    failed = {"name": "challenger is better", "state": "failed", "action": "hold"}
    return {
        "number": 7,
        "at": "2026-03-25T08:00:00+00:00",
        "actor": "rollout",
        "model": CHALLENGER,
        "champion": "flight_delay/1",
        "experiment": "1-against-2",
        "stage": "shadow",
        "action": "hold",
        "share": None,
        "rule": "delay-v1",
        "metric": "log_loss",
        "block": "day",
        "alpha": 0.025,
        "needed": 3.6889,
        "checks": [failed | {"sentence": "Over days, the bound is not above 0."}],
        "blocks": [
            {"start": day, "z": 0.01 + 0.05 * (place % 3 - 1)} for place, day in enumerate(days)
        ],
        "bounds": bounds,
        "crossed": None,
        "requests": 166_668,
        "effective": 2801.4,
        "expected": "Some 31 more days, about 2026-04-25.",
    } | more


def hostile_figures() -> dict[str, Any]:
    shadow = {"scored": 1, "failed": 1, "dropped": 0, "behind": 0, "message": HOSTILE}
    return {
        "endpoint": HOSTILE, "pid": 1, "replicas": [1], "began": HOSTILE, "generation": HOSTILE,
        "clock": HOSTILE, "at": HOSTILE,
        "champion": {"model": HOSTILE, "runtime": HOSTILE, "since": HOSTILE},
        "compared": [{"model": HOSTILE, "experiment": HOSTILE, "share": 0.5, "breaker": HOSTILE,
                      "shadow": shadow}],
        "traffic": {"design": HOSTILE, "unit": [HOSTILE]},
        "recent": {"seconds": 300, "answered": [1] * 300, "refused": [0] * 300,
                   "failed": [1] * 300},
        "latency": {HOSTILE: {"count": 1, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}},
        "in_flight": 0, "requests": [], "refusals": {HOSTILE: 1}, "decisions": {HOSTILE: 1},
        "repeated": 0, "fallbacks": [{"model": HOSTILE, "reason": HOSTILE, "count": 1}],
        "outcomes": {HOSTILE: 1}, "log": {"decisions": 1, "outcomes": 1, "bytes": 1},
        "verdicts": [told_verdict(model=HOSTILE, rule=HOSTILE, actor=HOSTILE, expected=HOSTILE)],
        "changes": [dict.fromkeys(("at", "generation", "action", "actor", "reason", "champion",
                                   "challenger"), HOSTILE)],
    }  # fmt: skip


def test_whatever_a_name_or_a_reason_says_it_is_shown_as_text():
    document = page(HOSTILE, sections(hostile_figures()), version="1").decode()
    plain = page("plain", {}, version="1").decode()

    read = Read(document)
    tags = {tag for tag, _ in read.elements}
    handlers = [name for _, attributes in read.elements for name in attributes if name[:2] == "on"]
    scripts = [a for tag, a in read.elements if tag == "script"]
    assert tags.isdisjoint({"img", "iframe", "object", "style", "base"})
    assert (handlers, len(scripts)) == ([], 1)
    assert scripts[0]["src"] is not None
    assert HOSTILE.split("<script>", maxsplit=1)[0] in read.texts["answers"]
    assert {tag for tag, _ in Read(plain).elements} >= {"main", "h1", "form"}


def test_a_browser_is_forbidden_everything_that_the_page_does_not_need(endpoint):
    _, headers, document = fetched(endpoint, f"{OWN}/page")

    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    read = Read(document)
    assert [a for _, a in read.elements if "style" in a] == []
    addresses = [
        a.get("src") or a.get("href") for tag, a in read.elements if tag in ("script", "link")
    ]
    assert all(str(address).startswith(f"{OWN}/page/page.") for address in addresses)
    types = [fetched(endpoint, str(address))[1]["content-type"] for address in addresses]
    assert types == ["text/css; charset=utf-8", "text/javascript"]


def test_every_heading_table_and_picture_has_a_name(endpoint):
    endpoint.decide()

    _, _, document = fetched(endpoint, f"{OWN}/page")

    elements = Read(document).elements
    ids = {a["id"] for _, a in elements if "id" in a}
    assert [tag for tag, _ in elements].count("h1") == 1
    labelled = [a["aria-labelledby"] for tag, a in elements if tag == "section"]
    assert labelled
    assert ids.issuperset(labelled)
    count = {name: sum(tag == name for tag, _ in elements) for name in ("table", "caption")}
    assert count["table"] == count["caption"] > 0
    assert all(a.get("scope") in ("row", "col") for tag, a in elements if tag == "th")
    assert all(a.get("aria-label") for tag, a in elements if tag == "svg")
    assert [a["lang"] for tag, a in elements if tag == "html"] == ["en"]
    assert [a["aria-live"] for _, a in elements if "aria-live" in a] == ["polite"]


class Locked:
    """This gate asks for a key, as it comes in the header."""

    def admit(self, asked: Asked, verb: Verb | None) -> None:
        if verb is not None and asked.header(b"authorization") != b"Bearer right":
            raise RequestError(
                "not_allowed", "A key is needed.", remedy="send one that may read."
            )  # fmt: skip


def test_where_keys_are_asked_for_the_page_is_a_shell_without_figures(start_lane, table):
    chosen = table()
    write_history(chosen.notices, change(1, "flight_delay/1", "secret plans"))
    lane = start_lane(chosen)
    lane.replica._app.gate = Locked()

    status, _, shell = fetched(lane, f"{OWN}/page")
    refused = [fetched(lane, path)[0] for path in (f"{OWN}/stats", "/metrics")]
    _, _, whole = fetched(lane, f"{OWN}/page", authorization="Bearer right")

    assert status == 200
    assert "secret plans" not in shell
    assert "flight_delay/1" not in shell
    assert [a for tag, a in Read(shell).elements if tag == "form" and "hidden" not in a]
    assert min(refused) >= 400
    assert "secret plans" in whole
    assert fetched(lane, f"{OWN}/page/page.js")[0] == 200


def test_the_chart_says_in_words_what_it_shows():
    answered, failed = [0] * 295 + [10] * 5, [0] * 299 + [5]

    chart = traffic_chart(answered, [0] * 300, failed)

    said = "Requests a second over 5 minutes: 11.0 now, at most 11.0; 5 failed."
    assert f'aria-label="{said}"' in chart
    assert chart.count('class="failed"') == 1


def test_the_chart_of_nothing_is_flat():
    chart = traffic_chart([0] * 300, [0] * 300, [0] * 300)

    assert "at most 0.0; 0 failed" in chart
    assert 'class="failed"' not in chart


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB"), (7e12, "7000.0 GB")],
)
def test_sizes_are_told_for_people(count: float, said: str):
    assert size(count) == said


def test_history_that_cannot_be_read_is_none(start_lane, table):
    chosen = table()
    chosen.notices.mkdir(parents=True)
    (chosen.notices / "flight_delay.history.json").write_text("{half")
    lane = start_lane(chosen)

    figures = json.loads(fetched(lane, f"{OWN}/stats")[2])

    assert (figures["changes"], figures["champion"]["since"]) == ([], None)


def test_every_link_of_the_page_leads_somewhere(endpoint):
    _, _, document = fetched(endpoint, f"{OWN}/page")

    links = [str(a["href"]) for tag, a in Read(document).elements if tag == "a"]
    statuses = {link: fetched(endpoint, link)[0] for link in links if link.startswith("/")}
    assert statuses == {f"{OWN}/{name}": 200 for name in ("openapi.json", "metrics", "stats")}


@pytest.mark.parametrize(
    ("champions", "since"),
    [
        pytest.param({3: "flight_delay/1", 2: "flight_delay/0"}, 3, id="promoted"),
        pytest.param({2: "flight_delay/1", 1: "flight_delay/1"}, 1, id="since the beginning"),
        pytest.param({9: "flight_delay/1", 8: "flight_delay/1"}, None, id="before what is kept"),
        pytest.param({9: "flight_delay/2", 8: "flight_delay/1"}, None, id="not applied yet"),
    ],
)
def test_since_when_a_champion_answers_is_told_where_it_is_known(
    start_lane, table, champions: dict[int, str], since: int | None
):
    chosen = table()
    write_history(chosen.notices, *(change(n, champion, "") for n, champion in champions.items()))
    lane = start_lane(chosen)

    told = json.loads(fetched(lane, f"{OWN}/stats")[2])["champion"]["since"]

    assert told == (None if since is None else f"2026-03-0{since}T08:00:00+00:00")


@pytest.mark.slow
def test_one_replica_shows_the_sum_of_all_that_live(
    start_process: Callable[..., Any], table: Callable[..., Any]
):
    chosen = table(replicas=(2, 2))
    first, second = start_process(chosen), start_process(chosen)
    for number in range(3):
        assert first.decide(id=f"a{number}").status == 200
    for number in range(4):
        assert second.decide(id=f"b{number}").status == 200

    def told() -> dict[str, Any]:
        return dict(json.loads(fetched(first, f"{OWN}/stats")[2]))

    ends = time.monotonic() + 20
    while told()["decisions"] != {"flight_delay/1": 7} and time.monotonic() < ends:
        time.sleep(0.2)
    together = told()
    second.kill()
    alone = told()
    third = start_process(replace(chosen, generation=2))
    left = sorted(file.name.split(".")[2] for file in chosen.notices.glob("*.stats.*.json"))

    assert together["decisions"] == {"flight_delay/1": 7}
    assert sum(together["recent"]["answered"]) == 7
    assert together["replicas"][0] == together["pid"]
    assert len(together["replicas"]) == 2
    assert third.decide().status == 200
    assert str(together["replicas"][1]) not in left
    assert (alone["decisions"], alone["replicas"]) == ({"flight_delay/1": 3}, [alone["pid"]])


def drawn(**more: Any) -> Read:
    written = sections(hostile_figures() | {"verdicts": [told_verdict(**more)]})
    return Read(str(written["evidence"]))


def test_the_evidence_on_a_challenger_is_drawn_told_and_expected():
    read = drawn()

    (chart,) = (found for tag, found in read.elements if tag == "svg")
    text = read.texts["evidence"]
    assert chart["aria-label"] == (
        "Advantage of the challenger over 24 days: its mean is 0.01, and the lower confidence "
        "bound -0.007 is not above 0."
    )
    assert sum(tag == "circle" for tag, _ in read.elements) == 24
    for told in (
        "flight_delay/2 is held",
        "Rule 'delay-v1', verdict 7 of",
        "Days 24",
        "Evidence (log) 2.30 of 3.69",
        "Decisions 166,668",
        "Worth, independent about 2,801",
        "Some 31 more days, about 2026-04-25.",
        "challenger is better no Over days, the bound is not above 0.",
    ):
        assert told in text


@pytest.mark.parametrize(
    ("stage", "action", "said"),
    [
        ("shadow", "ramp", "flight_delay/2 may answer more"),
        ("traffic", "rollback", "flight_delay/2 is to go"),
        ("traffic", "invalidate", "The evidence on flight_delay/2 is thrown away"),
        ("watch", "hold", "flight_delay/1 is watched; flight_delay/2 is ready to take over again"),
        ("watch", "promote", "flight_delay/1 has proved itself against flight_delay/2"),
        ("watch", "rollback", "flight_delay/1 is to go: flight_delay/2 takes over again"),
    ],
)
def test_the_headline_says_what_a_verdict_means_at_its_stage(stage, action, said):
    assert said in drawn(stage=stage, action=action).texts["evidence"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param({}, "the lower confidence bound, which has to be above", id="a challenger"),
        pytest.param(
            {"stage": "watch"}, "above the line at 0, the promotion is undone.", id="a watch"
        ),
        pytest.param(
            {"stage": "watch", "bounds": []},
            "Dots: days, above 0 where flight_delay/2 was better. There are too few for a bound.",
            id="too few",
        ),
    ],
)
def test_what_the_drawing_says_is_what_it_shows_at_its_stage(more, said):
    assert said in drawn(**more).texts["evidence"]


def test_the_zero_line_and_every_bound_are_within_the_drawing():
    far = [
        {"start": f"2026-03-{n + 1:02}T00:00:00+00:00", "z": 100.0 if n == 3 else 0.01}
        for n in range(24)
    ]
    read = drawn(blocks=far)

    lines = [found for tag, found in read.elements if tag == "line"]
    heights = [float(found["cy"] or -1) for tag, found in read.elements if tag == "circle"]
    assert all(0 <= float(line["y1"] or -1) <= 150 for line in lines)
    assert all(0 <= height <= 150 for height in heights)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"blocks": [], "bounds": []}, id="no block yet"),
        pytest.param({"blocks": [{"start": None, "z": None}]}, id="no block with a figure"),
        pytest.param({"bounds": [{"start": "x", "mean": None, "lower": None}]}, id="no bound"),
        pytest.param({"blocks": [{"z": "much"}], "requests": "many"}, id="no numbers"),
        pytest.param(dict.fromkeys(told_verdict()), id="nothing at all"),
    ],
)
def test_a_verdict_that_lacks_figures_is_shown_without_them(more):
    assert "evidence" in drawn(**more).texts


def test_a_verdict_on_another_experiment_is_not_shown(start_lane, table):
    chosen = replace(table(), experiment="1-against-2", challenger=None)
    write_history(chosen.notices, change(1, "flight_delay/1", "first"))
    file = chosen.notices / "flight_delay.history.json"
    told = json.loads(file.read_text()) | {"verdicts": [told_verdict(experiment="another")]}
    file.write_text(json.dumps(told))

    lane = start_lane(replace(chosen, experiment=None))

    _, _, answer = fetched(lane, f"{OWN}/stats")
    assert json.loads(answer)["verdicts"] == []
