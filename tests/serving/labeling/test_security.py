"""What the page refuses, whom it believes, and what it never tells."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.labels.items import NewItem
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from serving.labeling.attempts import Attempts
from serving.labeling.signing import next_page

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


def _ask_for(labeling, count=3, **terms):
    task = LabelTask(
        name="news",
        labels=LabelSchema(choices=("business", "sport")),
        entity="document",
        show=("title",),
        **{"gold_share": 0.0} | terms,
    )
    new = [NewItem(entity=f"e{n}", as_of=AS_OF, shown={"title": f"t{n}"}) for n in range(count)]
    return labeling.ask_for(task, new)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("rebound.example:8600", id="a name that leads here for an hour"),
        pytest.param("127.0.0.1.rebound.example", id="a name that begins like this machine"),
        pytest.param("192.168.1.7:8600", id="an address of another interface"),
        pytest.param("[", id="no name at all"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_request_that_names_another_host_is_refused(labeling, host: str):
    answer = labeling.browser().client.get("/sign-in", headers={"host": host})

    assert answer.status_code == 403
    assert answer.json() == {
        "problem": "The labeling page answers requests to this machine only.",
        "reason": "not_ours",
    }


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost:9999", "[::1]:8600", "LOCALHOST"])
def test_names_of_loopback_are_this_machine_also_through_a_tunnel(labeling, host: str):
    answer = labeling.browser().client.get("/health", headers={"host": host})

    assert (answer.status_code, answer.text) == (200, "ready")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": "http://evil.example"}, id="another site"),
        pytest.param({"origin": "http://127.0.0.1:4200"}, id="another port of this machine"),
        pytest.param({"origin": "null"}, id="a sandbox"),
        pytest.param({"origin": "http://["}, id="no origin at all"),
        pytest.param({"sec-fetch-site": "cross-site"}, id="another site, as the browser says"),
        pytest.param({"sec-fetch-site": "same-site"}, id="another port, as the browser says"),
    ],
)
def test_another_site_writes_nothing_even_with_the_token(labeling, rater, headers):
    _ask_for(labeling)
    ada = rater("ada")
    lease = ada.claim()["lease"]

    body = {"lease": lease, "answer": "sport", "request": "request-1"}
    answer = ada.post("/api/votes", body, **headers)

    assert answer.status_code == 403
    assert labeling.queue.votes(task="news") == []


@pytest.mark.parametrize(
    "path", ["/api/tasks/news/next", "/api/tasks/news/undo", "/api/votes", "/api/skips",
             "/api/adjudications"],
)  # fmt: skip
def test_every_write_needs_the_csrf_token_of_its_session(labeling, rater, path: str):
    _ask_for(labeling)
    ada, bob = rater("ada", adjudicates=True), rater("bob")

    without = ada.post(path, {}, **{"x-csrf-token": ""})
    with_another = ada.post(path, {}, **{"x-csrf-token": bob.csrf})

    for answer in (without, with_another):
        assert answer.status_code == 403
        assert answer.json() == {
            "problem": "The request does not come from a page of this session.",
            "remedy": "Reload the page and try again.",
            "reason": "csrf",
        }


def test_the_cookie_of_a_session_is_for_this_page_alone(labeling):
    answer = labeling.browser().sign_in(labeling.raters.add("ada"))

    [cookie] = [
        c for c in answer.headers.get_list("set-cookie") if c.startswith("headrace_labels=")
    ]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie


def test_a_form_that_this_browser_was_not_given_signs_nobody_in(labeling):
    token = labeling.raters.add("mallory")
    victim = labeling.browser()

    forged = victim.client.post("/sign-in", data={"token": token, "form": "x" * 43})

    assert forged.status_code == 403
    assert "headrace_labels=" not in str(forged.headers)
    assert victim.get("/api/session").status_code == 401


def test_who_signs_out_is_out_and_another_site_signs_nobody_out(labeling, rater):
    ada = rater("ada")

    forged = ada.client.post("/sign-out", data={"csrf": "wrong"})
    still = ada.get("/api/session").status_code
    meant = ada.client.post("/sign-out", data={"csrf": ada.csrf})

    assert (forged.status_code, still, meant.status_code) == (403, 200, 303)
    assert ada.get("/api/session").json()["reason"] == "signed_out"


def test_after_ten_wrong_tokens_an_address_waits_and_others_do_not(labeling):
    token = labeling.raters.add("ada")
    wrong = labeling.browser("127.0.0.5")

    statuses = [wrong.sign_in("hl_" + "0" * 12 + "_" + "x" * 43).status_code for _ in range(11)]
    right_but_late = wrong.sign_in(token)
    elsewhere = labeling.browser("127.0.0.6").sign_in(token)

    assert statuses == [403] * 10 + [429]
    assert right_but_late.status_code == 429
    assert re.search(r"Wait (5\d|60) seconds, then try again.", right_but_late.text)
    assert elsewhere.status_code == 303


def test_a_minute_after_the_tenth_failure_one_may_try_again_and_neighbours_count_as_one():
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    attempts = Attempts()
    with using_clock(clock):
        for number in range(10):
            before = attempts.wait_seconds("2001:db8::1")
            attempts.failed(f"2001:db8::{number}")
        at_once = attempts.wait_seconds("2001:db8::ffff")
        elsewhere = attempts.wait_seconds("2001:db8:0:1::1")
        clock.advance_to(clock.now() + timedelta(seconds=59))
        nearly = attempts.wait_seconds("2001:db8::1")
        clock.advance_to(clock.now() + timedelta(seconds=1))
        later = attempts.wait_seconds("2001:db8::1")

    assert (before, at_once, elsewhere, nearly, later) == (0.0, 60.0, 0.0, 1.0, 0.0)


def test_two_raters_with_one_token_are_told_and_the_second_may_take_over(labeling):
    _ask_for(labeling)
    token = labeling.raters.add("ada")
    first, second = labeling.browser(), labeling.browser()
    first.sign_in(token)

    refused = second.sign_in(token)
    taken = second.sign_in(token, takes_over=True)
    ended = first.post("/api/tasks/news/next", {})

    assert refused.status_code == 409
    assert "End the other session and go on here" in refused.text
    assert token not in refused.text
    assert taken.status_code == 303
    assert (ended.status_code, ended.json()["reason"]) == (401, "signed_out")
    assert ended.json()["problem"] == (
        "You are not signed in any more: somebody signed in elsewhere with your token, you signed "
        "out in another tab, or your token was taken away."
    )


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/label/news?item=4", "/label/news?item=4"),
        ("/adjudicate/news", "/adjudicate/news"),
        ("//evil.example/label/news", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/label/news/../../sign-out", "/"),
        ("/label/news?item=4#<script>", "/"),
        ("/label/news\n", "/"),
        ("/label/news?item=\u0664", "/"),
        (None, "/"),
    ],
)
def test_signing_in_leads_to_pages_of_ours_only(wanted, leads_to: str):
    assert next_page(wanted) == leads_to


def test_who_is_not_signed_in_is_led_to_the_form_and_back(labeling):
    browser = labeling.browser()

    led = browser.get("/label/news?item=4")
    back = browser.sign_in(labeling.raters.add("ada"), wanted="/label/news?item=4")

    assert (led.status_code, led.headers["location"]) == (303, "/sign-in?next=/label/news?item=4")
    assert back.headers["location"] == "/label/news?item=4"


def test_every_answer_bounds_what_the_browser_does_with_it(labeling, rater):
    ada = rater("ada")

    paths = ("/", "/sign-in", "/nowhere", "/api/session", "/api/nowhere", "/health")
    answers = [ada.get(path) for path in paths]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_rater_is_told_nothing_but_the_columns_of_the_task(labeling, rater):
    task = LabelTask(
        name="news", labels=LabelSchema(choices=("business", "sport")), entity="document",
        show=("title",), gold_share=0.5, suggest=False, overlap=2,
    )  # fmt: skip
    secret = {"entity": "SECRET-ENTITY", "as_of": AS_OF, "suggested": "sport",
              "suggested_by": "model:SECRET-MODEL", "confidence": 0.87654321}  # fmt: skip
    gold = NewItem(
        entity="SECRET-GOLD", as_of=AS_OF, shown={"title": "one"}, slice="gold", gold="business"
    )
    labeling.ask_for(task, [NewItem(shown={"title": "two"}, **secret), gold])
    ada, bob = rater("ada"), rater("bob")
    bob.vote("sport", request="bobs-vote-1")

    told = []
    for number in range(2):
        told += [ada.get("/").text, ada.get("/label/news").text]
        told.append(ada.post("/api/tasks/news/next", {"ahead": 1}).text)
        claim = ada.claim()
        told.append(str(claim))
        told.append(ada.vote("business", request=f"adas-vote-{number}").text)
        told.append(ada.get("/api/tasks/news/progress").text)
        assert claim["suggested"] is None
        assert [field["name"] for field in claim["fields"]] == ["title"]
        assert set(claim) == {"item", "batch", "lease", "seconds", "fields", "suggested", "vote"}

    everything = "\n".join(told)
    assert "SECRET" not in everything
    assert "0.87654321" not in everything
    assert "gold" not in everything
    assert "bob" not in everything


@pytest.mark.parametrize(
    "path",
    ["/adjudicate/news", "/agreement/news", "/export/news.csv", "/api/tasks/news/conflicts"],
)
def test_what_others_voted_is_for_raters_who_adjudicate(labeling, rater, path: str):
    _ask_for(labeling)

    refused = rater("ada").get(path)

    assert refused.status_code == 403
    assert "does not adjudicate" in refused.text.replace("&#39;", "'")


def test_a_task_of_other_raters_is_as_if_there_were_none(labeling, rater):
    _ask_for(labeling, raters=("bob", "cleo"))
    ada = rater("ada")

    theirs = ada.post("/api/tasks/news/next", {})
    none = ada.post("/api/tasks/nothing/next", {})

    assert "news" not in ada.get("/").text
    assert theirs.status_code == none.status_code == 404
    assert theirs.json() == {
        "problem": "There is no task 'news' that you may see.",
        "remedy": "Choose one of the list of tasks, or ask who runs this page.",
        "reason": "unknown",
    }
    assert none.json()["problem"] == "There is no task 'nothing' that you may see."


def test_an_answer_to_an_item_of_another_rater_is_refused(labeling, rater):
    _ask_for(labeling)
    ada, bob = rater("ada"), rater("bob")
    lease = ada.claim()["lease"]

    stolen = bob.post("/api/votes", {"lease": lease, "answer": "sport", "request": "request-1"})

    assert (stolen.status_code, stolen.json()["reason"]) == (403, "other_rater")
    assert labeling.queue.votes(task="news") == []


def test_a_request_beyond_all_measure_is_not_read(labeling, rater):
    ada = rater("ada")

    huge = ada.post("/api/votes", {"lease": "x" * 300_000, "answer": 1, "request": "request-1"})

    assert huge.status_code == 413
    assert huge.json()["problem"] == "The request is larger than 256 KiB."


def test_hostile_texts_of_tasks_are_text_in_every_document(labeling, rater):
    schema = LabelSchema(choices=(HOSTILE, "sport"), guideline=f"{HOSTILE}\n\n- {HOSTILE}")
    task = LabelTask(
        name="news", title=HOSTILE, labels=schema, entity="document", show=("title",),
        gold_share=0.0,
    )  # fmt: skip
    labeling.ask_for(task, [NewItem(entity="e", as_of=AS_OF, shown={"title": HOSTILE})])
    ada = rater("ada", adjudicates=True)

    pages = [ada.get(path).text for path in ("/", "/label/news", "/adjudicate/news")]

    for page in pages:
        assert HOSTILE not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
