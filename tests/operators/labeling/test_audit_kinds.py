"""Labels of several choices, and numbers, that are wrong are found; others are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import numpy as np
import pytest

from headrace import Col, Labels, Schema, Table
from headrace.errors import DefinitionError
from headrace.labels.columns import VotedLabel
from headrace.labels.schema import LabelSchema
from operators.audit_labels import audit_labels

KILOS = LabelSchema(kind="number", low=0, high=100, unit="kg")
SORTS = LabelSchema(kind="multi", choices=("long", "wide", "never"))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Box(Schema, Protocol):
    box: Annotated[str, Col(role="entity")]
    length: Annotated[float, Col(role="feature")]
    width: Annotated[float, Col(role="feature")]


_DRAW = np.random.default_rng(5)
_LONG, _WIDE = _DRAW.uniform(0, 10, (2, 80))
BOXES = Table[Box].of({"box": [f"b{i}" for i in range(80)], "length": _LONG, "width": _WIDE})
_NOISE = _DRAW.normal(0, 0.5, 80)


def labels_of(written: list[str], version: str, **changes: Any) -> Labels[VotedLabel]:
    usual: dict[str, Any] = {
        "entity": [f"b{i}" for i in range(80)],
        "as_of": [EPOCH] * 80,
        "label_known_at": [EPOCH] * 80,
        "label": written,
        "probability": [0.9] * 80,
        "votes": [2] * 80,
        "conflict": [False] * 80,
        "slice": ["chosen"] * 80,
        "source": ["person"] * 80,
        "method": ["median"] * 80,
        "schema_version": [version] * 80,
    }
    return Labels[VotedLabel].of({**usual, **changes})


def kilos(wrong: dict[int, float] | None = None) -> list[str]:
    values = 3 * _LONG + 2 * _WIDE + 10 + _NOISE
    return [KILOS.read(float(round((wrong or {}).get(i, v), 2))) for i, v in enumerate(values)]


def sorts(wrong: dict[int, list[str]] | None = None) -> list[str]:
    found = [
        [name for name, has in (("long", a > 5), ("wide", b > 5)) if has]
        for a, b in zip(_LONG, _WIDE, strict=True)
    ]
    return [SORTS.read((wrong or {}).get(i, each)) for i, each in enumerate(found)]


def test_a_number_that_is_far_from_what_others_teach_is_suspected_first():
    said = labels_of(kilos({7: 95.0, 20: 0.5}), KILOS.version)

    suspects, report = audit_labels(BOXES, said, schema=KILOS, seed=1)

    rows = suspects.frame()
    assert set(rows["box"][:2]) == {"b7", "b20"}
    assert rows["priority"].is_monotonic_decreasing
    assert rows["confidence"].isna().all()
    seven = rows.set_index("box").loc["b7"]
    assert seven["given_label"] == "95.0"
    truth = 3 * _LONG[7] + 2 * _WIDE[7] + 10
    assert float(seven["suggested"]) == pytest.approx(truth, abs=2.0)
    assert report.document["suspects"] == len(rows) <= 4
    assert report.document["unit"] == "kg"
    assert 0.3 < report.document["noise"] < 0.9  # 0.5 was put in


def test_numbers_with_noise_alone_give_hardly_any_suspect():
    _, report = audit_labels(BOXES, labels_of(kilos(), KILOS.version), schema=KILOS, seed=1)

    assert report.document["suspects"] <= 2


def test_gold_and_adjudicated_numbers_are_no_suspects():
    source = ["gold" if i == 7 else "person" for i in range(80)]
    said = labels_of(kilos({7: 95.0}), KILOS.version, source=source)

    suspects, report = audit_labels(BOXES, said, schema=KILOS, seed=1)

    assert "b7" not in set(suspects.frame()["box"])
    assert report.document["gold_suspects"] == ["b7"]


def test_a_set_with_one_choice_too_many_is_suspected_with_what_it_seems_to_be():
    item = int(np.argmin(np.abs(_LONG - 1) + np.abs(_WIDE - 9)))  # short and wide, clearly
    said = labels_of(sorts({item: ["long", "wide"]}), SORTS.version)

    suspects, report = audit_labels(BOXES, said, schema=SORTS, seed=1)

    first = suspects.frame().iloc[0]
    assert (first["box"], first["given_label"]) == (f"b{item}", '["long","wide"]')
    assert first["suggested"] == '["wide"]'
    assert first["self_confidence"] < 0.5 < first["confidence"]
    assert report.document["by_choice"]["long"] >= 1
    assert report.document["not_judged_choices"] == ["never"]


def test_the_same_audit_gives_the_same_suspects():
    said = labels_of(sorts(), SORTS.version)

    once, again = (audit_labels(BOXES, said, schema=SORTS, seed=1)[0] for _ in range(2))

    assert once.digest == again.digest


def test_rankings_are_not_audited():
    ranked = LabelSchema(kind="ranking", choices=("a", "b"))

    with pytest.raises(DefinitionError) as caught:
        audit_labels(BOXES, labels_of(['["a","b"]'] * 80, ranked.version), schema=ranked)

    assert str(caught.value) == (
        "Labels of the kind 'ranking' are no classes and no number, so nothing can be learnt that "
        "would contradict them.\n"
        "  Fix: Look at how far raters agree instead: `aggregate_votes` reports it."
    )
