"""This module edits classes of which a library makes something: models, schemas, estimators."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Case, Edit, cases

# What is edited, the module, the text in it before and after, and what that must do.
_CASES: tuple[Case, ...] = (
    (
        "a pydantic default",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\ndef step(x):\n"
        "    return Row()\n",
        "a: int = 1",
        "a: int = 2",
        "changes",
    ),
    (
        "a pydantic limit",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = pydantic.Field(1, gt=0)\n"
        "def step(x):\n    return Row()\n",
        "gt=0",
        "gt=-1",
        "changes",
    ),
    (
        "a pydantic type",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\ndef step(x):\n"
        "    return Row(a=x)\n",
        "a: int",
        "a: float",
        "changes",
    ),
    (
        "a pydantic configuration",
        "import pydantic\nclass Row(pydantic.BaseModel):\n"
        "    model_config = pydantic.ConfigDict(frozen=True)\n    a: int = 1\ndef step(x):\n"
        "    return Row(a=x)\n",
        "frozen=True",
        "frozen=True, strict=True",
        "changes",
    ),
    (
        "a pydantic validator",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\n"
        "    @pydantic.field_validator('a')\n    @classmethod\n    def check(cls, a):\n"
        "        return a + 1\ndef step(x):\n    return Row(a=x)\n",
        "a + 1",
        "a + 2",
        "changes",
    ),
    (
        "when a pydantic validator runs",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\n"
        "    @pydantic.field_validator('a', mode='after')\n    @classmethod\n"
        "    def check(cls, a):\n"
        "        return a + 1\ndef step(x):\n    return Row(a=x)\n",
        "'after'",
        "'before'",
        "changes",
    ),
    (
        "a pydantic computed field",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    a: int = 1\n"
        "    @pydantic.computed_field\n    @property\n    def b(self) -> int:\n"
        "        return self.a + 1\ndef step(x):\n    return Row(a=x)\n",
        "a + 1",
        "a + 2",
        "changes",
    ),
    (
        "a pydantic model's docstring",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    'A row.'\n    a: int = 1\n"
        "def step(x):\n    return Row(a=x)\n",
        "'A row.'",
        "'One row.'",
        "same",
    ),
    (
        "the unit of a schema",
        "from __future__ import annotations\nfrom typing import Annotated, Protocol\n"
        "from headrace.schemas import Col, Schema, schema_of\nUNIT = 'min'\n"
        "class Flights(Schema, Protocol):\n    delay: Annotated[float, Col(unit=UNIT)]\n"
        "def step(x):\n    return schema_of(Flights)\n",
        "UNIT = 'min'",
        "UNIT = 'h'",
        "changes",
    ),
    (
        "a pydantic dataclass",
        "from pydantic.dataclasses import dataclass\n@dataclass\nclass Row:\n    a: int = 1\n"
        "def step(x):\n    return Row(x)\n",
        "a: int = 1",
        "a: float = 1",
        "changes",
    ),
    (
        "a pydantic function in a type",
        "import pydantic, typing\ndef double(v):\n    return v * 2\n"
        "class Row(pydantic.BaseModel):\n"
        "    a: typing.Annotated[int, pydantic.AfterValidator(double)]\ndef step(x):\n"
        "    return Row(a=x)\n",
        "v * 2",
        "v * 3",
        "changes",
    ),
    (
        "a model within a pydantic model",
        "import pydantic\nclass In(pydantic.BaseModel):\n    b: int = 1\n"
        "class Row(pydantic.BaseModel):\n    a: list[In]\ndef step(x):\n    return Row(a=x)\n",
        "b: int = 1",
        "b: int = 2",
        "changes",
    ),
    (
        "a pydantic model's private attribute",
        "import pydantic\nclass Row(pydantic.BaseModel):\n    _a: int = pydantic.PrivateAttr(1)\n"
        "def step(x):\n    return Row()._a\n",
        "PrivateAttr(1)",
        "PrivateAttr(2)",
        "changes",
    ),
    (
        "an attrs class's default",
        "import attrs\n@attrs.define\nclass Row:\n    a: int = 1\ndef step(x):\n    return Row()\n",
        "a: int = 1",
        "a: int = 2",
        "changes",
    ),
    (
        "an attrs class's docstring",
        "import attrs\n@attrs.define\nclass Row:\n    'A row.'\n    a: int = 1\ndef step(x):\n"
        "    return Row()\n",
        "'A row.'",
        "'One row.'",
        "same",
    ),
    (
        "an estimator's setting",
        "from sklearn.linear_model import LogisticRegression\nMODEL = LogisticRegression(C=1.0)\n"
        "def step(x):\n    return MODEL\n",
        "C=1.0",
        "C=2.0",
        "changes",
    ),
    (
        "an estimator in a pipeline, a comment beside it",
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import "
        "StandardScaler\nMODEL = make_pipeline(StandardScaler())\ndef step(x):\n    return MODEL\n",
        "def step",
        "# the pipeline\ndef step",
        "same",
    ),
    (
        "a function in a query",
        "def late(v):\n    return v > 3\ndef step(x):\n    return x.query('@late(v)')\n",
        "v > 3",
        "v > 4",
        "changes",
    ),
)


def edits() -> Iterator[Edit]:
    """Yield one edit for each case."""
    yield from cases("library classes", _CASES)
