"""This module edits what surrounds the code: libraries, parameters, data, seeds, schemas, files."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from benchmarks._identity_corpus.edit import Edit, Expected, Files

_BODY = "def step(x):\n    return x\n"


class _How(enum.Enum):
    MEAN = 1
    MAX = 2


_PARAMETERS: tuple[tuple[str, Any, Any, Expected], ...] = (
    ("a number", 15.0, 20.0, "changes"),
    ("an integer and a float", 15, 15.0, "changes"),
    ("an integer and a boolean", 1, True, "changes"),
    ("zero and minus zero", 0.0, -0.0, "changes"),
    ("NaN and None", math.nan, None, "changes"),
    ("NaN and its text", math.nan, "nan", "changes"),
    ("one NaN and another", math.nan, float("nan"), "same"),
    ("text and bytes", "a", b"a", "changes"),
    ("text and a number", "1", 1, "changes"),
    ("None and its text", None, "None", "changes"),
    ("a list and a tuple", [1, 2], (1, 2), "changes"),
    ("order of a list", [1, 2], [2, 1], "changes"),
    ("order of a dictionary", {"a": 1, "b": 2}, {"b": 2, "a": 1}, "same"),
    ("order of a dictionary within", [{"a": 1, "b": 2}], [{"b": 2, "a": 1}], "same"),
    ("order of a long dictionary", {c: c * 9 for c in "abcdefgh"},
     {c: c * 9 for c in "hgfedcba"}, "same"),
    ("order of an ordered dictionary", OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), "changes"),
    ("a dictionary's value", {"a": 1}, {"a": 2}, "changes"),
    ("a dictionary's key", {1: 1}, {"1": 1}, "changes"),
    ("order of a set", {"x", "y", "z"}, {"z", "y", "x"}, "same"),
    ("a member of a set", {"x"}, {"y"}, "changes"),
    ("empty containers", [], {}, "changes"),
    ("a date", dt.date(2013, 1, 1), dt.date(2013, 1, 2), "changes"),
    ("a date and a moment", dt.date(2013, 1, 1), dt.datetime(2013, 1, 1), "changes"),
    ("a date and its text", dt.date(2013, 1, 1), "2013-01-01", "changes"),
    ("a time zone", dt.datetime(2013, 1, 1), dt.datetime(2013, 1, 1, tzinfo=dt.UTC), "changes"),
    ("a decimal", Decimal("1.0"), Decimal("1.00"), "changes"),
    ("an enum", _How.MEAN, _How.MAX, "changes"),
    ("an enum and its value", _How.MEAN, 1, "changes"),
    ("the end of a long text", "a" * 999 + "b", "a" * 999 + "c", "changes"),
    ("a long text", "a" * 999, "a" * 999, "same"),
    ("a nested list's shape", [[1], [2, 3]], [[1, 2], [3]], "changes"),
)  # fmt: skip
_CLASSES: tuple[tuple[str, str, str, str, Expected], ...] = (
    ("a field of a dataclass", "Row(1)", "Row(1)", "Row(2)", "changes"),
    ("a method of a dataclass", "Row(1)", "self.a + 1", "self.a + 2", "changes"),
    ("a comment in a dataclass", "Row(1)", "a: int\n", "a: int  # more\n", "same"),
    ("a helper of a dataclass's method", "Row(1)", "return v * 2", "return v * 3", "changes"),
    ("a field of a pydantic model", "Model(a=1)", "Model(a=1)", "Model(a=2)", "changes"),
    ("a validator of a pydantic model", "Model(a=1)", "v + 10", "v + 10 + 0 * v", "changes"),
    ("a member of an enum", "How.A", "How.A}", "How.B}", "changes"),
    ("a method of an enum", "How.A", "return 'how'", "return 'why'", "changes"),
    ("a function", "helper", "return v * 2", "return v * 3", "changes"),
    ("a function's docstring", "helper", "'Helps.'", "'Does help.'", "same"),
    ("a plain object", "Plain(1)", "Plain(1)", "Plain(2)", "changes"),
    ("a plain object's class", "Plain(1)", "self.p + 1", "self.p - 1", "changes"),
    ("a list of objects", "[Row(1), Row(2)]", "Row(2)", "Row(3)", "changes"),
)
_CLASS_MODULE = """import dataclasses, enum, pydantic
def helper(v):
    'Helps.'
    return v * 2
@dataclasses.dataclass(frozen=True)
class Row:
    a: int
    def more(self):
        return helper(self.a + 1)
class Model(pydantic.BaseModel):
    a: int
    @pydantic.field_validator('a')
    @classmethod
    def check(cls, v):
        return v + 10
class How(enum.Enum):
    A = 1
    B = 2
    def text(self):
        return 'how'
class Plain:
    def __init__(self, p):
        self.p = p
    def more(self):
        return self.p + 1
def step(x):
    return x
PARAMETERS = {'p': VALUE}
"""


def _library(version: str, requires: str = "", needed: str = "1.0") -> Files:
    def info(name: str, number: str, more: str = "") -> Files:
        folder = f"lib/{name}-{number}.dist-info"
        return {
            f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n{more}",
            f"{folder}/top_level.txt": f"{name}\n",
        }

    more = f"Requires-Dist: {requires}\n" if requires else ""
    return {
        "lib/flumelib/__init__.py": "from flumelib.inner import mean, Base\n",
        "lib/flumelib/inner.py": "def mean(x):\n    return x\nclass Base:\n    pass\n",
        "lib/sluicelib/__init__.py": "",
        **info("flumelib", version, more),
        **info("sluicelib", needed),
    }


_LIBRARY_USES = (
    ("a module", "import flumelib\ndef step(x):\n    return flumelib.mean(x)\n"),
    ("a function", "from flumelib import mean\ndef step(x):\n    return mean(x)\n"),
    ("an import within", "def step(x):\n    import flumelib\n    return flumelib.mean(x)\n"),
    ("a from-import within", "def step(x):\n    from flumelib import mean\n    return mean(x)\n"),
    ("an import within that is not used", "def step(x):\n    import flumelib\n    return x\n"),
    ("an inner module", "import flumelib.inner as i\ndef step(x):\n    return i.mean(x)\n"),
    ("a base class", "from flumelib import Base\nclass C(Base):\n    pass\ndef step(x):\n"
     "    return C()\n"),
    ("an object", "from flumelib import Base\nB = Base()\ndef step(x):\n    return B\n"),
    ("a helper", "from flumelib import mean\ndef helper(x):\n    return mean(x)\ndef step(x):\n"
     "    return helper(x)\n"),
    ("a computed name", "import flumelib\ndef step(x):\n    return getattr(flumelib, x)()\n"),
)  # fmt: skip


def _called(
    name: str, before: dict[str, Any], after: dict[str, Any], expected: Expected, body: str = _BODY
) -> Edit:
    files = {"edited/main.py": body}
    return Edit(
        name=name,
        category="calls",
        before=files,
        after=files,
        expected=expected,
        call_before=before,
        call_after=after,
    )


def _calls() -> Iterator[Edit]:
    for what, before, after, expected in _PARAMETERS:
        given = ({"parameters": {"p": before}}, {"parameters": {"p": after}})
        yield _called(f"a parameter: {what}", *given, expected)
    for slot, one, other in (
        ("inputs", {"flights": "aa"}, {"flights": "ab"}),
        ("inputs", {"flights": "aa"}, {"weather": "aa"}),
        ("inputs", {"a": "1", "b": "2"}, {"a": "2", "b": "1"}),
        ("inputs", {}, {"flights": "aa"}),
        ("schemas", {"flights": '{"unit": "min"}'}, {"flights": '{"unit": "h"}'}),
        ("schemas", {"flights": "{}"}, {"return": "{}"}),
        ("seed", 1, 2),
        ("seed", None, 0),
        ("parameters", {"p": 1}, {"q": 1}),
        ("parameters", {"p": 1}, {"p": 1, "q": None}),
    ):
        yield _called(f"{slot}: {one} and {other}", {slot: one}, {slot: other}, "changes")
        yield _called(f"{slot}: {one} again, beside {other}", {slot: one}, {slot: one}, "same")
    for what, value, old, new, expected in _CLASSES:
        module = _CLASS_MODULE.replace("VALUE", value)
        if old not in module:
            raise ValueError(f"The edit of {what} edits nothing.")
        yield Edit(
            name=f"a parameter's class: {what}",
            category="calls",
            before={"edited/main.py": module},
            after={"edited/main.py": module.replace(old, new)},
            expected=expected,
        )


def _libraries() -> Iterator[Edit]:
    for what, main in _LIBRARY_USES:
        files = {"edited/main.py": main}
        for name, before, after, expected in (
            ("its version", _library("1.0"), _library("1.1"), "changes"),
            ("nothing", _library("1.0"), _library("1.0"), "same"),
            ("the version of what it needs", _library("1.0", "sluicelib"),
             _library("1.0", "sluicelib>=1", "2.0"), "changes"),
            ("the version of what it needs on another system",
             _library("1.0", 'sluicelib; sys_platform == "os2"'),
             _library("1.0", 'sluicelib; sys_platform == "os2"', "2.0"), "same"),
        ):  # fmt: skip
            yield Edit(
                name=f"a library used by {what}: {name} changes",
                category="libraries",
                before={**files, **before},
                after={**files, **after},
                expected=expected,  # type: ignore[arg-type]
            )
    plain: Files = {"edited/main.py": _BODY}
    yield Edit(
        name="a library that is not used: its version changes",
        category="libraries",
        before={**plain, **_library("1.0")},
        after={**plain, **_library("2.0")},
        expected="same",
    )


def _files() -> Iterator[Edit]:
    helper = "LIMIT = 1\ndef helper(x):\n    return x + LIMIT\n"
    call = "def step(x):\n    return helper(x)\n"
    yield Edit(
        name="a helper moves to another file",
        category="files",
        before={"edited/main.py": f"from edited.a import helper\n{call}", "edited/a.py": helper},
        after={"edited/main.py": f"from edited.b.c import helper\n{call}", "edited/b/c.py": helper},
        expected="same",
    )
    yield Edit(
        name="a helper moves into the file that calls it",
        category="files",
        before={"edited/main.py": f"from edited.a import helper\n{call}", "edited/a.py": helper},
        after={"edited/main.py": helper + call},
        expected="same",
    )
    yield Edit(
        name="another helper of the same name",
        category="files",
        before={"edited/main.py": f"from edited.a import helper\n{call}", "edited/a.py": helper,
                "edited/b.py": helper.replace("1", "2")},
        after={"edited/main.py": f"from edited.b import helper\n{call}", "edited/a.py": helper,
               "edited/b.py": helper.replace("1", "2")},
        expected="changes",
    )  # fmt: skip
    yield Edit(
        name="another function in the helper's file",
        category="files",
        before={"edited/main.py": f"from edited.a import helper\n{call}", "edited/a.py": helper},
        after={"edited/main.py": f"from edited.a import helper\n{call}",
               "edited/a.py": "def other():\n    return 1\n" + helper},
        expected="same",
    )  # fmt: skip
    yield Edit(
        name="nothing but the folder",
        category="files",
        before={"edited/main.py": helper + call},
        after={"edited/main.py": helper + call},
        expected="same",
    )
    yield Edit(
        name="tabs for spaces, and Windows line ends",
        category="files",
        before={"edited/main.py": helper + call},
        after={"edited/main.py": (helper + call).replace("    ", "\t").replace("\n", "\r\n")},
        expected="same",
    )


def edits() -> Iterator[Edit]:
    """Yield edits of calls, libraries and files."""
    yield from _calls()
    yield from _libraries()
    yield from _files()
