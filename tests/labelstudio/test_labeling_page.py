"""What people see and do in a real Chromium on Label Studio's own page comes back as votes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from operators.label_studio import LabelStudio
from tests.labelstudio.conftest import PASSWORD, Rater, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
OFFLINE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)
PAGE_MS = 60_000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> $headrace_item'

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None or not CHROMIUM.exists(),
    reason="`make test-browser` installs Chromium and what drives it",
)


@pytest.fixture(scope="module")
def page(server: Server, eve: Rater, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page on which eve is signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=OFFLINE,
            viewport={"width": 1360, "height": 900},
        )
        context.set_default_timeout(PAGE_MS)
        page = context.new_page()
        page.goto(f"{server.url}/user/login/")
        page.fill("input[name=email]", eve.email)
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "login" not in url)
        yield page
        context.close()


def pushed(
    queue: LabelQueue, studio: LabelStudio, schema: LabelSchema, shown: dict[str, Any], **more: Any
) -> Batch:
    task = LabelTask(
        name="seen", labels=schema, entity="id", show=tuple(shown), overlap=1, hide_suggestions=0.0
    )
    key = sha256(str(schema).encode()).hexdigest()
    item = NewItem(entity="e0", as_of=NOON, shown=shown, **more)
    batch = queue.request(task, [item], key=key, backend="labelstudio")
    return studio.push(batch.id)


def opened(page: Page, batch: Batch) -> None:
    assert batch.external is not None
    page.goto(batch.external["url"])
    page.get_by_role("button", name="Submit").first.wait_for()


def sent(page: Page) -> None:
    with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST"):
        page.get_by_role("button", name="Submit").first.click()


def test_a_key_press_answers_hostile_text_is_text_and_the_guideline_is_shown(
    page: Page, queue: LabelQueue, studio: LabelStudio, eve: Rater, tmp_path: Path
) -> None:
    schema = LabelSchema(choices=("$text & <b>", "ham"), guideline="Look <b>well</b>.\n\n- twice")
    shown = {"text": HOSTILE, "who wrote it?": None}
    batch = pushed(queue, studio, schema, shown, suggested="ham", confidence=0.8)

    opened(page, batch)
    page.get_by_text("\u2022 twice").wait_for()
    page.screenshot(path=tmp_path / "guideline.png")
    page.keyboard.press("Escape")
    page.get_by_text("Look <b>well</b>.").wait_for(state="detached")
    seen, title = page.inner_text("body"), page.title()
    suggestion = page.get_by_role("checkbox", checked=True).or_(
        page.get_by_role("radio", checked=True)
    )
    checked = suggestion.count()
    page.keyboard.press("1")
    page.screenshot(path=tmp_path / "choices.png")
    sent(page)
    studio.sync(batch.id)

    assert HOSTILE in seen
    assert title not in ("1", "2")
    assert checked == 1
    votes = queue.votes(batch=batch.id)
    assert [(v.rater, v.label, v.suggestion_shown) for v in votes] == [
        (eve.email, "$text & <b>", True)
    ]
    assert 0 < (votes[0].seconds or 0) < 60


def test_what_is_marked_by_mouse_has_the_positions_of_the_text_that_was_sent(
    page: Page, queue: LabelQueue, studio: LabelStudio, tmp_path: Path
) -> None:
    text = "😀😀 <i>\r\nAnna lives in Berlin\r\n"
    schema = LabelSchema(kind="span", choices=("person", "place $1"))
    batch = pushed(queue, studio, schema, {"title": "A title", "text": text})

    opened(page, batch)
    for key, word in (("2", "Berlin"), ("1", "Anna")):
        page.keyboard.press(key)
        mark(page, word)
    page.screenshot(path=tmp_path / "spans.png")
    sent(page)
    said = studio.sync(batch.id)

    start, end = text.index("Anna"), text.index("Berlin")
    assert said.unused == ()
    assert [schema.value(str(v.label)) for v in queue.votes(batch=batch.id)] == [
        [
            {"start": start, "end": start + 4, "label": "person"},
            {"start": end, "end": end + 6, "label": "place $1"},
        ]
    ]


def test_a_ranking_by_mouse_and_a_number_by_keyboard_come_back(
    page: Page, queue: LabelQueue, studio: LabelStudio, tmp_path: Path
) -> None:
    ranking = LabelSchema(kind="ranking", choices=("alpha", "<b>beta", "gamma"))
    number = LabelSchema(kind="number", low=0, high=10, unit="$")
    ranked = pushed(queue, studio, ranking, {"text": "Which is best?"})

    opened(page, ranked)
    times = page.get_by_text("alpha", exact=True).count()
    drag(page, "alpha", onto="gamma")
    page.screenshot(path=tmp_path / "ranking.png")
    sent(page)
    said = studio.sync(ranked.id)
    counted = pushed(queue, studio, number, {"text": "How much?"})
    opened(page, counted)
    page.locator("input[type=number]").fill("3.5")
    page.screenshot(path=tmp_path / "number.png")
    sent(page)
    studio.sync(counted.id)

    assert (times, said.batch.status) == (1, "complete")
    assert [v.label for v in queue.votes(batch=ranked.id)] == ['["<b>beta","gamma","alpha"]']
    assert [v.label for v in queue.votes(batch=counted.id)] == ["3.5"]


def mark(page: Page, word: str) -> None:
    box = page.evaluate(
        """(word) => {
          const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          for (let node; (node = texts.nextNode());) {
            const at = node.data.indexOf(word);
            if (at < 0 || !node.parentElement.closest('[class*=richtext]')) continue;
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + word.length);
            const { left, right, top, bottom } = range.getBoundingClientRect();
            return [left, right, (top + bottom) / 2];
          }
        }""",
        word,
    )
    left, right, middle = box
    page.mouse.move(left + 1, middle)
    page.mouse.down()
    page.mouse.move(right - 1, middle, steps=8)
    page.mouse.up()
    page.get_by_text(word).nth(1).wait_for()  # in the list of what is marked


def drag(page: Page, choice: str, *, onto: str) -> None:
    begin = page.get_by_text(choice, exact=True).first.bounding_box()
    end = page.get_by_text(onto, exact=True).first.bounding_box()
    assert begin is not None
    assert end is not None
    page.mouse.move(begin["x"] + 5, begin["y"] + 5)
    page.mouse.down()
    page.mouse.move(begin["x"] + 8, begin["y"] + 30, steps=10)
    page.mouse.move(end["x"] + 8, end["y"] + end["height"] + 10, steps=20)
    page.wait_for_timeout(500)  # the list moves aside
    page.mouse.up()
    page.wait_for_timeout(500)
