"""This module edits what one module does to another: star imports, fallbacks and patches."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, Expected

_CATEGORY = "modules among themselves"
_PATCHED = (
    "import edited.other as other\nimport edited.third\ndef step(x):\n    return other.h(x)\n"
)
_PLAIN = "def h(x):\n    return 1\n"

# What is edited, the module of `step`, the module `other` before and after, and `third` likewise.
_CASES: tuple[tuple[str, str, tuple[str, str], tuple[str, str], Expected], ...] = (
    (
        "a function behind a star import",
        "from edited.other import *\ndef step(x):\n    return h(x)\n",
        ("def h(x):\n    return x + 1\n", "def h(x):\n    return x + 2\n"),
        ("", ""),
        "changes",
    ),
    (
        "a constant behind a star import",
        "from edited.other import *\ndef step(x):\n    return K\n",
        ("__all__ = ['K']\nK = 1\n", "__all__ = ['K']\nK = 2\n"),
        ("", ""),
        "changes",
    ),
    (
        "what else a star import brings",
        "from edited.other import *\ndef step(x):\n    return K\n",
        ("K = 1\nL = 1\n", "K = 1\nL = 2\n"),
        ("", ""),
        "same",
    ),
    (
        "a module that gets what there was a fallback for",
        "try:\n    from edited.other import h\n"
        "except ImportError:\n    def h(x):\n        return x\n"
        "def step(x):\n    return h(x)\n",
        ("z = 1\n", "def h(x):\n    return x + 2\n"),
        ("", ""),
        "changes",
    ),
    (
        "a method that another module puts on a class",
        "from edited import other\nclass A:\n    def m(self):\n        return 1\nother.patch(A)\n"
        "def step(x):\n    return A().m()\n",
        (
            "def patch(cls):\n    cls.m = lambda self: 5\n",
            "def patch(cls):\n    cls.m = lambda self: 6\n",
        ),
        ("", ""),
        "changes",
    ),
    (
        "the module that puts a function in another's place",
        _PATCHED,
        (_PLAIN, _PLAIN),
        ("import edited.other as o\no.h = lambda x: 7\n", "import edited.other as o\no.h = abs\n"),
        "changes",
    ),
    (
        "a function that was replaced by another module",
        _PATCHED,
        (_PLAIN, "def h(x):\n    return 2\n"),
        ("import edited.other as o\no.h = lambda x: 7\n",) * 2,
        "same",
    ),
    (
        "a name in a chain of relative imports",
        "from .other import g\ndef step(x):\n    return g(x)\n",
        ("from .third import h as g\n", "from .third import i as g\n"),
        ("def h(x):\n    return 1\ndef i(x):\n    return 2\n",) * 2,
        "changes",
    ),
    (
        "a function imported in the body",
        "def step(x):\n    from edited.other import h\n    return h(x)\n",
        ("def h(x):\n    return x + 1\n", "def h(x):\n    return x + 2\n"),
        ("", ""),
        "changes",
    ),
    (
        "a module imported in the body under another name",
        "def step(x):\n    import edited.other as o\n    return o.h(x)\n",
        ("def h(x):\n    return x + 1\n", "def h(x):\n    return x + 2\n"),
        ("", ""),
        "changes",
    ),
    (
        "a type that only type checkers import",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from edited.other import T\n"
        "def step(x: 'T'):\n    return x\n",
        ("T = int\n", "T = str\n"),
        ("", ""),
        "same",
    ),
    (
        "a function put into a library's module",
        "import json\nfrom edited import other\njson.edited_dumps = other.h\n"
        "def step(x):\n    return json.edited_dumps(x)\n",
        ("def h(x):\n    return 'a'\n", "def h(x):\n    return 'b'\n"),
        ("", ""),
        "changes",
    ),
    (
        "a method put on a library's class",
        "from email import message\nfrom edited import other\n"
        "message.Message.edited = other.h\n"
        "def step(x):\n    return message.Message().edited()\n",
        ("def h(self):\n    return 'a'\n", "def h(self):\n    return 'b'\n"),
        ("", ""),
        "changes",
    ),
    (
        "a class method put on a library's class that is imported by name",
        "from edited import other\ndef step(x):\n    return other.Later.made(x)\n",
        (
            "from string import Formatter as Later\nLater.made = classmethod(lambda cls, x: 1)\n",
            "from string import Formatter as Later\nLater.made = classmethod(lambda cls, x: 2)\n",
        ),
        ("", ""),
        "changes",
    ),
    (
        "a property put on the library's base of one's class",
        "from string import Template\nfrom edited import other\n"
        "Template.edited = property(other.h)\nclass Mine(Template):\n    pass\n"
        "def step(x):\n    return Mine('a').edited\n",
        ("def h(self):\n    return 1\n", "def h(self):\n    return 2\n"),
        ("", ""),
        "changes",
    ),
)


def edits() -> Iterator[Edit]:
    """Yield every edit of this module."""
    for name, main, other, third, expected in _CASES:
        sides = [
            {"edited/main.py": main, "edited/other.py": o, "edited/third.py": t}
            for o, t in zip(other, third, strict=True)
        ]
        yield Edit(
            name=name, category=_CATEGORY, before=sides[0], after=sides[1], expected=expected
        )
