"""This module edits classes, closures, decorators, and how functions are written and placed."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, Expected, source

# What is edited, the module, the text in it before and after, and what that must do.
_CLASSES: tuple[tuple[str, str, str, str, Expected], ...] = (
    ("an enum's value",
     "import enum\nclass How(enum.Enum):\n    MEAN = 1\n    MAX = 2\n"
     "def step(x):\n    return How.MEAN.value\n", "MEAN = 1", "MEAN = 3", "changes"),
    ("the order of an enum",
     "import enum\nclass How(enum.Enum):\n    MEAN = 1\n    MAX = 2\ndef step(x):\n"
     "    return list(How)\n", "MEAN = 1\n    MAX = 2", "MAX = 2\n    MEAN = 1", "changes"),
    ("an alias in an enum",
     "import enum\nclass How(enum.Enum):\n    MEAN = 1\ndef step(x):\n    return How['MEAN']\n",
     "MEAN = 1", "MEAN = 1\n    AVERAGE = 1", "changes"),
    ("an enum's docstring",
     "import enum\nclass How(enum.StrEnum):\n    'How.'\n    MEAN = 'm'\ndef step(x):\n"
     "    return How(x)\n", "'How.'", "'How to do it.'", "same"),
    ("a flag", "import enum\nclass How(enum.Flag):\n    A = 1\n    B = 2\ndef step(x):\n"
     "    return How.A | How.B\n", "B = 2", "B = 4", "changes"),
    ("an enum's missing value",
     "import enum\nclass How(enum.Enum):\n    A = 1\n    @classmethod\n"
     "    def _missing_(cls, value):\n        return None\ndef step(x):\n    return How(x)\n",
     "return None", "return cls.A", "changes"),
    ("a dataclass's default",
     "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: int = 1\ndef step(x):\n"
     "    return Row()\n", "a: int = 1", "a: int = 2", "changes"),
    ("the order of a dataclass's fields",
     "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: int = 1\n    b: int = 1\n"
     "def step(x):\n    return Row(1, 2)\n", "a: int = 1\n    b: int = 1",
     "b: int = 1\n    a: int = 1", "changes"),
    ("whether a dataclass is compared",
     "import dataclasses\n@dataclasses.dataclass(order=True)\nclass Row:\n    a: int\n"
     "def step(x):\n    return Row(1) == Row(2)\n", "order=True", "eq=False", "changes"),
    ("a field that is not compared",
     "import dataclasses\n@dataclasses.dataclass\nclass Row:\n"
     "    a: int = dataclasses.field(compare=True)\ndef step(x):\n    return Row(1) == Row(2)\n",
     "compare=True", "compare=False", "changes"),
    ("a dataclass's docstring",
     "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Row:\n    'A row.'\n"
     "    a: int = 1\ndef step(x):\n    return Row()\n", "'A row.'", "'One row.'", "same"),
    ("a comment in a dataclass",
     "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Row:\n    a: int = 1\n"
     "def step(x):\n    return Row()\n", "a: int = 1", "a: int = 1  # one", "same"),
    ("a dataclass's check",
     "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: int = 1\n"
     "    def __post_init__(self):\n        self.a += 1\ndef step(x):\n    return Row()\n",
     "+= 1", "+= 2", "changes"),
    ("a constant in a dataclass's default",
     "import dataclasses\nLIMIT = 3\n@dataclasses.dataclass\nclass Row:\n    a: int = LIMIT\n"
     "def step(x):\n    return Row()\n", "LIMIT = 3", "LIMIT = 4", "changes"),
    ("a named tuple's default",
     "import typing\nclass Row(typing.NamedTuple):\n    a: int = 1\ndef step(x):\n"
     "    return Row()\n", "a: int = 1", "a: int = 2", "changes"),
    ("the fields of a named tuple",
     "import collections\nRow = collections.namedtuple('Row', 'a b')\ndef step(x):\n"
     "    return Row(1, 2)\n", "'a b'", "'b a'", "changes"),
    ("the line of a named tuple",
     "import collections\nRow = collections.namedtuple('Row', 'a b')\ndef step(x):\n"
     "    return Row(1, 2)\n", "Row = coll", "\n\nRow = coll", "same"),
    ("a pydantic default",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\ndef step(x):\n"
     "    return Row()\n", "a: int = 1", "a: int = 2", "changes"),
    ("a pydantic limit",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = pydantic.Field(1, gt=0)\n"
     "def step(x):\n    return Row()\n", "gt=0", "gt=-1", "changes"),
    ("a pydantic type",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\ndef step(x):\n"
     "    return Row(a=x)\n", "a: int", "a: float", "changes"),
    ("a pydantic configuration",
     "import pydantic\nclass Row(pydantic.BaseModel):\n"
     "    model_config = pydantic.ConfigDict(frozen=True)\n    a: int = 1\ndef step(x):\n"
     "    return Row(a=x)\n", "frozen=True", "frozen=True, strict=True", "changes"),
    ("a pydantic validator",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\n"
     "    @pydantic.field_validator('a')\n    @classmethod\n    def check(cls, a):\n"
     "        return a + 1\ndef step(x):\n    return Row(a=x)\n", "a + 1", "a + 2", "changes"),
    ("when a pydantic validator runs",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\n"
     "    @pydantic.field_validator('a', mode='after')\n    @classmethod\n    def check(cls, a):\n"
     "        return a + 1\ndef step(x):\n    return Row(a=x)\n", "'after'", "'before'", "changes"),
    ("a pydantic computed field",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\n"
     "    @pydantic.computed_field\n    @property\n    def b(self) -> int:\n"
     "        return self.a + 1\ndef step(x):\n    return Row(a=x)\n", "a + 1", "a + 2", "changes"),
    ("a pydantic model's docstring",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    'A row.'\n    a: int = 1\n"
     "def step(x):\n    return Row(a=x)\n", "'A row.'", "'One row.'", "same"),
    ("a typed dictionary",
     "import typing\nclass Row(typing.TypedDict):\n    a: int\ndef step(x):\n"
     "    return Row.__annotations__\n", "a: int", "b: int", "changes"),
    ("the unit of a schema",
     "from __future__ import annotations\nfrom typing import Annotated, Protocol\n"
     "from headrace.schemas import Col, Schema, schema_of\nUNIT = 'min'\n"
     "class Flights(Schema, Protocol):\n    delay: Annotated[float, Col(unit=UNIT)]\n"
     "def step(x):\n    return schema_of(Flights)\n", "UNIT = 'min'", "UNIT = 'h'", "changes"),
    ("the bases of a class",
     "class A:\n    v = 1\nclass B:\n    v = 2\nclass C(A, B):\n    pass\ndef step(x):\n"
     "    return C.v\n", "C(A, B)", "C(B, A)", "changes"),
    ("what is registered as a subclass",
     "import abc\nclass Base(abc.ABC):\n    pass\nBase.register(int)\ndef step(x):\n"
     "    return isinstance(x, Base)\n", "int", "float", "changes"),
    ("a class that decorates",
     "import functools\nclass Twice:\n    def __init__(self, f):\n        self.f = f\n"
     "        functools.update_wrapper(self, f)\n    def __call__(self, x):\n"
     "        return self.f(self.f(x))\n@Twice\ndef helper(x):\n    'Helps.'\n"
     "    return x + 1\ndef step(x):\n    return helper(x)\n", "x + 1", "x + 2", "changes"),
    ("a docstring below a class that decorates",
     "import functools\nclass Twice:\n    def __init__(self, f):\n        self.f = f\n"
     "        functools.update_wrapper(self, f)\n    def __call__(self, x):\n"
     "        return self.f(self.f(x))\n@Twice\ndef helper(x):\n    'Helps.'\n"
     "    return x + 1\ndef step(x):\n    return helper(x)\n", "'Helps.'", "'Does.'", "same"),
    ("a pydantic dataclass",
     "from pydantic.dataclasses import dataclass\n@dataclass\nclass Row:\n    a: int = 1\n"
     "def step(x):\n    return Row(x)\n", "a: int = 1", "a: float = 1", "changes"),
    ("a pydantic function in a type",
     "import pydantic, typing\ndef double(v):\n    return v * 2\n"
     "class Row(pydantic.BaseModel):\n"
     "    a: typing.Annotated[int, pydantic.AfterValidator(double)]\ndef step(x):\n"
     "    return Row(a=x)\n", "v * 2", "v * 3", "changes"),
    ("a model within a pydantic model",
     "import pydantic\nclass In(pydantic.BaseModel):\n    b: int = 1\n"
     "class Row(pydantic.BaseModel):\n    a: list[In]\ndef step(x):\n    return Row(a=x)\n",
     "b: int = 1", "b: int = 2", "changes"),
    ("a pydantic model's private attribute",
     "import pydantic\nclass Row(pydantic.BaseModel):\n    _a: int = pydantic.PrivateAttr(1)\n"
     "def step(x):\n    return Row()._a\n", "PrivateAttr(1)", "PrivateAttr(2)", "changes"),
    ("an attrs class's default",
     "import attrs\n@attrs.define\nclass Row:\n    a: int = 1\ndef step(x):\n"
     "    return Row()\n", "a: int = 1", "a: int = 2", "changes"),
    ("an attrs class's docstring",
     "import attrs\n@attrs.define\nclass Row:\n    'A row.'\n    a: int = 1\ndef step(x):\n"
     "    return Row()\n", "'A row.'", "'One row.'", "same"),
    ("an estimator's setting",
     "from sklearn.linear_model import LogisticRegression\nMODEL = LogisticRegression(C=1.0)\n"
     "def step(x):\n    return MODEL\n", "C=1.0", "C=2.0", "changes"),
    ("an estimator in a pipeline, a comment beside it",
     "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import "
     "StandardScaler\nMODEL = make_pipeline(StandardScaler())\ndef step(x):\n    return MODEL\n",
     "def step", "# the pipeline\ndef step", "same"),
    ("a function in a query",
     "def late(v):\n    return v > 3\ndef step(x):\n    return x.query('@late(v)')\n", "v > 3",
     "v > 4", "changes"),
    ("a mixin's method",
     "class Mixin:\n    def size(self):\n        return 1\nclass C(dict, Mixin):\n    pass\n"
     "def step(x):\n    return C().size()\n", "return 1", "return 2", "changes"),
    ("what a base asks of its subclass",
     "class Base:\n    def run(self):\n        return self.hook()\nclass C(Base):\n"
     "    def hook(self):\n        return 1\ndef step(x):\n    return C().run()\n",
     "return 1", "return 2", "changes"),
    ("the order of methods",
     "class C:\n    def a(self):\n        return 1\n    def b(self):\n        return 2\n"
     "def step(x):\n    return C().a()\n",
     "    def a(self):\n        return 1\n    def b(self):\n        return 2\n",
     "    def b(self):\n        return 2\n    def a(self):\n        return 1\n", "same"),
    ("slots", "class C:\n    __slots__ = ('a',)\ndef step(x):\n    return C()\n",
     "('a',)", "('a', 'b')", "changes"),
    ("a class attribute that is set later",
     "class C:\n    a = 1\nC.b = 1\ndef step(x):\n    return C.b\n", "C.b = 1", "C.b = 2",
     "changes"),
    ("a registry of subclasses",
     "class Base:\n    found = []\n    def __init_subclass__(cls):\n"
     "        Base.found.append(cls)\nclass C(Base):\n    v = 1\ndef step(x):\n"
     "    return [c.v for c in Base.found]\n", "v = 1", "v = 2", "changes"),
    ("an abstract method's implementation",
     "import abc\nclass Base(abc.ABC):\n    @abc.abstractmethod\n    def v(self): ...\n"
     "class C(Base):\n    def v(self):\n        return 1\ndef step(x):\n    return C().v()\n",
     "return 1", "return 2", "changes"),
    ("a generic class", "from typing import Generic, TypeVar\nT = TypeVar('T')\n"
     "class C(Generic[T]):\n    def v(self):\n        return 1\ndef step(x):\n"
     "    return C[int]().v()\n", "return 1", "return 2", "changes"),
    ("an exception's text", "class Bad(ValueError):\n    def __str__(self):\n"
     "        return 'bad'\ndef step(x):\n    raise Bad\n", "'bad'", "'worse'", "changes"),
    ("a class decorator", "def add(cls):\n    cls.v = 1\n    return cls\n@add\nclass C:\n    pass\n"
     "def step(x):\n    return C.v\n", "cls.v = 1", "cls.v = 2", "changes"),
    ("a class that type() makes", "C = type('C', (), {'v': lambda self: 1})\ndef step(x):\n"
     "    return C().v()\n", "self: 1", "self: 2", "changes"),
    ("a class within the body", "def step(x):\n    class C:\n        'A class.'\n        v = 1\n"
     "    return C.v\n", "v = 1", "v = 2", "changes"),
    ("the docstring of a class within the body", "def step(x):\n    class C:\n"
     "        'A class.'\n        v = 1\n    return C.v\n", "'A class.'", "'The class.'", "same"),
    ("a function's attribute", "def how(x):\n    return how.limit\nhow.limit = 3\ndef step(x):\n"
     "    return how(x)\n", "limit = 3", "limit = 4", "changes"),
    ("a subclass of a number", "class Minutes(float):\n    pass\nLIMIT = Minutes(3)\n"
     "def step(x):\n    return LIMIT\n", "Minutes(3)", "Minutes(4)", "changes"),
    ("a subclass of a list", "class Names(list):\n    pass\nNAMES = Names(['a'])\ndef step(x):\n"
     "    return NAMES\n", "['a']", "['b']", "changes"),
    ("a subclass of a tuple", "class Names(tuple):\n    pass\nNAMES = Names(['a'])\ndef step(x):\n"
     "    return NAMES\n", "['a']", "['b']", "changes"),
    ("a subclass of a dictionary", "class Names(dict):\n    pass\nNAMES = Names(a=1)\n"
     "def step(x):\n    return NAMES\n", "a=1", "a=2", "changes"),
    ("an object that says another state to pickle",
     "class Rule:\n    def __init__(self, v):\n        self.v = v\n    def __getstate__(self):\n"
     "        return {}\n    def __reduce__(self):\n        return Rule, (0,)\nRULE = Rule(1)\n"
     "def step(x):\n    return RULE.v\n", "Rule(1)", "Rule(2)", "changes"),
    ("objects that refer to each other",
     "class Node:\n    pass\nA, B = Node(), Node()\nA.to, B.to, B.v = B, A, 1\ndef step(x):\n"
     "    return A.to.v\n", "B, A, 1", "B, A, 2", "changes"),
    ("a list in itself", "LOOP = [1]\nLOOP.append(LOOP)\ndef step(x):\n    return LOOP[0]\n",
     "LOOP = [1]", "LOOP = [2]", "changes"),
)
_FUNCTIONS: tuple[tuple[str, str, str, str, Expected], ...] = (
    ("a closure's value", "def make(n):\n    def inner(x):\n        return x + n\n"
     "    return inner\nstep = make(1)\n", "make(1)", "make(2)", "changes"),
    ("which of two closures", "def make(n):\n    def inner(x):\n        return x * 2 + n\n"
     "    return inner\none, two = make(1), make(2)\ndef step(x):\n    return one(two(x))\n",
     "one, two = make(1), make(2)", "two, one = make(1), make(2)", "changes"),
    ("which of two functions does which", "def a(x):\n    return x + 1\ndef b(x):\n"
     "    return x * 2\ndef step(x):\n    return a(b(x))\n", "a(b(x))", "b(a(x))", "changes"),
    ("a captured local's name", "def make(alpha, beta):\n    def inner(x):\n"
     "        return x * beta + alpha\n    return inner\nstep = make(1, 2)\n", "alpha", "zeta",
     "same"),
    ("a captured local's name, within the body", "def step(x):\n    alpha, beta = 1, 2\n"
     "    def inner(y):\n        return y * beta + alpha\n    return inner(x)\n", "alpha", "zeta",
     "same"),
    ("two captured locals swapped", "def step(x):\n    alpha, beta = 1, 2\n    def inner(y):\n"
     "        return y * beta + alpha\n    return inner(x)\n", "beta + alpha", "alpha + beta",
     "changes"),
    ("the name of a function within the body", "def step(x):\n    def inner(y):\n"
     "        return y * 2\n    return inner(x)\n", "inner", "doubled", "same"),
    ("a name that pandas gives a column", "def late(x):\n    return x.max()\ndef step(x):\n"
     "    return x.agg([late])\n", "late", "latest", "changes"),
    ("the name of a helper that is only called", "def helper(x):\n    return x\ndef step(x):\n"
     "    return helper(x)\n", "helper", "assistant", "same"),
    ("the name of an argument given by position", "def helper(value):\n    return value + 1\n"
     "def step(x):\n    return helper(x)\n", "value", "number", "same"),
    ("two arguments given by name, swapped", "def helper(a, b):\n    return a - b\ndef step(x):\n"
     "    return helper(a=x, b=1)\n", "(a, b):\n    return a - b", "(b, a):\n    return b - a",
     "uncached ok"),
    ("two arguments given by name, taken for each other", "def helper(a, b):\n    return a - b\n"
     "def step(x):\n    return helper(a=x, b=1)\n", "(a, b):\n    return a - b",
     "(b, a):\n    return a - b", "changes"),
    ("arguments that were numbered alike", "def helper(a, b):\n    return a - b\ndef step(x):\n"
     "    return helper(a=x, b=1)\n", "(a, b):\n    return a - b", "(b, a):\n    return b - a",
     "changes"),
    ("the order of functions", "def a(x):\n    return 1\ndef b(x):\n    return 2\ndef step(x):\n"
     "    return a(x) + b(x)\n", "def a(x):\n    return 1\ndef b(x):\n    return 2\n",
     "def b(x):\n    return 2\ndef a(x):\n    return 1\n", "same"),
    ("a conditional expression on two lines", "def step(x):\n    return 1 if x else 2\n",
     "1 if x else 2", "(1\n            if x\n            else 2)", "same"),
    ("statements on one line", "def step(x):\n    while x:\n        x -= 1\n"
     "        if x == 3: continue\n        if x == 2: break\n    return x\n",
     "if x == 3: continue", "if x == 3:\n            continue", "same"),
    ("a pass", "def step(x):\n    if x:\n        x = 1\n    return x\n", "x = 1",
     "pass\n        x = 1",
     "same"),
    ("nested conditions on other lines", "def step(x):\n    for y in x:\n        if y:\n"
     "            if y > 1:\n                if y > 2:\n                    return y\n"
     "                else:\n                    pass\n    return 0\n",
     "                else:\n                    pass\n", "                else: pass\n", "same"),
    ("parentheses", "def step(x):\n    return x + 1\n", "x + 1", "(x + 1)", "same"),
    ("a trailing comma", "def step(x):\n    return max(x, 1)\n", "max(x, 1)",
     "max(\n        x,\n        1,\n    )", "same"),
    ("an import that nobody uses", "def step(x):\n    return x\n", "def step",
     "import json\ndef step",
     "same"),
    ("a constant that nobody uses", "def step(x):\n    return x\n", "def step",
     "UNUSED = 3\ndef step", "same"),
    ("the module's docstring", "'A module.'\ndef step(x):\n    return x\n", "'A module.'",
     "'The module.'", "same"),
    ("an alias of a module", "import numpy as np\ndef step(x):\n    return np.mean(x)\n", "np",
     "xp",
     "same"),
    ("an operator", "def step(x):\n    return x + 1\n", "+", "-", "changes"),
    ("is and equals", "def step(x):\n    return x == None\n", "==", "is", "changes"),
    ("a negation", "def step(x):\n    return x in (1, 2)\n", "in (", "not in (", "changes"),
    ("and and or", "def step(x):\n    return x and 1\n", "and", "or", "changes"),
    ("arms of a condition", "def step(x):\n    if x:\n        return 1\n    return 2\n", "if x",
     "if not x", "changes"),
    ("break and continue", "def step(x):\n    for y in x:\n        if y:\n            break\n"
     "        print(y)\n    return y\n", "break", "continue", "changes"),
    ("what an exception is", "def step(x):\n    try:\n        return int(x)\n"
     "    except ValueError:\n        return 0\n", "ValueError", "TypeError", "changes"),
    ("what is guarded", "def step(x):\n    y = 0\n    try:\n        y = int(x)\n        x = y + 1\n"
     "    except ValueError:\n        return x\n    return x, y\n",
     "        x = y + 1\n    except ValueError:\n        return x\n",
     "    except ValueError:\n        return x\n    x = y + 1\n", "changes"),
    ("an else of a loop", "def step(x):\n    for y in x:\n        if y:\n            break\n"
     "    else:\n        y = 9\n    return y\n", "y = 9", "y = 8", "changes"),
    ("the arguments of a call, by name", "def step(x):\n    return sorted(x, reverse=True)\n",
     "reverse=True", "key=None", "changes"),
    ("an attribute of local data", "def step(x):\n    return x.min()\n", "min", "max", "changes"),
    ("an f-string", "def step(x):\n    return f'{x} late'\n", "late", "early", "changes"),
    ("a conversion in an f-string", "def step(x):\n    return f'{x!r}'\n", "!r", "!s", "changes"),
    ("a star", "def helper(*x):\n    return x\ndef step(x):\n    return helper(x)\n", "*x", "x",
     "changes"),
    ("a generator and a list", "def step(x):\n    return (y for y in x)\n", "(y for y in x)",
     "[y for y in x]", "changes"),
    ("yield and return", "def step(x):\n    yield x\n", "yield x", "return x", "changes"),
    ("a type comment", "def step(x):\n    y = x  # type: int\n    return y\n", "int", "float",
     "same"),
    ("an annotation of a local", "def step(x):\n    y: int = x\n    return y\n", "int", "float",
     "same"),
    ("an annotation of a function within", "def step(x):\n    def inner(y: int) -> int:\n"
     "        return y\n    return inner(x)\n", "y: int", "y: float", "same"),
    ("no annotation of a function within", "def step(x):\n    def inner(y: int) -> int:\n"
     "        return y\n    return inner(x)\n", "(y: int) -> int", "(y)", "same"),
    ("a walrus", "def step(x):\n    if (y := x + 1) > 2:\n        return y\n", "x + 1", "x + 2",
     "changes"),
    ("what is unpacked", "def step(x):\n    a, *b = x\n    return a\n", "a, *b", "*a, b",
     "changes"),
    ("a slice", "def step(x):\n    return x[1:]\n", "[1:]", "[:1]", "changes"),
    ("a match", "def step(x):\n    match x:\n        case [a, b]:\n            return a\n"
     "        case {'k': v}:\n            return v\n", "'k'", "'l'", "changes"),
    ("an assertion", "def step(x):\n    assert x > 1\n    return x\n", "x > 1", "x > 2", "changes"),
    ("a recursive function", "def helper(n):\n    return n and helper(n - 1)\ndef step(x):\n"
     "    return helper(x)\n", "n - 1", "n - 2", "changes"),
    ("functions that call each other", "def even(n):\n    return n == 0 or odd(n - 1)\n"
     "def odd(n):\n    return n != 0 and even(n - 1)\ndef step(x):\n    return even(x)\n",
     "n != 0", "n != 1", "changes"),
    ("a decorator's argument", "import functools\ndef times(n):\n    def wrap(f):\n"
     "        @functools.wraps(f)\n        def inner(x):\n            return f(x) * n\n"
     "        return inner\n    return wrap\n@times(2)\ndef step(x):\n    return x\n", "times(2)",
     "times(3)", "changes"),
    ("a decorator less", "def twice(f):\n    return lambda x: f(f(x))\n@twice\ndef helper(x):\n"
     "    return x + 1\ndef step(x):\n    return helper(x)\n", "@twice\n", "", "changes"),
    ("a parameter named in a query", "LIMIT = 3\ndef step(x):\n    return x.query('v > @LIMIT')\n",
     "LIMIT = 3", "LIMIT = 4", "changes"),
    ("a query in a constant", "LIMIT = 3\nQUERY = 'v > @LIMIT'\ndef step(x):\n"
     "    return x.query(QUERY)\n", "LIMIT = 3", "LIMIT = 4", "changes"),
    ("a table named in SQL", "import duckdb, pandas as pd\nRATES = pd.DataFrame({'a': [1]})\n"
     "def step(x):\n    return duckdb.sql('select * from RATES').df()\n", "[1]", "[2]", "changes"),
    ("a local seen by name", "def step(x):\n    total = 1\n    return locals()\n", "total", "sum_",
     "changes"),
    ("a docstring that is read", "def helper(x):\n    'One.'\n    return x\ndef step(x):\n"
     "    return helper.__doc__\n", "'One.'", "'Two.'", "changes"),
    ("an annotation that is read", "import typing\ndef helper(x: int):\n    return x\n"
     "def step(x):\n    return typing.get_type_hints(helper)\n", "x: int", "x: float", "changes"),
    ("a signature that is read", "import inspect\ndef helper(x: int):\n    return x\n"
     "def step(x):\n    return inspect.signature(helper)\n", "x: int", "x: float", "changes"),
    ("a function's name that is read", "def helper(x):\n    return x\ndef step(x):\n"
     "    return helper.__name__\n", "helper", "assistant", "changes"),
)


def _edits(category: str, cases: tuple[tuple[str, str, str, str, Expected], ...]) -> Iterator[Edit]:
    for what, module, old, new, expected in cases:
        if old not in module:
            raise ValueError(f"The edit of {what} edits nothing.")
        yield source(what, category, module, module.replace(old, new), expected)


def edits() -> Iterator[Edit]:
    """Yield edits of classes, then of functions."""
    yield from _edits("classes", _CLASSES)
    yield from _edits("functions", _FUNCTIONS)
