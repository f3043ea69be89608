"""Tests of finding loops in the roots, and of finding what should have followed and did not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from flows._labeling.answering import answer_batch
from flows._labeling.catalog import at_hand, find_loops
from flows._labeling.overdue import overdue
from flows.label_collect import label_collect
from flows.label_round import label_round
from headrace.errors import DefinitionError
from headrace.labels.queue import LabelQueue
from headrace.settings import using_settings
from tests.flows.labeling.fruit import loop, rater

RATERS = {"ada": rater(1.0), "bob": rater(0.95, 1)}
DECLARED = '''
    """This loop is of a shop."""

    from flows.labeling import LabelLoop
    from tests.flows.labeling.fruit import TASK, write_notes

    LOOP = LabelLoop(task=TASK, pool=write_notes)
'''


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """Return an empty package that is a root."""
    root = tmp_path / "fruit_shop"
    root.mkdir()
    (root / "__init__.py").touch()
    with using_settings(home=tmp_path / "home", roots=[root]):
        yield root
    for name in [name for name in sys.modules if name.split(".")[0] == "fruit_shop"]:
        del sys.modules[name]
    sys.path.remove(str(tmp_path))


def test_loops_are_found_in_modules_of_the_roots_and_not_in_private_ones(shop: Path):
    (shop / "topics.py").write_text(dedent(DECLARED))
    (shop / "_drafts.py").write_text("raise RuntimeError('not to be imported') # LabelLoop(")

    found = find_loops()

    assert list(found) == ["fruit"]


def test_a_loop_that_another_module_imports_is_one_loop(shop: Path):
    (shop / "topics.py").write_text(dedent(DECLARED))
    (shop / "again.py").write_text("from fruit_shop.topics import LOOP  # made by LabelLoop(\n")

    assert list(find_loops()) == ["fruit"]


def test_two_loops_of_one_name_are_refused(shop: Path):
    for name in ("one", "two"):
        (shop / f"{name}.py").write_text(dedent(DECLARED))

    with pytest.raises(DefinitionError) as caught:
        find_loops()

    assert str(caught.value) == (
        "Two labeling loops are called 'fruit': in fruit_shop.one and fruit_shop.two.\n"
        "  Fix: Give the task of one of them another name."
    )


def test_what_should_have_followed_is_overdue_until_it_has(queue: LabelQueue):
    declared = loop(batch=16, train_from=4)
    with at_hand(declared):
        assert overdue(declared, queue) is None  # nobody was asked
        label_round.run(loop="fruit").require_completed()
        assert overdue(declared, queue) is None  # people are answering
        batch = answer_batch(queue, queue.batches()[0], RATERS)

        late = overdue(declared, queue)
        label_collect.run(batch=batch.id).require_completed()
        later = overdue(declared, queue)
        label_round.run(loop="fruit", number=2).require_completed()

    assert late is not None
    assert (late.event, late.payload["batch"]) == ("headrace.labels.due", batch.id)
    assert later is not None
    assert (later.event, later.payload["round"]) == ("headrace.labels.wanted", 2)
    assert overdue(declared, queue) is None


def test_the_hourly_run_announces_what_is_overdue(shop: Path):
    (shop / "topics.py").write_text(dedent(DECLARED))
    queue = LabelQueue()
    label_round.run(loop="fruit").require_completed()
    batch = queue.close(queue.batches()[0].id, why="enough")

    said = label_collect.run().require_completed()["remind"].document

    assert said["due"] == {
        "fruit": {"event": "headrace.labels.due", "loop": "fruit", "batch": batch.id}
    }
