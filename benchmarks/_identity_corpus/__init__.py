"""This package holds edits of real modules, and what each must do to a cache key.

`routes` reaches one function in every way an operator can and edits it; `values` edits constants,
`classes` and `library_classes` classes, `functions` and `writing` functions, `hidden` what cannot
be seen through, `surroundings` libraries, parameters, data and files. The modules of `idioms` hold
what a hostile reader tried beside these, each edit once. `edit` writes both sides to disk, imports
them and compares keys.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks._identity_corpus import (
    classes,
    functions,
    hidden,
    idioms,
    idioms_classes,
    idioms_held,
    idioms_library,
    idioms_modules,
    library_classes,
    routes,
    surroundings,
    values,
    writing,
)
from benchmarks._identity_corpus.edit import Edit

SEED = 20130101


def all_edits() -> list[Edit]:
    """Return every edit of the corpus."""
    modules = (
        routes,
        values,
        classes,
        library_classes,
        functions,
        writing,
        hidden,
        surroundings,
        idioms,
        idioms_classes,
        idioms_held,
        idioms_library,
        idioms_modules,
    )
    return [edit for module in modules for edit in module.edits()]


def chosen_edits(count: int, *, seed: int = SEED) -> Sequence[Edit]:
    """Return a choice of edits in which every category has its share, and at least one."""
    edits = all_edits()
    random.Random(seed).shuffle(edits)  # noqa: S311
    categories: dict[str, list[Edit]] = {}
    for edit in edits:
        categories.setdefault(edit.category, []).append(edit)
    share = count / len(edits)
    return [
        edit
        for of_category in categories.values()
        for edit in of_category[: max(1, round(share * len(of_category)))]
    ]
