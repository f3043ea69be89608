"""Tasks, suggestions and answers mean the same in Label Studio as with us; its faults are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DataError, DefinitionError, ServiceError
from headrace.labels.batches import QueueItem
from headrace.labels.items import VoteRecord
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database
from operators._label_studio_answers import SKIPPED, Place, read_annotations
from operators._label_studio_config import instruction, labeling_config
from operators._label_studio_results import answer_of
from operators._label_studio_tasks import shows_suggestion, suggested_results, task_of
from operators.label_studio import LabelStudio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PEOPLE = {1: "ada@example.com", 2: "bob@example.com", 3: "eve@example.com"}
SPAM = LabelSchema(choices=("spam", "ham"))
LETTERS = st.characters(exclude_categories=("C", "Z"))
CHOICES = st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=2, max_size=12, unique=True)


def asked(schema: LabelSchema = SPAM, **terms: Any) -> LabelTask:
    known = {"name": "topic", "labels": schema, "entity": "id", "show": ("text",)}
    return LabelTask.model_validate(known | terms)


def item(number: int = 1, **more: Any) -> QueueItem:
    known: dict[str, Any] = {
        "entity": f"e{number}", "as_of": NOON, "shown": {"text": "Anna lives here"}, "id": number,
        "batch": "b1", "overlap": 2, "votes": 0, "skips": 0, "open": True,
    }  # fmt: skip
    return QueueItem(**known | more)


def parsed(task: LabelTask) -> ElementTree.Element:
    return ElementTree.fromstring(labeling_config(task))  # noqa: S314 (our own)


@given(choices=CHOICES, kind=st.sampled_from(("single", "multi", "span")))
def test_every_choice_is_shown_and_given_back_as_it_is_whatever_it_looks_like(choices, kind):
    task = asked(LabelSchema(kind=kind, choices=tuple(choices)))

    shown = parsed(task)

    tags = shown.findall(".//Label" if kind == "span" else ".//Choice")
    assert [tag.get("alias", tag.get("value")) for tag in tags] == choices
    assert [str(tag.get("value")).replace("\u2060", "") for tag in tags] == choices
    # "$" followed by the word joiner is no reference to the data of a task
    assert all("$" not in str(tag.get("value")).replace("$\u2060", "") for tag in tags)
    assert [tag.get("hotkey") for tag in tags][:10] == list("1234567890")[: len(tags)]


@given(st.data())
def test_what_is_suggested_and_sent_back_untouched_is_the_same_answer(data):
    choices = tuple(data.draw(CHOICES))
    kind = data.draw(st.sampled_from(("single", "multi", "number", "ranking", "span")))
    text = data.draw(st.text(min_size=2, max_size=20))
    schema = LabelSchema(kind=kind, choices=() if kind == "number" else choices)
    start = data.draw(st.integers(0, len(text) - 1))
    spans = [
        {"start": start, "end": len(text), "label": choices[0]},
        {"start": 0, "end": start + 1, "label": choices[1]},
    ]
    answers = {
        "single": st.sampled_from(choices),
        "multi": st.lists(st.sampled_from(choices), unique=True),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "ranking": st.permutations(choices),
        "span": st.just(spans),
    }
    written = schema.read(data.draw(answers[kind]))

    results = suggested_results(written, asked(schema), shown={"text": text})

    assert answer_of(json.loads(json.dumps(results)), asked(schema), text) == written


def test_a_task_shows_its_columns_in_order_as_what_they_are():
    task = asked(show=("a photo", "sound", "text"), media={"a photo": "image", "sound": "audio"})
    shown = {"a photo": "https://example.org/1.png", "sound": "http://example.org/1", "text": None}

    config = parsed(task)
    sent = task_of(item(7, shown=shown, gold="ham", slice="gold"), task, batch="b1")

    tags = [(tag.tag, tag.get("value")) for tag in config if tag.tag != "Choices"]
    assert tags == [
        ("Header", "a photo"),
        ("Image", "$headrace_column_0"),
        ("Header", "sound"),
        ("Audio", "$sound"),
        ("Header", "text"),
        ("Text", "$text"),
    ]
    assert sent == {
        "data": {
            "headrace_column_0": "https://example.org/1.png",
            "sound": "http://example.org/1",
            "text": "\u2014",
            "headrace_item": 7,
        }
    }


def test_pieces_are_marked_in_the_last_column_with_text():
    schema = LabelSchema(kind="span", choices=("person",))
    task = asked(schema, show=("title", "text", "photo"), media={"photo": "image"})

    config = parsed(task)

    marked = config.find("Labels")
    assert marked is not None
    assert config.find(f"Text[@name='{marked.get('toName')}']").get("value") == "$text"  # type: ignore[union-attr]


def test_a_number_has_its_bounds_and_its_unit():
    schema = LabelSchema(kind="number", low=0, high=10.5, unit="$")

    config = parsed(asked(schema))

    asks = [tag.get("value") for tag in config.findall("Header")]
    number = config.find("Number")
    assert asks == ["text", "A number in $\u2060, at least 0 and at most 10.5"]
    assert number is not None
    assert (number.get("min"), number.get("max")) == ("0", "10.5")


def test_a_guideline_is_text_with_its_lines_and_points():
    assert instruction("Look <b>well</b>.\n\n- one\n- two\n") == (
        "Look &lt;b&gt;well&lt;/b&gt;.<br><br>\u2022 one<br>\u2022 two"
    )


def test_a_suggestion_is_hidden_for_the_share_of_the_items_and_always_for_the_same():
    task, never = asked(hide_suggestions=0.25), asked(suggest=False)
    suggested = [item(number, suggested="spam") for number in range(2000)]

    shown = [shows_suggestion(each, task, batch="b1") for each in suggested]

    assert shown == [shows_suggestion(each, task, batch="b1") for each in suggested]
    assert shown != [shows_suggestion(each, task, batch="b2") for each in suggested]
    # four standard deviations: a chance of 1 in 16,000, drawn once and for all by the numbers
    assert abs(sum(shown) / 2000 - 0.75) < 0.039
    assert not any(shows_suggestion(each, never, batch="b1") for each in suggested)
    assert not shows_suggestion(item(1), task, batch="b1")


@pytest.mark.parametrize(
    ("terms", "shown", "said"),
    [
        pytest.param(
            {"media": {"text": "image"}},
            "javascript:go()",
            "The column 'text' of the item 'e1' holds 'javascript:go()', which is no address of an "
            "image.",
            id="a picture without an address",
        ),
        pytest.param(
            {"labels": LabelSchema(kind="span", choices=("person",))},
            None,
            "The column 'text' of the item 'e1' holds None: there is no text to mark.",
            id="no text to mark",
        ),
    ],
)
def test_an_item_that_cannot_be_shown_is_refused(terms, shown, said):
    with pytest.raises(DataError) as refused:
        task_of(item(shown={"text": shown}), asked(**terms), batch="b1")

    assert refused.value.problem == said


# --- what annotations say ---


def choice(chosen: str) -> list[dict[str, Any]]:
    return [{"from_name": "answer", "type": "choices", "value": {"choices": [chosen]}}]


def annotation(number: int, user: int | None, result: Any, **more: Any) -> dict[str, Any]:
    at = f"2026-03-01T12:00:{number:02}.500000Z"
    known = {
        "id": number, "completed_by": user, "result": result, "was_cancelled": False,
        "created_at": at, "updated_at": at, "lead_time": 1.25, "updated_by": user,
    }  # fmt: skip
    return known | more


def task_with(*annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    times = {"created_at": "2026-03-01T11:00:00Z", "updated_at": "2026-03-01T13:00:00Z"}
    return {"annotations": list(annotations), "predictions": [], **times, **more}


def stands(rater: int, label: str | None, skipped: str | None = None) -> VoteRecord:
    return VoteRecord(
        number=rater, entity="e1", batch="b1", rater=PEOPLE[rater], source="person", label=label,
        skipped=skipped, seconds=None, at=NOON, as_of=NOON, schema_version=SPAM.version,
        slice="chosen", gold=None, suggested=None, suggested_by=None, suggestion_shown=False,
    )  # fmt: skip


def place(*standing: VoteRecord, task: LabelTask | None = None) -> Place:
    return Place(
        batch="b1", item=1, entity="e1", shown={"text": "Anna lives here"}, task=task or asked(),
        standing={vote.rater: vote for vote in standing},
    )  # fmt: skip


def said(*annotations: dict[str, Any], at: Place | None = None) -> list[tuple[str, Any, Any]]:
    reading = read_annotations([task_with(*annotations)], at or place(), people=PEOPLE)
    return [(v.rater.split("@")[0], v.label, v.skipped) for v in reading.votes]


def test_what_is_taken_back_comes_first_then_what_changed_then_what_is_new():
    annotations = [
        annotation(3, 3, choice("spam")),
        annotation(2, 2, choice("ham")),
    ]

    votes = said(*annotations, at=place(stands(1, "spam"), stands(2, "spam")))

    assert votes == [("ada", None, None), ("bob", "ham", None), ("eve", "spam", None)]


def test_what_stands_already_is_no_vote_and_a_skip_is_no_answer():
    annotations = [
        annotation(1, 1, choice("spam")),
        annotation(2, 2, choice("ham"), was_cancelled=True),
        annotation(3, 3, [], was_cancelled=True),
    ]
    standing = place(stands(1, "spam"), stands(3, None, SKIPPED))

    reading = read_annotations([task_with(*annotations)], standing, people=PEOPLE)

    assert [(v.rater, v.label, v.skipped) for v in reading.votes] == [
        ("bob@example.com", None, SKIPPED)
    ]
    assert reading.same == 2


def test_a_changed_answer_has_a_request_of_its_own_and_the_same_one_has_the_same():
    first = annotation(1, 1, choice("spam"))
    later = {**first, "updated_at": "2026-03-01T12:09:00Z", "result": choice("ham")}

    def requests(each: dict[str, Any], *standing: VoteRecord) -> list[str]:
        reading = read_annotations([task_with(each)], place(*standing), people=PEOPLE)
        return [vote.request for vote in reading.votes]

    again = requests(first)
    changed = requests(later, stands(1, "spam"))

    assert again == requests(first)
    assert len({*again, *changed, *requests(later)}) == 3
    assert max(map(len, again)) < 128


def test_a_task_that_was_sent_again_takes_no_vote_back():
    born = task_with(created_at="2026-03-01T12:30:00Z")

    reading = read_annotations([born], place(stands(1, "spam")), people=PEOPLE)

    assert reading.votes == ()


def test_of_a_user_who_was_removed_nothing_is_counted_and_nothing_is_taken_back():
    orphan = task_with(annotation(1, None, choice("spam")))

    reading = read_annotations([orphan], place(stands(1, "spam")), people=PEOPLE)

    assert reading.votes == ()
    assert [each.why for each in reading.unused] == ["its annotator is no user any more"]


@pytest.mark.parametrize(
    ("schema", "result", "why"),
    [
        (SPAM, [], "It has no answer."),
        (SPAM, choice("spam") * 2, "It has two answers."),
        (SPAM, choice("eggs"), "The answer 'eggs' is none of the choices."),
        (
            SPAM,
            [{"from_name": "other", "type": "choices", "value": {"choices": ["spam"]}}],
            "A result of the type 'choices' by the control 'other' is no answer of the kind "
            "'single'.",
        ),
        (
            SPAM,
            [{"from_name": "answer", "type": "choices", "value": {}}],
            "Its result cannot be read (KeyError): "
            '[{"from_name": "answer", "type": "choices", "value": {}}].',
        ),
        (
            LabelSchema(kind="number", high=10),
            [{"from_name": "answer", "type": "number", "value": {"number": 11}}],
            "The answer 11 is above the most, 10.",
        ),
        (
            LabelSchema(kind="span", choices=("person",)),
            [
                {"from_name": "answer", "type": "labels",
                 "value": {"start": 5, "end": 9, "text": "Anna", "labels": ["person"]}}
            ],
            "It marks 'Anna' at 5 to 9, where the text says 'live'.",
        ),
        (
            LabelSchema(kind="span", choices=("person",)),
            [{"from_name": "answer", "type": "labels", "value": {"start": 0, "end": 4}}],
            "It marks 0 to 4 without a label.",
        ),
        (
            LabelSchema(kind="ranking", choices=("a", "b")),
            [{"from_name": "answer", "type": "ranker", "value": {"ranker": {"answer": ["a"]}}}],
            "The answer ['a'] leaves out 'b'; a ranking has every choice.",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told_with_the_reason(schema, result, why):
    unread = task_with(annotation(4, 1, result))

    reading = read_annotations([unread], place(task=asked(schema)), people=PEOPLE)

    assert reading.votes == ()
    assert [(u.annotation, u.rater, u.why) for u in reading.unused] == [(4, "ada@example.com", why)]


def test_an_annotation_that_somebody_else_changed_is_told():
    later = NOON + timedelta(minutes=5)
    edited = annotation(1, 1, choice("spam"), updated_by=2, updated_at=later.isoformat())

    reading = read_annotations([task_with(edited)], place(), people=PEOPLE)

    assert [vote.rater for vote in reading.votes] == ["ada@example.com"]
    assert reading.edited == 1


# --- what may answer in place of Label Studio ---


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LabelQueue]:
    database = Database(tmp_path / "labels.db")
    yield LabelQueue(database)
    database.close()


@contextmanager
def answering(status: int, body: Any, **headers: str) -> Iterator[str]:
    """Answer everything with the same, and yield the address."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Same) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "headers", "problem"),
    [
        pytest.param(
            200, {"release": "1.10.0", "label-studio-os-package": {}}, {},
            "Label Studio at {url} is version 1.10.0; versions from 1.23 up to before 2 are "
            "understood.",
            id="too old",
        ),
        pytest.param(
            200, {"release": "2.0.0", "label-studio-os-package": {}}, {},
            "Label Studio at {url} is version 2.0.0; versions from 1.23 up to before 2 are "
            "understood.",
            id="too new",
        ),
        pytest.param(
            200, b"<html>Hello</html>", {}, "What answers at {url} is no Label Studio.", id="a page"
        ),
        pytest.param(
            200, {"version": "3"}, {}, "What answers at {url} is no Label Studio.", id="another"
        ),
        pytest.param(
            301, b"", {"location": "https://somebody:secret@example.org/api"},
            "Label Studio at {url} sends elsewhere (301, to https://example.org/api).",
            id="moved",
        ),
        pytest.param(
            502, b"bad gateway", {},
            "Label Studio at {url} answers 502 to GET /api/version: no JSON.",
            id="a proxy before nothing",
        ),
        pytest.param(
            401, {"detail": "Invalid token t0ken."}, {},
            "Label Studio at {url} does not accept the token (401: Invalid token …).",
            id="it says the token itself",
        ),
    ],
)  # fmt: skip
def test_what_is_no_label_studio_that_we_understand_is_told(queue, status, body, headers, problem):
    with answering(status, body, **headers) as url, pytest.raises(ServiceError) as told:
        LabelStudio(queue, url=url, token="t0ken").check()  # noqa: S106

    assert told.value.problem == problem.format(url=url)
    assert "t0ken" not in str(told.value)


def test_without_an_address_or_a_token_the_setting_is_named(queue):
    with pytest.raises(DefinitionError) as nowhere:
        LabelStudio(queue)
    with pytest.raises(DefinitionError) as nobody:
        LabelStudio(queue, url="http://127.0.0.1:1")

    assert nowhere.value.problem == (
        "Label Studio is asked for, but HEADRACE_LABEL_STUDIO_URL is not set."
    )
    assert nobody.value.problem == (
        "Label Studio is asked for, but HEADRACE_LABEL_STUDIO_TOKEN is not set."
    )


def test_a_task_that_cannot_be_asked_there_is_refused_before_anything_is_asked(queue):
    studio = LabelStudio(queue, url="http://127.0.0.1:1", token="t0ken")  # noqa: S106
    schema = LabelSchema(kind="span", choices=("face",))

    with pytest.raises(DefinitionError) as no_text:
        studio.check_task(asked(schema, media={"text": "image"}))
    with pytest.raises(DefinitionError) as unprintable:
        studio.check_task(asked(LabelSchema(choices=("a\x07b", "c"))))

    assert no_text.value.problem == (
        "Task 'topic' marks pieces of text, but it shows none: text are pictures or recordings."
    )
    assert unprintable.value.problem == (
        "The choice 'a\\x07b' of the task 'topic' has characters that Label Studio would show or "
        "give back otherwise."
    )


def test_a_batch_of_our_own_page_and_one_that_was_never_sent_are_refused(queue):
    studio = LabelStudio(queue, url="http://127.0.0.1:1", token="t0ken")  # noqa: S106
    batch = queue.request(asked(), [item()], key="a" * 64)

    with pytest.raises(DataError) as local:
        studio.sync(batch.id)

    assert local.value.problem == (
        f"Batch '{batch.id}' is labeled on our own page, not in Label Studio."
    )
