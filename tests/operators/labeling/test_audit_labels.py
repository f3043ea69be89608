"""These tests specify the audit of labels: what is suspected, in which order, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import numpy as np
import pyarrow as pa
import pytest

from headrace import Col, Labels, Schema, Table, Votes
from headrace.errors import DataError, DefinitionError
from headrace.labels.columns import Vote, VotedLabel
from headrace.testing import check_operator
from operators._label_errors import certainty, confident_joint, likelier
from operators.audit_labels import audit_labels

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
WORDS = {"sport": "goal match team", "money": "bank market share", "law": "court judge trial"}


class News(Schema, Protocol):
    document: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col()]


class Points(Schema, Protocol):
    point: Annotated[str, Col(role="entity")]
    visit: Annotated[str, Col(role="group")]
    x: Annotated[float, Col(role="feature")]


def _news(count: int = 90) -> tuple[Table[News], list[str]]:
    """Texts of three topics, each of which has words of its own among common ones."""
    random = np.random.default_rng(61)
    topics = [list(WORDS)[at % 3] for at in range(count)]
    texts = [
        " ".join([*random.choice(WORDS[topic].split(), 4), *random.choice(["the", "a", "said"], 4)])
        for topic in topics
    ]
    names = [f"d{at:03}" for at in range(count)]
    return Table[News].of({"document": names, "text": texts}), topics


def _labels(entities: list[str], labels: list[str], **changes: list[Any]) -> Labels[VotedLabel]:
    count = len(entities)
    columns: dict[str, Any] = {
        "entity": entities,
        "as_of": [NOON] * count,
        "label_known_at": [NOON] * count,
        "label": labels,
        "probability": [1.0] * count,
        "votes": [1] * count,
        "conflict": [False] * count,
        "slice": ["chosen"] * count,
        "source": ["person"] * count,
        "method": ["majority"] * count,
        "schema_version": ["0" * 12] * count,
        **changes,
    }
    return Labels[VotedLabel].of(columns)


def _wrong(topics: list[str], at: list[int]) -> list[str]:
    names = list(WORDS)
    return [
        names[(names.index(topic) + 1) % 3] if row in at else topic
        for row, topic in enumerate(topics)
    ]


def _audited(news: Table[News], labels: Labels[Any], *more: Any, **settings: Any) -> Any:
    table, report = audit_labels(news, labels, *more, text=("text",), **settings)
    return table.frame(), report.document


def test_wrong_labels_are_found_and_come_with_all_that_asking_again_needs():
    news, topics = _news()
    wrong = [4, 31, 77]
    names = news.frame()["document"].tolist()

    suspects, report = _audited(news, _labels(names, _wrong(topics, wrong)))

    assert sorted(suspects["document"]) == [names[at] for at in wrong]
    assert list(suspects.columns) == [
        "document",
        "text",
        "slice",
        "priority",
        "suggested",
        "suggested_by",
        "confidence",
        "given_label",
        "self_confidence",
        "certainty",
        "flagged",
    ]
    found = suspects.set_index("document").loc[names[4]]
    assert (found["slice"], found["given_label"], found["suggested"]) == (
        "audit",
        _wrong(topics, wrong)[4],
        topics[4],
    )
    assert suspects["priority"].is_monotonic_decreasing
    assert (report["passed"], report["suspects"], report["judged"]) == (False, 3, 90)
    assert {(p["given"], p["seems"]) for p in report["pairs"]} == {
        (_wrong(topics, wrong)[at], topics[at]) for at in wrong
    }


def test_sound_labels_make_no_suspects():
    news, topics = _news()

    suspects, report = _audited(news, _labels(news.frame()["document"].tolist(), topics))

    assert len(suspects) == 0
    assert (report["passed"], report["suspects"], report["accuracy"]) == (True, 0, 1.0)


def test_of_two_doubtful_labels_the_one_that_fewer_votes_support_comes_first():
    news, topics = _news()
    names = news.frame()["document"].tolist()
    texts = news.frame()["text"].tolist()
    texts[31] = texts[4] = texts[1]
    same = Table[News].of({"document": names, "text": texts})
    given = _wrong(topics, [])
    given[4] = given[31] = "law"
    votes = [1] * len(names)
    votes[4] = 9

    suspects, _ = _audited(same, _labels(names, given, votes=votes))
    ranked, _ = _audited(same, _labels(names, given, votes=votes), only_suspects=False)

    assert list(ranked["document"][:2]) == [names[31], names[4]]
    assert list(suspects["document"]) == [names[31]]


def test_gold_adjudicated_and_audited_labels_are_no_suspects_but_wrong_gold_is_named():
    news, topics = _news()
    names = news.frame()["document"].tolist()
    wrong = [4, 31, 50, 77]
    sources, slices = ["person"] * 90, ["chosen"] * 90
    sources[4], sources[31], slices[50] = "gold", "adjudicator", "audit"
    labels = _labels(names, _wrong(topics, wrong), source=sources, slice=slices)

    suspects, report = _audited(news, labels)

    assert list(suspects["document"]) == [names[77]]
    assert report["gold_suspects"] == [names[4]]
    assert report["settled"] == 3


def test_what_was_audited_is_seen_in_the_votes_too():
    news, topics = _news()
    names = news.frame()["document"].tolist()
    none = pa.nulls(1, pa.string())
    votes = Votes[Vote].of(
        {
            "entity": [names[4]],
            "rater": ["ada"],
            "source": ["person"],
            "label": ["law"],
            "skipped": none,
            "confidence": pa.nulls(1, pa.float64()),
            "slice": ["audit"],
            "gold": none,
            "as_of": [NOON],
            "voted_at": [NOON],
            "seconds": pa.nulls(1, pa.float64()),
            "suggested": none,
            "suggested_by": none,
            "suggestion_shown": [False],
            "schema_version": ["0" * 12],
            "batch": ["one"],
        }
    )

    suspects, _ = _audited(news, _labels(names, _wrong(topics, [4, 31])), votes)

    assert list(suspects["document"]) == [names[31]]


def test_all_labels_can_be_ranked_and_the_list_cut():
    news, topics = _news()
    names = news.frame()["document"].tolist()
    labels = _labels(names, _wrong(topics, [4, 31]))

    ranked, _ = _audited(news, labels, only_suspects=False, size=None)
    first, report = _audited(news, labels, size=1)

    assert len(ranked) == 90
    assert set(ranked["document"][:2]) == {names[4], names[31]}
    assert list(first["document"]) == [ranked["document"][0]]
    assert (report["suspects"], report["returned"]) == (2, 1)


def test_rows_of_one_group_never_vouch_for_each_other():
    # every visit has a place of its own on the line, and its label is a toss
    random = np.random.default_rng(62)
    tosses = ["no", "yes"] * 20
    rows = [
        (f"p{visit}-{k}", f"v{visit}", visit + k / 10, tosses[visit])
        for visit in random.permutation(40).tolist()
        for k in range(3)
    ]
    point, visit, x, label = map(list, zip(*rows, strict=True))
    grouped = Table[Points].of({"point": point, "visit": visit, "x": x})
    alone = Table[Points].of({"point": point, "visit": point, "x": x})
    settings: dict[str, Any] = {"estimator": "extra_trees", "only_suspects": False, "size": None}

    _, strict = audit_labels(grouped, _labels(point, label), **settings)
    _, lax = audit_labels(alone, _labels(point, label), **settings)

    # in the other rows of a visit its toss can be read; without them only the neighbours' can
    assert lax.document["accuracy"] > 0.9
    assert strict.document["accuracy"] < 0.5


def test_a_class_that_no_other_fold_knows_is_not_judged():
    news, topics = _news()
    names = news.frame()["document"].tolist()
    topics[4] = "weather"

    suspects, report = _audited(news, _labels(names, topics))

    assert len(suspects) == 0
    assert (report["judged"], report["not_judged"]) == (89, 1)


def test_the_order_of_rows_and_the_machine_do_not_matter():
    news, topics = _news()
    frame = news.frame()
    labels = _labels(frame["document"].tolist(), _wrong(topics, [4, 31]))

    once, report = audit_labels(news, labels, text=("text",))
    again, report_again = audit_labels(news, labels, text=("text",))

    assert (once.digest, report.digest) == (again.digest, report_again.digest)


@pytest.mark.parametrize(
    ("entities", "labels", "problem"),
    [
        pytest.param(
            ["elsewhere"], ["law"], "None of the 90 rows has one of the 1 labels.", id="no row"
        ),
        pytest.param(
            [f"d{at:03}" for at in range(90)],
            ["law"] * 90,
            "There is nothing to tell apart: the answer is 'law' in all 90 rows.",
            id="one label",
        ),
        pytest.param(
            [f"d{at:03}" for at in range(90)],
            [f"{at}.0" for at in range(90)],
            "90 rows have 90 different labels, so no class has examples to tell others by.",
            id="a number",
        ),
    ],
)
def test_labels_that_cannot_be_audited_are_refused(entities, labels, problem):
    news, _ = _news()

    with pytest.raises(DataError) as refused:
        _audited(news, _labels(entities, labels))

    assert refused.value.problem == problem


def test_without_features_or_text_there_is_nothing_to_tell_labels_by():
    news, topics = _news()

    with pytest.raises(DefinitionError) as refused:
        audit_labels(news, _labels(news.frame()["document"].tolist(), topics))

    assert str(refused.value) == (
        "Schema 'News' has no column with role 'feature', and no text is named, so there is "
        "nothing to tell labels by.\n  Fix: Name text columns in `text`, or give inputs "
        '`Col(role="feature")`.'
    )


def test_the_confident_joint_is_the_one_of_the_paper():
    # thresholds: of class 0 the mean of .9 .8 .3, of class 1 that of .6 .8
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8]])
    given = np.array([0, 0, 0, 1, 1])

    found = confident_joint(probabilities, given)

    assert found.thresholds == pytest.approx([2 / 3, 0.7])
    assert found.believed.tolist() == [0, 0, 1, -1, 1]
    assert found.counts.tolist() == [[2, 1], [0, 1]]


def test_votes_and_model_are_joined_as_odds():
    own, supported = np.array([0.2, 0.2, 0.0, 1.0]), np.array([0.5, 0.8, 0.9, 0.1])

    assert certainty(own, supported, classes=2) == pytest.approx([0.2, 0.5, 0.0, 1.0])
    # of five classes, votes that are wrong are for four others
    assert certainty(own[:1], supported[:1], classes=5) == pytest.approx([0.5])


def test_another_class_is_likelier_only_where_it_outweighs_the_votes():
    probabilities = np.array([[0.2, 0.7, 0.1], [0.2, 0.7, 0.1]])

    found = likelier(probabilities, np.array([0, 0]), np.array([0.6, 0.9]))

    # 0.7 x 0.4 / 2 is more than 0.2 x 0.6, and 0.7 x 0.1 / 2 is less than 0.2 x 0.9
    assert found.tolist() == [1, -1]


def test_audit_labels_keeps_the_contract():
    news, topics = _news(30)
    labels = _labels(news.frame()["document"].tolist(), _wrong(topics, [4]))

    check_operator(audit_labels, news, labels, text=("text",))
