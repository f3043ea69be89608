"""What the page's script asks and is told: items, answers, what is taken back, what is refused."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from headrace.labels.items import NewItem
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


def _ask_for(labeling, count=4, *, schema=None, shown=None, **terms):
    task = LabelTask(
        name="news",
        title="Topic",
        labels=schema or LabelSchema(choices=("business", "sport")),
        entity="document",
        **{"show": ("title",), "gold_share": 0.0, "overlap": 1, "hide_suggestions": 0.0} | terms,
    )
    shown = shown or {"title": "one"}
    new = [
        NewItem(entity=f"e{n}", as_of=AS_OF, shown=shown, suggested=task.labels.read("sport"))
        if task.labels.kind == "single"
        else NewItem(entity=f"e{n}", as_of=AS_OF, shown=shown)
        for n in range(count)
    ]
    return labeling.ask_for(task, new)


def test_a_claim_is_the_same_until_it_is_answered_and_one_ahead_is_another(labeling, rater):
    _ask_for(labeling)
    ada = rater("ada")

    first, again, ahead = ada.claim(), ada.claim(), ada.claim(ahead=1)
    body = {"lease": first["lease"], "answer": "sport", "ms": 5, "request": "request-1"}
    ada.post("/api/votes", body)
    after = ada.claim()

    assert first["item"] == again["item"] != ahead["item"]
    assert after["item"] == ahead["item"]
    assert first["suggested"] == "sport"
    assert first["vote"] is None
    assert 590 < first["seconds"] <= 600


def test_an_answer_that_is_sent_twice_counts_once_and_is_acknowledged_twice(labeling, rater):
    _ask_for(labeling)
    ada, bob = rater("ada"), rater("bob")
    claim, other = ada.claim(), bob.claim()

    body = {"lease": claim["lease"], "answer": "sport", "ms": 1500, "request": "request-1"}
    first, second = ada.post("/api/votes", body), ada.post("/api/votes", body)
    bobs = bob.post("/api/votes", body | {"lease": other["lease"]})

    assert first.json() == second.json()
    assert first.json()["receipt"]["batch_status"] == "open"
    assert bobs.status_code == 200  # an id is its rater's own
    votes = labeling.queue.votes(task="news")
    assert [(vote.rater, vote.label, vote.seconds) for vote in votes] == [
        ("ada", "sport", 1.5), ("bob", "sport", 1.5),
    ]  # fmt: skip


def test_an_answer_that_is_none_is_refused_and_the_item_is_still_held(labeling, rater):
    _ask_for(labeling)
    ada = rater("ada")
    claim = ada.claim()

    answer = ada.post(
        "/api/votes", {"lease": claim["lease"], "answer": "sprot", "request": "request-1"}
    )

    assert answer.status_code == 422
    assert answer.json() == {
        "problem": "The answer 'sprot' is none of the choices. Did you mean 'sport'?",
        "remedy": "Answer with one of: business, sport.",
        "reason": "answer",
    }
    assert ada.claim()["lease"] == claim["lease"]


def test_what_was_answered_or_skipped_is_taken_back_and_answered_anew(labeling, rater):
    _ask_for(labeling)
    ada = rater("ada")
    first = ada.claim()
    ada.vote("sport", request="request-1")
    lease = ada.claim()["lease"]
    ada.post("/api/skips", {"lease": lease, "why": "unclear", "ms": 4, "request": "request-2"})

    skip_back = ada.post("/api/tasks/news/undo", {"request": "request-3"}).json()["claim"]
    vote_back = ada.post("/api/tasks/news/undo", {"request": "request-4"}).json()["claim"]
    nothing = ada.post("/api/tasks/news/undo", {"request": "request-5"})

    assert skip_back["item"] != first["item"] == vote_back["item"]
    assert (skip_back["vote"], vote_back["vote"]) == (None, "sport")
    assert (nothing.status_code, nothing.json()["reason"]) == (409, "nothing_to_undo")
    assert labeling.queue.votes(task="news") == []


def test_a_deep_link_gives_its_item_or_says_why_not(labeling, rater):
    batch = _ask_for(labeling)
    second, third = [each.id for each in labeling.queue.items(batch.id)[1:3]]
    ada, bob = rater("ada", adjudicates=True), rater("bob")

    given = ada.claim(item=third)
    picked = bob.post("/api/tasks/news/next", {"item": second})
    bob.claim()
    taken = ada.post("/api/tasks/news/next", {"item": bob.claim()["item"]})
    missing = bob.post("/api/tasks/news/next", {"item": 999})

    assert given["item"] == third
    assert (taken.status_code, taken.json()["reason"]) == (409, "item_full")
    assert (picked.status_code, picked.json()) == (
        403,
        {
            "problem": f"Item {second} was not given to 'bob'; items are answered as they are "
            "given out.",
            "remedy": "Go on with the next item. Raters who settle ties may open any.",
            "reason": "not_given",
        },
    )
    assert (missing.status_code, missing.json()["reason"]) == (404, "item_unknown")
    assert ada.get(f"/label/news?item={third}").status_code == 200
    assert ada.get("/label/news?item=<script>").status_code == 200


def test_an_answer_that_comes_too_late_is_refused_in_words(labeling, rater):
    batch = _ask_for(labeling, lease_seconds=1)
    ada = rater("ada")
    late, closed = ada.claim(), ada.claim(ahead=1)
    time.sleep(1.1)

    told = ada.post(
        "/api/votes", {"lease": late["lease"], "answer": "sport", "request": "request-1"}
    )
    held = ada.claim(item=closed["item"])
    labeling.queue.close(batch.id, why="the budget is spent")
    body = {"lease": held["lease"], "answer": "sport", "request": "request-2"}
    ended = ada.post("/api/votes", body)

    assert (told.status_code, told.json()["reason"]) == (409, "lease_expired")
    assert f"Ask for item {late['item']} again" in told.json()["remedy"]
    assert (ended.status_code, ended.json()["reason"]) == (409, "batch_closed")
    assert "the budget is spent" in ended.json()["problem"]
    assert ada.claim() is None


@pytest.mark.parametrize(
    ("schema", "answer", "written"),
    [
        (LabelSchema(kind="multi", choices=("a", "b")), ["b", "a"], '["a","b"]'),
        (LabelSchema(kind="number", low=0, high=9, unit="km"), "1.50", "1.5"),
        (LabelSchema(kind="ranking", choices=("a", "b")), ["b", "a"], '["b","a"]'),
    ],
    ids=["several choices", "a number, as it was typed", "an order"],
)
def test_every_kind_that_the_page_asks_for_is_taken(labeling, rater, schema, answer, written):
    _ask_for(labeling, schema=schema)
    ada = rater("ada")

    taken = ada.vote(answer, request="request-1")
    back = ada.post("/api/tasks/news/undo", {"request": "request-2"}).json()["claim"]
    ada.vote(back["vote"], request="request-3")

    assert taken.status_code == 200
    assert [vote.label for vote in labeling.queue.votes(task="news")] == [written]


def test_values_are_told_as_text_that_loses_nothing(labeling, rater):
    shown = {"title": 2**63 - 1, "ratio": 0.1, "flag": True, "none": None, "list": [1, {"a": "ä"}],
             "half": "\ud800 whole"}  # fmt: skip
    _ask_for(labeling, shown=shown, show=tuple(shown))

    fields = rater("ada").claim()["fields"]

    assert [(field["name"], field["form"], field["text"]) for field in fields] == [
        ("title", "number", "9223372036854775807"),
        ("ratio", "number", "0.1"),
        ("flag", "text", "yes"),
        ("none", "none", ""),
        ("list", "json", '[\n  1,\n  {\n    "a": "ä"\n  }\n]'),
        ("half", "text", "\ufffd whole"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/api/votes", {"lease": "x", "answer": 1}, "request: Field required"),
        ("/api/votes", {"lease": "x", "answer": 1, "request": "short"}, "request: String should"),
        ("/api/votes", {"lease": "x", "answer": 1, "request": "request-1", "ms": -1}, "ms: Input"),
        (
            "/api/votes",
            {"lease": "x", "answer": 1, "request": "request-1", "rater": "bob"},
            "rater",
        ),
        ("/api/tasks/news/next", {"ahead": 2}, "ahead: Input should be"),
        ("/api/tasks/news/next", {"item": 10**30}, "item: Input should be"),
        ("/api/skips", {"lease": "x", "why": "", "request": "request-1"}, "why: String should"),
    ],
)
def test_a_request_that_says_less_or_more_than_it_should_is_refused(
    labeling, rater, path: str, body, where: str
):
    _ask_for(labeling)

    answer = rater("ada").post(path, body)

    assert (answer.status_code, answer.json()["reason"]) == (422, "request")
    assert f"The request is not understood: {where}" in answer.json()["problem"]


def test_progress_is_told_of_all_and_of_the_rater(labeling, rater):
    _ask_for(labeling)
    ada, bob = rater("ada"), rater("bob")
    ada.vote("sport", request="request-1")
    bob.vote("sport", request="request-1")

    told = ada.get("/api/tasks/news/progress").json()
    listed = ada.get("/").text

    assert told == {
        "items": 4, "done": 2, "votes": 2, "wanted": 4, "mine": 1,
        "mine_per_minute": told["mine_per_minute"], "all_per_minute": told["all_per_minute"],
    }  # fmt: skip
    assert 0 < told["mine_per_minute"] < told["all_per_minute"]
    assert "2 of 4 items done" in listed
    assert "1 answer of yours" in listed


def test_who_adjudicates_sees_the_votes_that_differ_and_decides(labeling, rater):
    _ask_for(labeling, 2, overlap=2)
    ada, bob, judge = rater("ada"), rater("bob"), rater("judge", adjudicates=True)
    for n, (mine, yours) in enumerate([("sport", "business"), ("sport", "sport")]):
        ada.vote(mine, request=f"request-{n}")
        bob.vote(yours, request=f"request-{n}")

    told = judge.get("/api/tasks/news/conflicts").json()
    [conflict] = told["conflicts"]
    body = {"item": conflict["item"], "answer": "business", "request": "request-9"}
    refused = ada.post("/api/adjudications", body)
    decided = judge.post("/api/adjudications", body)
    after = judge.get("/api/tasks/news/conflicts").json()

    assert told["total"] == 1
    assert conflict["votes"] == [
        {"rater": "ada", "answer": "sport", "skipped": None},
        {"rater": "bob", "answer": "business", "skipped": None},
    ]
    assert refused.json()["reason"] == "not_adjudicator"
    assert decided.status_code == 200
    assert (after["total"], after["conflicts"]) == (0, [])


def test_a_task_of_spans_says_that_it_is_labelled_in_label_studio(labeling, rater):
    task = LabelTask(
        name="names", labels=LabelSchema(kind="span", choices=("person",)), entity="document",
        show=("title",), gold_share=0.0,
    )  # fmt: skip
    new = [NewItem(entity="e", as_of=AS_OF, shown={"title": "one"})]
    place = {"url": "http://127.0.0.1:8080/projects/12/data"}
    labeling.ask_for(task, new, backend="labelstudio", external=place)
    ada = rater("ada")

    page = ada.get("/label/names").text

    assert "This task is labelled in Label Studio" in page
    assert 'href="http://127.0.0.1:8080/projects/12/data"' in page


def test_a_link_that_is_no_web_address_is_not_offered(labeling, rater):
    task = LabelTask(
        name="names", labels=LabelSchema(kind="span", choices=("person",)), entity="document",
        show=("title",), gold_share=0.0,
    )  # fmt: skip
    new = [NewItem(entity="e", as_of=AS_OF, shown={"title": "one"})]
    labeling.ask_for(task, new, backend="labelstudio", external={"url": "javascript:alert(1)"})

    page = rater("ada").get("/label/names").text

    assert "javascript:" not in page
    assert "No batch of it is open there now." in page


def test_what_nobody_is_left_to_answer_is_told_with_the_remedy(labeling, rater):
    batch = _ask_for(labeling, 1, overlap=2)
    ada, judge = rater("ada"), rater("judge", adjudicates=True)
    judge.vote("sport", request="request-1")
    labeling.raters.revoke("ada")
    told = judge.post("/api/tasks/news/next", {}).json()

    page = " ".join(judge.get("/").text.split())

    assert ada.get("/api/session").status_code == 401
    assert (told["claim"], told["nobody_left"]) == (None, 1)
    assert "Nobody is left to answer 1 item. Add a rater: `headrace label raters add NAME`" in page
    assert f"`headrace label close {batch.id} --reason ...`" in page


def test_raters_at_the_same_time_get_no_item_too_often(labeling, rater):
    _ask_for(labeling, 30, overlap=2)
    raters = [rater(f"rater-{n}") for n in range(4)]

    def label(browser) -> int:
        given = 0
        while (claim := browser.claim()) is not None:
            body = {"lease": claim["lease"], "answer": "sport", "request": f"request-{given}"}
            assert browser.post("/api/votes", body).status_code == 200
            given += 1
        return given

    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(label, raters))

    votes = labeling.queue.votes(task="news")
    assert sum(given) == len(votes) == 60
    assert len({(vote.rater, vote.entity) for vote in votes}) == 60
    assert labeling.queue.batches(task="news")[0].status == "complete"


def test_agreement_is_shown_with_what_each_rater_got_right(labeling, rater):
    task = LabelTask(
        name="news", labels=LabelSchema(choices=("business", "sport")), entity="document",
        show=("title",), gold_share=0.5, overlap=2,
    )  # fmt: skip
    new = [NewItem(entity=f"e{n}", as_of=AS_OF, shown={"title": f"t{n}"}) for n in range(4)]
    new += [
        NewItem(entity=f"g{n}", as_of=AS_OF, shown={"title": "g"}, slice="gold", gold="sport")
        for n in range(4)
    ]
    labeling.ask_for(task, new)
    ada, bob, judge = rater("ada"), rater("bob"), rater("judge", adjudicates=True)
    for n in range(8):
        ada.vote("sport", request=f"request-{n}")
        bob.vote("sport" if n % 2 else "business", request=f"request-{n}")

    page = judge.get("/agreement/news")
    text = " ".join(page.text.split())

    assert page.status_code == 200
    assert "Krippendorff's alpha" in page.text
    assert '<th scope="row"><bdi>ada</bdi></th><td class="count">8</td>' in text
    assert "100.0 %" in text
    assert "<bdi>ada</bdi> and <bdi>bob</bdi>" in text
    assert 'href="/export/news.parquet"' in text


def test_raters_of_numbers_are_near_each_other_and_apart_by_so_much(labeling, rater):
    task = LabelTask(
        name="weight", labels=LabelSchema(kind="number", tolerance=0.5), entity="parcel",
        show=("text",), overlap=2,
    )  # fmt: skip
    new = [NewItem(entity=f"p{n}", as_of=AS_OF, shown={"text": f"t{n}"}) for n in range(2)]
    labeling.ask_for(task, new)
    ada, bob, judge = rater("ada"), rater("bob"), rater("judge", adjudicates=True)
    for n in range(2):
        ada.vote(1.0, task="weight", request=f"request-{n}")
        bob.vote(1.5 + n, task="weight", request=f"request-{n}")

    text = judge.get("/agreement/weight").text
    ties = judge.get("/api/tasks/weight/conflicts").json()

    assert "Near each other" in text
    assert ">Off by<" in text
    assert '<td class="count">50.0 %</td>\n<td class="count">1.000</td>' in text
    assert ties["total"] == 1
