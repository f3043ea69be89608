"""Edits of real modules on disk: what can change a result changes the key, and nothing else does.

`make bench ONLY=identity_edits` judges the whole corpus; here a seeded choice of every category is.
"""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pytest

from benchmarks._identity_corpus import all_edits, chosen_edits
from benchmarks._identity_corpus.edit import Edit, Outcome, judge, source

CHOSEN = chosen_edits(260)
CATEGORIES = sorted({edit.category for edit in CHOSEN})


def judged(edits: list[Edit], folder: Path) -> list[Outcome]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [judge(edit, folder / str(at)) for at, edit in enumerate(edits)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_edit_leaves_a_stale_key_or_needlessly_makes_a_new_one(category, tmp_path):
    edits = [edit for edit in CHOSEN if edit.category == category]

    outcomes = judged(edits, tmp_path)

    assert [o.edit.name for o in outcomes if o.stale] == []
    assert [o.edit.name for o in outcomes if o.missed] == []
    assert [o.edit.name for o in outcomes if o.needlessly_uncached] == []


def test_the_corpus_holds_many_edits_of_many_kinds():
    edits = all_edits()

    assert len(edits) >= 500
    assert [name for name, count in Counter(e.name for e in edits).items() if count > 1] == []
    assert {edit.expected for edit in edits} == {"changes", "same", "uncached ok"}
    nothing = [
        edit.name
        for edit in edits
        if (edit.before, repr(edit.call_before)) == (edit.after, repr(edit.call_after))
        and edit.expected != "same"
    ]
    assert nothing == []


def test_the_corpus_can_fail_because_a_hash_of_the_source_fails_it(tmp_path):
    helper = "def helper(x):\n    return x + 1\ndef step(x):\n    return helper(x)\n"
    edits = [
        source("a helper", "control", helper, helper.replace("+ 1", "+ 2"), "changes"),
        source("a comment", "control", helper, helper.replace("(x):\n    return helper", "(x):\n"
               "    # help\n    return helper"), "same"),
    ]  # fmt: skip

    outcomes = judged(edits, tmp_path)

    assert [o.source_stale for o in outcomes] == [True, False]
    assert [o.source_missed for o in outcomes] == [False, True]


def test_an_edit_that_is_expected_wrongly_is_reported(tmp_path):
    text = "def step(x):\n    return x + 1\n"
    edits = [
        source("said to stay", "control", text, text.replace("+ 1", "+ 2"), "same"),
        source("said to change", "control", text, text + "# end\n", "changes"),
    ]

    outcomes = judged(edits, tmp_path)

    assert [(o.missed, o.stale) for o in outcomes] == [(True, False), (False, True)]
