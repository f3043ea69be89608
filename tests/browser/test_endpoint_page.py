"""What a user sees on the page of an endpoint: a real lane, asked while it is looked at."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from headrace.settings import using_settings
from operators.bundle import write_bundle
from serving._endpoint_records import Judgement
from serving._evidence_document import Block, DesignEffect, Evidence, Totals
from serving._request_errors import RequestError
from serving.judge import judge
from serving.lane.notices import ShadowFigures, ShadowNotice, shadow_file, write_notice
from serving.rollout.shown import shown_of
from serving.rule import Rule
from serving.traffic import Span, Traffic

Shot = Callable[[str], None]
CHALLENGER = "flight_delay/2"
SUMMED = ("decisions", "labelled", "censored", "paired", "shadow_errors", "shadow_missing")
CHANGED = "was => document.querySelector('#decisions').innerText.split(/\\s+/).join(' ') !== was"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> agreed with operations"


def _parts() -> Any:
    """Return the parts of lanes that the tests of serving have."""
    file = Path(__file__).parents[1] / "serving" / "lane" / "conftest.py"
    spec = spec_from_file_location("parts_of_lanes", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A lane with a challenger that answers a share, and a history."""
    parts = _parts()
    home = tmp_path_factory.mktemp("home")
    with using_settings(home=home):
        bundles = {ref: home / ref.replace("/", "-") for ref in ("flight_delay/1", CHALLENGER)}
        for ref, folder in bundles.items():
            write_bundle(folder, parts.fitted(ref))
        table = parts.LaneTable(
            endpoint="flight_delay",
            generation=4,
            champion=parts.Served(ref="flight_delay/1", folder=bundles["flight_delay/1"]),
            challenger=parts.Served(ref=CHALLENGER, folder=bundles[CHALLENGER]),
            experiment="1-against-2",
            lookups=tuple(parts.lookup_of(view, number=0) for view in parts.VIEWS),
            clock="live",
            may_lack=frozenset({"weather", "tails"}),
            online=home / "online.db",
            space="headrace",
            log=home / "decisions",
            notices=home / "lanes",
            traffic=Traffic(
                design="ab",
                unit=("tail",),
                salt="s",
                patience_ms=5_000,
                spans=(Span(model=CHALLENGER, start=0, end=2_000),),
            ),
        )
        _write_history(table.notices)
        figures = ShadowFigures(
            model=CHALLENGER, experiment="1-against-2", scored=51_204, failed=3, behind=18_400
        )
        write_notice(shadow_file(table.notices, "flight_delay"), ShadowNotice.of(4, 1, [figures]))
        running = parts.RunningLane()
        running.take(table)
        yield running
        running.stop()


def _write_history(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = [
        (
            4,
            "2026-03-09T14:30:00+00:00",
            "split",
            "ann",
            "20 % to see it with customers",
            CHALLENGER,
        ),
        (3, "2026-03-02T09:12:44+00:00", "challenge", "ann", "", CHALLENGER),
        (2, "2026-03-01T17:00:03+00:00", "promote", "flight delay rule", HOSTILE, None),
        (1, "2026-02-01T08:00:00+00:00", "declare", "ann", "the first one", None),
    ]
    changes = [
        {
            "generation": generation, "at": at, "action": action, "actor": actor, "reason": reason,
            "champion": "flight_delay/1" if generation > 1 else "flight_delay/0",
            "challenger": challenger,
        }
        for generation, at, action, actor, reason, challenger in rows
    ]  # fmt: skip
    told = {"changes": changes, "verdicts": [_verdict()]}
    (folder / "flight_delay.history.json").write_text(json.dumps(told))


def _verdict() -> dict[str, Any]:
    """What the host leaves of a verdict: the judge's, on 34 days that are worse and better."""
    rule = Rule(name="delay-v2", metric="log_loss", label_window_hours=48.0)
    luck = random.Random(3)  # noqa: S311
    start = datetime(2026, 2, 1, tzinfo=UTC)
    blocks = []
    for day in range(34):
        ours = luck.uniform(0.4, 0.5)
        theirs = ours - luck.gauss(0.001, 0.011)
        counts = {"decisions": 1500, "labelled": 1490, "censored": 10, "paired": 1488}
        blocks.append(
            Block(
                start=start + timedelta(days=day), **counts, shadow_errors=0, shadow_missing=2,
                champion_loss=ours, challenger_loss=theirs, z=ours - theirs,
            )
        )  # fmt: skip
    sums = {name: sum(getattr(b, name) for b in blocks) for name in SUMMED}
    ends = start + timedelta(days=37)
    evidence = Evidence(
        experiment="1-against-2", endpoint="flight_delay", champion="flight_delay/1",
        challenger=CHALLENGER, rule=rule.hash, as_of=ends, newest=start + timedelta(days=33),
        blocks=tuple(blocks), design=DesignEffect(
            requests=sums["paired"], effective=842.0, request_z=9.1, block_z=1.4
        ),
        totals=Totals(
            **sums, unusable=0, waiting=2_210, shadow_tried=51_204, shadow_failed=3, mixed=0
        ),
    )  # fmt: skip
    trace = judge(rule, evidence).trace()
    judgement = Judgement(
        number=12, endpoint="flight_delay", experiment="e", at=ends, actor="ann", trace=trace
    )
    return shown_of(judgement, CHALLENGER)


class Client:
    """This asks a lane for decisions until it is told to stop, and tells some outcomes."""

    def __init__(self, lane: Any, per_second: float) -> None:
        self.lane, self.pause = lane, 1 / per_second
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        chance = random.Random(7)  # noqa: S311
        number = 0
        while not self.ends.wait(self.pause * chance.uniform(0.2, 1.8)):
            number += 1
            entity = {"origin": "EWR", "tail": f"N{chance.randrange(400)}"}
            features = {"carrier": "UA", "distance": 719.0, "hour": 7}
            if number % 41 == 0:
                features["distance"] = "far"
            answer = self.lane.decide(id=f"UA{number}", entity=entity, features=features)
            if answer.status == 200 and number % 3 == 0:
                self.lane.tell({"id": f"UA{number}", "value": number % 2})

    def stop(self) -> None:
        self.ends.set()
        self.thread.join()


@pytest.fixture
def client(lane: Any) -> Iterator[Client]:
    client = Client(lane, per_second=60)
    yield client
    client.stop()


def _text(page: Any, section: str) -> str:
    return " ".join(page.locator(f"#{section}").inner_text().split())


def test_the_page_shows_who_answers_and_goes_on_showing_what_happens(
    lane: Any, client: Client, page: Any, shot: Shot
) -> None:
    time.sleep(12)  # some traffic to look at
    page.goto(f"{lane.url}/v1/flight_delay/page")
    page.get_by_text("Live: every 2 seconds.").wait_for()

    assert page.title() == "Endpoint flight_delay"  # the reason in its history is no markup
    assert "flight_delay/1" in _text(page, "answers")
    assert "2026-03-01 17:00:03 UTC" in _text(page, "answers")
    assert "20.00% of the traffic closed 51,204 3 0 18.4 kB" in _text(page, "compared")
    assert "flight_delay/2 is held" in _text(page, "evidence")
    assert page.get_by_role("img", name="Advantage of the challenger over 34 days").count() == 1
    assert "agreed with operations" in _text(page, "changes")
    before = _text(page, "decisions")
    page.wait_for_function(CHANGED, arg=before)
    page.set_viewport_size({"width": 1280, "height": 1180})
    shot("light")
    page.emulate_media(color_scheme="dark")
    shot("dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    shot("narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1360, "height": 900})


def test_the_keyboard_reaches_everything_and_stays_where_it_is(
    lane: Any, client: Client, page: Any
) -> None:
    page.goto(f"{lane.url}/v1/flight_delay/page")
    page.get_by_text("Live: every 2 seconds.").wait_for()

    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(document.activeElement.getAttribute('aria-label') "
                "|| document.activeElement.innerText)"
            )
        )
    table = page.get_by_role("group", name="Decisions by who answered")
    table.focus()
    before = _text(page, "decisions")
    page.wait_for_function(CHANGED, arg=before)

    assert reached[0] == "Skip to the figures"
    assert {"Changes, the newest first", "Metrics (Prometheus)"} <= set(reached)
    held = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert held == "Decisions by who answered"


def test_text_has_enough_contrast_in_both_schemes(lane: Any, client: Client, page: Any) -> None:
    script = """() => {
      const channel = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const parse = (c) => c.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) =>
        0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
      const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const c = parse(getComputedStyle(at).backgroundColor);
          if (c.length === 3 || c[3] > 0) return c;
        }
        return [255, 255, 255];
      };
      const low = [];
      for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || node.closest("svg") || !node.offsetParent) continue;
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) low.push([node.innerText, contrast]);
      }
      return low;
    }"""
    page.goto(f"{lane.url}/v1/flight_delay/page")
    page.get_by_text("Live: every 2 seconds.").wait_for()

    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found[scheme] = page.evaluate(script)

    assert found == {"light": [], "dark": []}


def test_without_its_script_the_page_shows_how_things_stood(
    lane: Any, client: Client, page: Any
) -> None:
    page.route("**/page.js*", lambda route: route.abort())

    page.goto(f"{lane.url}/v1/flight_delay/page")

    assert "flight_delay/1" in _text(page, "answers")
    assert page.locator("#state").inner_text() == "As it was when the page was loaded."


class Locked:
    """This gate asks for a key."""

    def admit(self, asked: Any, verb: str | None) -> None:
        if verb is not None and asked.header(b"authorization") != b"Bearer right":
            raise RequestError("unauthorized", "A key is needed.", remedy="send one.")


def test_where_a_key_is_asked_for_the_page_asks_and_keeps_it_in_the_tab(
    lane: Any, page: Any, heard: Any, shot: Shot
) -> None:
    app = lane.replica._app
    gate, app.gate = app.gate, Locked()
    try:
        page.goto(f"{lane.url}/v1/flight_delay/page")
        page.get_by_text("A key is needed to see the figures.").wait_for()
        shot("key")
        nothing = page.locator("main section").count()
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Show the figures").click()
        page.get_by_text("This key may not read the endpoint.").wait_for()
        page.get_by_label("API key").fill("right")
        page.keyboard.press("Enter")
        page.get_by_text("Live: every 2 seconds.").wait_for()

        assert nothing == 0
        assert "flight_delay/1" in _text(page, "answers")
        assert not page.get_by_label("API key").is_visible()
        assert page.evaluate("localStorage.length") == 0
    finally:
        app.gate = gate
    assert {status for status, _ in heard.refused} == {401}
    heard.refused = []


def test_a_lane_that_ends_is_told_and_what_was_known_stays(
    lane: Any, page: Any, heard: Any
) -> None:
    page.goto(f"{lane.url}/v1/flight_delay/page")
    page.get_by_text("Live: every 2 seconds.").wait_for()

    page.context.set_offline(True)
    try:
        page.get_by_text("The endpoint cannot be reached").wait_for()
        shown = _text(page, "answers")
    finally:
        page.context.set_offline(False)
    page.get_by_text("Live: every 2 seconds.").wait_for()

    assert "flight_delay/1" in shown
