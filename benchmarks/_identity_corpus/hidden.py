"""This module edits code that a function only reaches in ways that cannot, or can barely, be seen.

Such a function may have no key at all; what it must never have is one key before and after.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, Expected

_OTHER = "LIMIT = 1\ndef h_late(x):\n    return x + 1\nclass Rule:\n    v = 1\n"

# How the other module's function is reached: the body of `step`, below these imports.
_WAYS: tuple[tuple[str, str], ...] = (
    ("eval", "return eval('other.h_late')(x)"),
    ("exec", "exec('y = other.h_late(x)')"),
    ("compile", "return compile('other.h_late(1)', 'f', 'eval')"),
    ("eval under another name", "return run('other.h_late')(x)"),
    ("import_module", "return importlib.import_module('edited.' + x).h_late(x)"),
    ("__import__", "return __import__('edited.' + x).other.h_late(x)"),
    ("getattr of a module", "return getattr(other, 'h_' + x)(x)"),
    ("getattr of a module by a variable", "n = 'h_' + x\n    return getattr(other, n)(x)"),
    ("getattr under another name", "return fetch(other, 'h_late')(x)"),
    ("an attribute getter", "return operator.attrgetter('h_late')(other)(x)"),
    ("a method caller", "return operator.methodcaller('h_late', x)(other)"),
    ("vars", "return vars(other)['h_late'](x)"),
    ("a module's dictionary", "return other.__dict__['h_late'](x)"),
    ("globals", "return globals()['other'].h_late(x)"),
    ("a function's globals", "return helper.__globals__['other'].h_late(x)"),
    ("the globals by getattr", "return getattr(helper, '__globals__')['other'].h_late(x)"),
    ("sys.modules", "return sys.modules['edited.other'].h_late(x)"),
    ("a module as a value", "return apply(other, x)"),
    ("a module in a variable", "m = other\n    return m.h_late(x)"),
    ("one of two modules", "m = other if x else sys\n    return m.h_late(x)"),
    ("modules in a loop", "return [m.h_late(x) for m in (other,)]"),
    ("a module in a list", "return MODULES[0].h_late(x)"),
    ("a module in a class", "return Holder.module.h_late(x)"),
    ("a module in a default", "return defaulted(x)"),
    ("subclasses", "return [c.v for c in other.Rule.__subclasses__()]"),
    ("a pickle", "return pickle.loads(BLOB)(x)"),
    ("a frame", "return sys._getframe().f_globals['other'].h_late(x)"),
    ("the stack", "return inspect.stack()[0].frame.f_globals"),
    ("the source", "return inspect.getsource(helper)"),
    ("a reload", "return importlib.reload(other).h_late(x)"),
    ("a runner", "return runpy.run_module('edited.other')['h_late'](x)"),
    ("a module's own getattr", "return lazy.h_late(x)"),
)
_HEAD = """import importlib, inspect, operator, pickle, runpy, sys
from edited import other, lazy
run, fetch = eval, getattr
MODULES = [other]
BLOB = pickle.dumps(other.h_late)
class Holder:
    module = other
def helper(x):
    return x
def apply(module, x):
    return module.h_late(x)
def defaulted(x, module=other):
    return module.h_late(x)
"""
_LAZY = "def __getattr__(name):\n    from edited import other\n    return getattr(other, name)\n"

# Values that have no form that could be hashed.
_VALUES: tuple[tuple[str, str], ...] = (
    ("a lock", "threading.Lock()"),
    ("a context variable", "contextvars.ContextVar('v', default=1)"),
    ("an open file", "sys.__stderr__"),
    ("a generator", "(i for i in range(3))"),
    ("a weak reference", "weakref.ref(Thing)"),
    ("thread-local state", "threading.local()"),
    ("a memory view", "memoryview(b'a')"),
    ("a C function", "ctypes.CDLL(None).abs"),
    ("a function compiled for arrays", "np.frompyfunc(lambda v: v, 1, 1)"),
    ("an iterator over open data", "csv.reader(iter([]))"),
)
# Code that a computed name does not make hidden: local data, and objects that are hashed whole.
_SEEN: tuple[tuple[str, str, str, str, Expected], ...] = (
    (
        "getattr of local data",
        "def step(x, how):\n    return getattr(x.dt, how)() + 1\n",
        "+ 1",
        "+ 2",
        "changes",
    ),
    (
        "getattr of a row, in a helper",
        "def pick(row, name):\n    return getattr(row, name)\n"
        "def step(x):\n    return pick(x, 'v') + 1\n",
        "+ 1",
        "+ 2",
        "changes",
    ),
    (
        "getattr of a library by a computed name",
        "import numpy as np\ndef step(x, how):\n    return getattr(np, how)(x) + 1\n",
        "+ 1",
        "+ 2",
        "changes",
    ),
    (
        "getattr of an object of the module",
        "class Rule:\n    a = 1\nRULE = Rule()\ndef step(x):\n    return getattr(RULE, x)\n",
        "a = 1",
        "a = 2",
        "changes",
    ),
    (
        "setattr of local data",
        "def step(x):\n    setattr(x, 'v', 1)\n    return x\n",
        "'v', 1",
        "'v', 2",
        "changes",
    ),
    (
        "a method named eval",
        "def step(x):\n    return x.eval('a + 1')\n",
        "a + 1",
        "a + 2",
        "changes",
    ),
    (
        "a method named compile",
        "import re\ndef step(x):\n    return re.compile('a').sub(x, 'b')\n",
        "'b'",
        "'c'",
        "changes",
    ),
    (
        "a function named as a built-in",
        "def round(x):\n    return x + 1\ndef step(x):\n    return round(x)\n",
        "x + 1",
        "x + 2",
        "changes",
    ),
    (
        "a getattr of the user's",
        "def getattr(o, n):\n    return o + 1\ndef step(x):\n    return getattr(x, 'v')\n",
        "o + 1",
        "o + 2",
        "changes",
    ),
    (
        "a lock that nobody uses",
        "import threading\nLOCK = threading.Lock()\ndef step(x):\n    return x + 1\n",
        "x + 1",
        "x + 2",
        "changes",
    ),
    (
        "an attribute that may be absent",
        "from edited import other\ndef step(x):\n"
        "    return getattr(other, 'absent', None), x + 1\n",
        "+ 1",
        "+ 2",
        "changes",
    ),
    (
        "what a wrapper keeps as wrapped",
        "def made(f):\n    def wrapper(x):\n"
        "        return wrapper.__wrapped__(x)\n    wrapper.__wrapped__ = f\n    return wrapper\n"
        "@made\ndef step(x):\n    return x + 1\n",
        "+ 1",
        "+ 2",
        "changes",
    ),
    (
        "an accessor of frames",
        "import pandas as pd\nif hasattr(pd.Series, 'headrace_test'):\n"
        "    del pd.Series.headrace_test\n@pd.api.extensions."
        "register_series_accessor('headrace_test')\nclass Late:\n    def __init__(self, s):\n"
        "        self.s = s\n    def count(self):\n        return 1\ndef step(x):\n"
        "    return x.headrace_test.count()\n",
        "return 1",
        "return 2",
        "changes",
    ),
    (
        "a method given to frames",
        "import pandas as pd\ndef late(frame):\n    return 1\n"
        "pd.DataFrame.headrace_late = late\ndef step(x):\n    return x.headrace_late()\n",
        "return 1",
        "return 2",
        "changes",
    ),
    (
        "a setting of a library",
        "import email.charset as c\nc.HEADRACE_TEST = {'a': 1}\n"
        "def step(x):\n    return c.HEADRACE_TEST\n",
        "'a': 1",
        "'a': 2",
        "changes",
    ),
    (
        "a validated call",
        "import pydantic\n@pydantic.validate_call\ndef helper(x: int):\n"
        "    return x + 1\ndef step(x):\n    return helper(x)\n",
        "x + 1",
        "x + 2",
        "uncached ok",
    ),
    (
        "a name that has a value later",
        "def step(x):\n    return later(x) + 1\n",
        "+ 1",
        "+ 2",
        "uncached ok",
    ),
    (
        "arguments of the process",
        "import sys\ndef step(x):\n    return sys.argv, x + 1\n",
        "+ 1",
        "+ 2",
        "uncached ok",
    ),
    (
        "a logger",
        "import logging\nlog = logging.getLogger(__name__)\ndef step(x):\n"
        "    log.info('%s', x)\n    return x + 1\n",
        "x + 1",
        "x + 2",
        "changes",
    ),
)


def edits() -> Iterator[Edit]:
    """Yield edits of the other module by each way, then edits beside each value."""
    for way, body in _WAYS:
        main = f"{_HEAD}def step(x):\n    {body}\n"
        files = {"edited/main.py": main, "edited/lazy.py": _LAZY}
        yield Edit(
            name=f"a function reached by {way}",
            category="hidden",
            before={**files, "edited/other.py": _OTHER},
            after={**files, "edited/other.py": _OTHER.replace("x + 1", "x + 2")},
            expected="uncached ok",
        )
    for what, expression in _VALUES:
        main = (
            "import contextvars, csv, ctypes, sys, threading, weakref\n"
            "import numpy as np\nclass Thing:\n    pass\n"
            f"VALUE = {expression}\ndef step(x):\n    return VALUE, x + 1\n"
        )
        yield Edit(
            name=f"code beside {what}",
            category="hidden",
            before={"edited/main.py": main},
            after={"edited/main.py": main.replace("x + 1", "x + 2")},
            expected="uncached ok",
        )
    for what, main, old, new, expected in _SEEN:
        yield Edit(
            name=what,
            category="seen after all",
            before={"edited/main.py": main, "edited/other.py": _OTHER},
            after={"edited/main.py": main.replace(old, new), "edited/other.py": _OTHER},
            expected=expected,
        )
