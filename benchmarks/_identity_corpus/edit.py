"""This module makes an edit of real modules on disk, imports both sides and compares their keys."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headrace.identity import Key, Memo, identify, key_of

Expected = Literal["changes", "same", "uncached ok"]
_EXPECTED: Mapping[str, Expected] = {
    "": "changes",
    "same": "same",
    "uncached ok": "uncached ok",
}
Files = Mapping[str, str]
# What is edited, a module, the text in it before and after, and what that must do.
Case = tuple[str, str, str, str, Expected]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """This is one edit, and what it must do to the key of the function `step` of `edited.main`.

    Args:
        name: What is edited, for the reader of a failure.
        category: The kind of edit.
        before: Path to text, below a folder that is on the path; `lib/` below it is, too.
        after: The same after the edit.
        expected: Whether the key must change, must stay, or may be missing (both sides then must
            not share a key unless nothing changed).
        call_before: What the node is given besides its code: see `key_of`.
        call_after: The same after the edit.
    """

    name: str
    category: str
    before: Files
    after: Files
    expected: Expected
    call_before: Mapping[str, Any] = field(default_factory=dict)
    call_after: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """This is what an edit did to our key, and to a hash of the body's source text.

    Args:
        before: The key before the edit.
        after: The key after it.
        source_stale: Whether the source hash stayed though the result can change.
        source_missed: Whether the source hash changed though the result cannot.
    """

    edit: Edit
    before: Key
    after: Key
    source_stale: bool
    source_missed: bool

    @property
    def same(self) -> bool:
        """Whether an old result would be reused."""
        return self.before.digest is not None and self.before.digest == self.after.digest

    @property
    def uncached(self) -> bool:
        """Whether either side has no key."""
        return self.before.digest is None or self.after.digest is None

    @property
    def stale(self) -> bool:
        """Whether an old result would be reused though it may be wrong."""
        return self.edit.expected != "same" and self.same

    @property
    def missed(self) -> bool:
        """Whether a result that still holds would be computed again."""
        return self.edit.expected == "same" and not self.same

    @property
    def needlessly_uncached(self) -> bool:
        """Whether ordinary code was given up on."""
        return self.edit.expected == "changes" and self.uncached


def source(name: str, category: str, before: str, after: str, expected: Expected) -> Edit:
    """Return an edit of the one module `edited.main`."""
    return Edit(
        name=name,
        category=category,
        before={"edited/main.py": before},
        after={"edited/main.py": after},
        expected=expected,
    )


def cases(category: str, found: Sequence[Case]) -> Iterator[Edit]:
    """Yield an edit for each case.

    Raises:
        ValueError: The text to be replaced is not in the module.
    """
    for what, module, old, new, expected in found:
        if old not in module:
            raise ValueError(f"The edit of {what} edits nothing.")
        yield source(what, category, module, module.replace(old, new), expected)


def written(category: str, text: str) -> Iterator[Edit]:
    """Yield the edits of a text, in which each is a module with `-` and `+` before its changes.

    Args:
        category: The kind of edit.
        text: For each edit a line `@ what is edited`, with `[same]` or `[uncached ok]` at its end
            where the key is not to change, and the lines of the module behind two characters.
    """
    for entry in text.split("\n@ ")[1:]:
        head, *lines = entry.rstrip("\n").split("\n")
        name, _, expected = head.removesuffix("]").partition(" [")
        before = [line[2:] for line in lines if not line.startswith("+ ")]
        after = [line[2:] for line in lines if not line.startswith("- ")]
        if before == after:
            raise ValueError(f"The edit of {name} edits nothing.")
        yield source(
            name,
            category,
            "\n".join(before) + "\n",
            "\n".join(after) + "\n",
            _EXPECTED[expected],
        )


def judge(edit: Edit, folder: Path) -> Outcome:
    """Write both sides of an edit below `folder`, import each afresh, and compare."""
    before, before_source = _side(folder / "before", edit.before, edit.call_before)
    after, after_source = _side(folder / "after", edit.after, edit.call_after)
    same = before_source == after_source
    return Outcome(
        edit=edit,
        before=before,
        after=after,
        source_stale=edit.expected != "same" and same,
        source_missed=edit.expected == "same" and not same,
    )


def _side(folder: Path, files: Files, call: Mapping[str, Any]) -> tuple[Key, str]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "edited" / "__init__.py").touch()
    with _importable(folder):
        main = importlib.import_module("edited.main")
        memo = Memo()
        given: dict[str, Any] = {"schemas": {}, "parameters": {}, "inputs": {}, "seed": None}
        given.update(call)
        # a parameter of a class that the edit defines is made by the edit
        given["parameters"] = {**given["parameters"], **getattr(main, "PARAMETERS", {})}
        key = key_of(identify(main.step, memo=memo), memo=memo, **given)
        return key, _source_hash(main.step, given)


def _source_hash(function: Any, given: Mapping[str, Any]) -> str:
    """Return what Prefect's `TASK_SOURCE + INPUTS` looks at: the text of the body, and the call."""
    text = inspect.getsource(getattr(function, "body", function))
    call = repr((sorted(given["parameters"].items()), sorted(given["inputs"].items())))
    return hashlib.sha256((text + call).encode()).hexdigest()


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    paths = [str(folder), str(folder / "lib")]
    loaded, dont_write = set(sys.modules), sys.dont_write_bytecode
    sys.path[:0] = paths
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = dont_write
        sys.path[:] = [path for path in sys.path if path not in paths]
        for name in set(sys.modules) - loaded:
            path = getattr(sys.modules[name], "__file__", None) or ""
            if path.startswith(str(folder)) or name.partition(".")[0] == "edited":
                del sys.modules[name]
