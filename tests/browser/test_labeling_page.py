"""Raters label in a real Chromium: by keys alone, after reloads, without a server, hostile text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from headrace.labels.items import NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database
from headrace.settings import using_settings
from serving.labeling.app import labeling_app

Shot = Callable[[str], None]
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
LONG = "\n\n".join(
    f"Paragraph {n}. The harbour authority said on Monday that traffic through the northern lock "
    "would be cut by half while divers look at the gates; shipping companies expect delays of up "
    "to nine hours, and the grain exchange moved at once."
    for n in range(1, 5)
)
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> "
    "{{7*7}} \u202edesrever si siht\u202c \x00\x07\x1b[31m \u202b "
    "\U0001f469\u200d\U0001f52c e\u0301"
)


def _parts() -> Any:
    """Return the parts of labeling pages that the tests of serving have."""
    file = Path(__file__).parents[1] / "serving" / "labeling" / "conftest.py"
    spec = spec_from_file_location("parts_of_labeling", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def labeling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    parts = _parts()
    with using_settings(home=tmp_path_factory.mktemp("home")) as of:
        database = Database(of.database_url)
        queue, raters = LabelQueue(database), Raters(database)
        with parts.running(labeling_app(of, queue=queue, raters=raters)) as url:
            yield parts.Labeling(of, queue, raters, url)
        database.close()


class Page:
    """What a rater does, and what they see."""

    def __init__(self, page: Any, labeling: Any) -> None:
        self.page, self.labeling = page, labeling

    def sign_in(self, name: str, wanted: str = "/", *, adjudicates: bool = False) -> None:
        known = {each.name for each in self.labeling.raters.list()}
        raters = self.labeling.raters
        token = raters.rotate(name) if name in known else raters.add(name, adjudicates=adjudicates)
        self.page.context.clear_cookies()
        self.page.goto(self.labeling.url + wanted)
        self.page.get_by_label("Your token").fill(token)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(self.labeling.url + wanted)

    @property
    def item(self) -> str:
        return str(self.page.locator("#item .link").inner_text())

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as soon as another item is there."""
        for key in keys:
            before = self.page.evaluate("performance.getEntriesByName('shown').length")
            self.page.wait_for_timeout(110)  # what is pressed earlier was not meant
            self.page.keyboard.press(key)
            self.until(
                f"performance.getEntriesByName('shown').length > {before}"
                " || document.querySelector('#item .big')"
            )

    def until(self, condition: str) -> None:
        """Wait for a condition; the page's policy forbids it to evaluate one by itself."""
        for _ in range(1000):
            if self.page.evaluate(f"Boolean({condition})"):
                return
            self.page.wait_for_timeout(20)
        pytest.fail(f"It never came to: {condition}")

    def until_sent(self) -> None:
        self.until("Object.values(sessionStorage).every(kept => kept === '[]')")

    def open(self, task: str) -> None:
        self.page.goto(f"{self.labeling.url}/label/{task}")
        self.page.locator("#item .link").wait_for()

    def votes(self, task: str) -> list[Any]:
        return list(self.labeling.queue.votes(task=task))


@pytest.fixture
def rater(page: Any, labeling: Any, heard: Any) -> Iterator[Page]:
    yield Page(page, labeling)
    # who asks whether somebody is signed in is told no, and that is no trouble
    heard.refused = [each for each in heard.refused if each != (401, "/api/session")]


def _task(name: str, **more: Any) -> LabelTask:
    terms: dict[str, Any] = {
        "title": "Topic of the news",
        "labels": LabelSchema(
            choices=("business", "entertainment", "politics", "sport", "tech"),
            guideline="What is the article mostly about?\n\n- money, companies, markets: business\n"
            "- a match or an athlete: sport, also when it is about money\n\n"
            "When two fit, take the one of the first paragraph.",
        ),
        "entity": "document",
        "show": ("source", "title", "text"),
        "gold_share": 0.0,
        "hide_suggestions": 0.0,
        "overlap": 1,
    }
    return LabelTask(name=name, **terms | more)


def _items(count: int, **more: Any) -> list[NewItem]:
    return [
        NewItem(
            entity=f"entity-{n}",
            as_of=AS_OF,
            shown={
                "source": "harbour weekly",
                "title": f"Lock {n} closes for repairs",
                "text": LONG,
            },
            **more,
        )
        for n in range(count)
    ]


def test_twenty_items_are_labelled_by_keys_alone_one_of_them_anew(
    rater: Page, labeling: Any, shot: Shot
) -> None:
    labeling.ask_for(_task("keys"), _items(20, suggested="business", confidence=0.7))
    rater.sign_in("ada", "/label/keys")
    rater.page.locator("#item .link").wait_for()

    rater.press(*"12345", "1", "2", "u", "4", "Enter")
    rater.page.keyboard.press("s")
    rater.page.get_by_text("Why do you skip it?").wait_for()
    rater.press("2")
    shot("keys")
    rater.press(*"54321", *"54321", "1")
    rater.page.get_by_text("All done, thank you.").wait_for()
    rater.page.keyboard.press("u")
    rater.page.get_by_text("Your last answer is taken back.").wait_for()
    rater.press("1")
    rater.page.get_by_text("All done, thank you.").wait_for()

    rater.until_sent()
    votes = rater.votes("keys")
    assert len(votes) == 20
    assert sum(vote.label is None for vote in votes) == 1
    assert next(vote.skipped for vote in votes if vote.label is None) == "No choice fits"
    assert [vote.label for vote in votes][:8] == [
        "business", "entertainment", "politics", "sport", "tech", "business", "sport", "business",
    ]  # fmt: skip
    assert all(0 < vote.seconds < 60 for vote in votes if vote.label)
    assert labeling.queue.batches(task="keys")[0].status == "complete"


def test_a_key_press_shows_the_next_item_within_a_frame_or_two(rater: Page, labeling: Any) -> None:
    labeling.ask_for(_task("quick"), _items(12))
    rater.sign_in("ada", "/label/quick")
    rater.page.locator("#item .link").wait_for()
    rater.page.evaluate(
        """() => {
          window.took = [];
          document.addEventListener("keydown", () => {
            const begun = performance.now();
            const item = document.querySelector("#item");
            new MutationObserver((_, seen) => {
              seen.disconnect();
              requestAnimationFrame(() => window.took.push(performance.now() - begun));
            }).observe(item, {childList: true});
          }, {capture: true});
        }"""
    )

    for _ in range(10):
        rater.page.wait_for_timeout(400)  # the least that somebody takes to read
        rater.press("1")
    took = sorted(rater.page.evaluate("window.took"))

    assert len(took) >= 9
    assert took[len(took) // 2] < 50


def test_a_reload_and_a_deep_link_show_the_same_item_again(rater: Page, labeling: Any) -> None:
    batch = labeling.ask_for(_task("again"), _items(5))
    third = labeling.queue.items(batch.id)[2].id
    rater.sign_in("ada", "/label/again")
    rater.page.locator("#item .link").wait_for()
    rater.press("1")

    before = rater.item
    rater.page.reload()
    rater.page.locator("#item .link").wait_for()
    after = rater.item
    rater.page.goto(f"{labeling.url}/label/again?item={third}")
    rater.page.locator("#item .link").wait_for()

    assert after == before
    assert rater.item == f"#{third}"


def test_without_the_server_answers_are_kept_and_sent_once(
    rater: Page, labeling: Any, shot: Shot
) -> None:
    labeling.ask_for(_task("offline"), _items(6))
    rater.sign_in("ada", "/label/offline")
    rater.page.locator("#item .link").wait_for()
    rater.page.wait_for_timeout(500)

    rater.page.context.set_offline(True)
    rater.press("1")
    rater.page.get_by_text("1 answer is kept here and sent again").wait_for()
    shot("offline")
    kept = len(rater.votes("offline"))
    rater.page.context.set_offline(False)
    rater.press("2")
    rater.until_sent()

    assert kept == 0
    assert [vote.label for vote in rater.votes("offline")] == ["business", "entertainment"]


def test_an_answer_whose_acknowledgement_is_lost_counts_once(rater: Page, labeling: Any) -> None:
    labeling.ask_for(_task("lost"), _items(4))
    rater.sign_in("ada", "/label/lost")
    rater.page.locator("#item .link").wait_for()
    lost: list[str] = []

    def swallow(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.post_data)
        route.fetch()  # the server takes it
        route.abort()  # and nobody hears of it

    rater.page.route("**/api/votes", swallow)
    rater.press("3")
    rater.until_sent()
    rater.page.unroute("**/api/votes")

    assert json.loads(lost[0])["answer"] == "politics"
    assert [vote.label for vote in rater.votes("lost")] == ["politics"]


def test_hostile_text_is_text(rater: Page, labeling: Any, shot: Shot) -> None:
    schema = LabelSchema(choices=("<b>bold</b>", "sport"), guideline=HOSTILE.replace("\x00", ""))
    new = [
        NewItem(entity="a", as_of=AS_OF, shown={"title": HOSTILE, "text": HOSTILE * 3}),
        NewItem(entity="b", as_of=AS_OF, shown={"title": "long", "text": "word " * 20_000}),
        NewItem(entity="c", as_of=AS_OF, shown={"title": None, "text": {"a": [1, "<i>"]}}),
        NewItem(entity="d", as_of=AS_OF, shown={"title": 2**63 - 1, "text": "\x07\x00" * 50_000}),
    ]
    task = _task("hostile", labels=schema, show=("title", "text"), title=f"{HOSTILE[:60]}")
    labeling.ask_for(task, new)
    rater.sign_in("ada", "/label/hostile")
    rater.page.locator("#item .link").wait_for()

    texts = {}
    for _ in new:
        texts[rater.item] = rater.page.locator("#item dl").inner_text()
        if "desrever" in texts[rater.item]:
            shot("hostile")
            markup = rater.page.locator("#item").evaluate(
                "e => e.querySelectorAll('script,img,b').length"
            )
        rater.press("1")
    shown = "\n".join(texts.values())

    assert markup == 0
    assert "owned" not in rater.page.title().replace("title='owned'", "")
    assert "<script>document.title='owned'</script>" in shown
    assert "\u27e8U+202E\u27e9desrever" in shown
    assert "\u2407\u241b[31m" in shown
    assert "\u202e" not in shown
    assert "9223372036854775807" in shown
    assert "no value" in shown
    assert {vote.label for vote in rater.votes("hostile")} == {"<b>bold</b>"}


def test_the_session_that_another_sign_in_ends_says_so_and_keeps_the_answer(
    rater: Page, labeling: Any, heard: Any, shot: Shot
) -> None:
    labeling.ask_for(_task("elsewhere"), _items(4))
    rater.sign_in("eve", "/label/elsewhere")
    rater.page.locator("#item .link").wait_for()

    token = labeling.raters.rotate("eve")
    rater.page.wait_for_timeout(300)
    rater.page.keyboard.press("4")
    rater.page.get_by_text("You are not signed in any more").wait_for()
    shot("elsewhere")
    rater.page.get_by_role("button", name="Sign in").click()
    rater.page.get_by_label("Your token").fill(token)
    rater.page.keyboard.press("Enter")
    rater.page.locator("#item .link").wait_for()
    rater.until_sent()

    assert [vote.label for vote in rater.votes("elsewhere")] == ["sport"]
    assert {status for status, _ in heard.refused} == {401}
    heard.refused = []


def test_an_item_whose_time_is_over_says_so_and_can_be_asked_for_again(
    rater: Page, labeling: Any
) -> None:
    labeling.ask_for(_task("slow", lease_seconds=2), _items(2))
    rater.sign_in("ada", "/label/slow")
    rater.page.get_by_text("This item was kept for you for a while").wait_for()

    rater.page.keyboard.press("1")
    rater.page.get_by_text("It is yours again.").wait_for()
    early = len(rater.votes("slow"))
    rater.press("2")
    rater.until_sent()

    assert early == 0
    assert [vote.label for vote in rater.votes("slow")] == ["entertainment"]


def test_several_choices_a_number_and_an_order_are_answered_by_keys(
    rater: Page, labeling: Any, shot: Shot
) -> None:
    tags = LabelSchema(kind="multi", choices=("crime", "money", "weather"))
    delay = LabelSchema(kind="number", low=0, high=120, unit="minutes", guideline="As announced.")
    best = LabelSchema(kind="ranking", choices=("north", "east", "south"))
    for name, schema in (("tags", tags), ("delay", delay), ("best", best)):
        labeling.ask_for(_task(name, labels=schema), _items(2))
    rater.sign_in("ada", "/label/tags")
    rater.page.locator("#item .link").wait_for()

    rater.page.wait_for_timeout(150)
    rater.page.keyboard.press("3")
    rater.page.keyboard.press("1")
    shot("multi")
    rater.press("Enter", "Enter")
    rater.open("delay")
    rater.page.wait_for_timeout(150)
    rater.page.keyboard.type("300")
    rater.page.keyboard.press("Enter")
    rater.page.get_by_text("That is above the most, 120.").wait_for()
    shot("number")
    rater.page.keyboard.type("12.5")
    rater.press("Enter")
    rater.open("best")
    rater.page.wait_for_timeout(150)
    rater.page.keyboard.press("3")
    rater.page.keyboard.press("1")
    rater.page.get_by_role("button", name="Move north up").click()
    shot("ranking")
    rater.press("Enter")
    rater.until_sent()

    assert [vote.label for vote in rater.votes("tags")] == ['["crime","weather"]', "[]"]
    assert [vote.label for vote in rater.votes("delay")] == ["12.5"]
    assert [vote.label for vote in rater.votes("best")] == ['["north","south","east"]']


def test_ties_are_decided_with_the_votes_side_by_side(
    rater: Page, labeling: Any, shot: Shot
) -> None:
    labeling.ask_for(_task("ties", overlap=2), _items(3))
    for name, choice in (("cleo", "sport"), ("dan", "business")):
        labeling.raters.add(name)
        for n in range(3):
            claim = labeling.queue.claim("ties", name)
            labeling.queue.vote(claim.lease, name, choice, ms=5, request=f"tie-{name}-{n}")

    rater.sign_in("judge", "/adjudicate/ties", adjudicates=True)
    rater.page.get_by_text("3 items are undecided").wait_for()
    votes = rater.page.locator("#votes").inner_text().split()
    shot("ties")
    rater.page.keyboard.press("4")
    rater.page.get_by_text("2 items are undecided").wait_for()
    rater.page.keyboard.press("s")
    rater.page.get_by_text("Put off.").wait_for()
    rater.page.keyboard.press("1")
    rater.page.get_by_text("Nothing to decide.").wait_for()

    rater.page.goto(f"{labeling.url}/agreement/ties")
    rater.page.get_by_role("heading", name="Topic of the news · agreement").wait_for()
    shot("agreement")

    decided = [v.label for v in rater.votes("ties") if v.source == "adjudicator"]
    assert votes == ["cleo", "sport", "dan", "business"]
    assert decided == ["sport", "business"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_every_screen_and_have_enough_contrast(
    rater: Page, labeling: Any, shot: Shot, scheme: str
) -> None:
    labeling.ask_for(_task("looks"), _items(30, suggested="business", confidence=0.9))
    rater.page.emulate_media(color_scheme=scheme)
    rater.page.context.clear_cookies()
    rater.page.goto(f"{labeling.url}/sign-in")
    shot(f"sign-in-{scheme}")
    rater.sign_in("judge", "/", adjudicates=True)
    shot(f"tasks-{scheme}")
    low = {}
    for name, width, height in (("desktop", 1360, 900), ("phone", 390, 844), ("zoomed", 320, 256)):
        rater.page.set_viewport_size({"width": width, "height": height})
        rater.open("looks")
        rater.page.get_by_text("30 items done").wait_for()
        rater.page.wait_for_timeout(150)  # until it has come
        shot(f"{name}-{scheme}")
        low[name] = rater.page.evaluate(CONTRAST)
        assert rater.page.evaluate("document.documentElement.scrollWidth") <= width
    rater.page.set_viewport_size({"width": 1360, "height": 900})
    rater.page.keyboard.press("?")
    shot(f"help-{scheme}")
    rater.page.emulate_media(color_scheme="light")

    assert low == {"desktop": [], "phone": [], "zoomed": []}


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(
    rater: Page, labeling: Any
) -> None:
    labeling.ask_for(_task("order"), _items(2))
    rater.sign_in("ada", "/label/order")
    rater.page.locator("#item .link").wait_for()
    rater.page.locator(".leap").focus()

    reached = []
    for _ in range(14):
        rater.page.keyboard.press("Tab")
        name = "a => a.getAttribute('aria-label') || a.innerText"
        reached.append(rater.page.evaluate(f"({name})(document.activeElement)"))

    seen = [re.sub(r"\W+", " ", name).strip() for name in reached]
    assert seen.index("Sign out") < seen.index("Link to item " + rater.item[1:])
    assert seen.index("1 business") < seen.index("Undo u")
    assert {"Skip s", "Keys"} <= set(seen)


CONTRAST = """() => {
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
    if (!own || !node.offsetParent || node.closest(":disabled")) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push([node.innerText, contrast]);
  }
  return low;
}"""


@pytest.fixture
def below_a_path(page: Any, labeling: Any, heard: Any) -> Iterator[Page]:
    """The same page, as a proxy shows it that has it below a path."""
    parts = _parts()
    with using_settings(labels_url="http://127.0.0.1:8600/head/race") as of:
        app = labeling_app(of, queue=labeling.queue, raters=labeling.raters)
        with parts.running(app) as url:
            shown = parts.Labeling(of, labeling.queue, labeling.raters, f"{url}/head/race")
            yield Page(page, shown)
    heard.refused = [each for each in heard.refused if each != (401, "/head/race/api/session")]


def test_below_the_path_of_a_proxy_everything_is_asked_for_and_found_there(
    below_a_path: Page, heard: Any
) -> None:
    rater = below_a_path
    rater.labeling.ask_for(_task("below"), _items(2))
    rater.sign_in("proxied", "/label/below")
    rater.page.locator("#item .link").wait_for()

    rater.press("1", "2")
    rater.until_sent()
    rater.page.get_by_role("link", name="To the list of tasks").click()
    rater.page.wait_for_url(f"{rater.labeling.url}/")
    with rater.page.expect_response(f"{rater.labeling.url}/api/session"):
        rater.page.get_by_role("button", name="Sign out").click()
    rater.page.wait_for_url(f"{rater.labeling.url}/sign-in")

    asked = {urlsplit(url).path for url in heard.requests}
    assert [path for path in asked if not path.startswith("/head/race/")] == []
    assert [vote.label for vote in rater.votes("below")] == ["business", "entertainment"]
