"""This module holds what flows between operators: frozen handles, each of one kind.

    Artifact
    ├── Tabular[S]  Table · Labels · Votes · Examples · TrainSet · ValidationSet · TestSet
    │               Predictions
    ├── Model       SelectedModel is the one that `select` chose; only it may meet a TestSet
    └── Document    Evaluation · Report

The tabular kinds are siblings, so that mypy and the plan refuse a TestSet where a TrainSet belongs.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, SupportsIndex, TypeVar

from headrace.contents import DocumentContent, FilesContent, TableContent
from headrace.errors import DefinitionError, UnknownNameError
from headrace.schemas import Schema, TableSchema, schema_of
from headrace.symbols import DataTouched, Symbol, TraceStopped, condition_used, data_touched
from headrace.tracing import current_tracer, tracer_of_thread

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from headrace.models import ModelCard

S_co = TypeVar("S_co", bound=Schema, covariant=True)
A_co = TypeVar("A_co", bound="Artifact", covariant=True)


class Artifact:
    """This is a frozen handle on what an operator made: a kind, a digest, where it lies.

    While a flow is planned the handle is symbolic: it knows its kind and schema but has no data.
    """

    kind: ClassVar[str] = "Artifact"
    _content: TableContent | FilesContent | DocumentContent
    _symbol: Symbol | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__name__
        KINDS[cls.__name__] = cls

    @classmethod
    def holding(cls, content: TableContent | FilesContent | DocumentContent) -> Self:
        """Return a handle on content; operators use `of`."""
        made = cls.__new__(cls)
        made._content = content
        return made

    @classmethod
    def symbolic(cls, symbol: Symbol) -> Self:
        """Return a handle without data, as the plan passes around."""
        made = cls.__new__(cls)
        made._symbol = symbol
        return made

    @property
    def digest(self) -> str:
        """The digest of the logical content, as hexadecimal."""
        return str(self._known("digest").digest)

    @property
    def uri(self) -> str:
        """Where the artifact is stored; empty while it is in memory only."""
        return str(self._known("uri").uri)

    def _known(self, what: str) -> Any:
        if self._symbol is not None:
            raise _stopping(data_touched(self._symbol, what))
        return self._content

    def __bool__(self) -> bool:
        if self._symbol is not None:
            raise _stopping(condition_used(self._symbol))
        return True

    def __eq__(self, other: object) -> bool:
        # `a == b` would quietly be false in a flow, where neither has content yet
        if self._symbol is not None and other is not self and other is not None:
            raise _stopping(data_touched(self._symbol, "=="))
        return True if self is other else NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if self._symbol is not None:
            return str(self._symbol)
        return f"<{self.kind} {self.digest[:12]}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if self._symbol is not None:
            raise _stopping(data_touched(self._symbol, "pickle"))
        return super().__reduce_ex__(protocol)

    if not TYPE_CHECKING:  # a type checker is to refuse what nobody has

        def __getattr__(self, name: str) -> Any:
            if self._symbol is None or name.startswith("_"):
                raise AttributeError(f"'{self.kind}' object has no attribute '{name}'")
            raise _stopping(data_touched(self._symbol, name))


def _stopping(touched: DataTouched) -> TraceStopped:
    tracer = current_tracer() or tracer_of_thread()
    return touched if tracer is None else tracer.stop(touched)


def _use_of_data(use: str) -> Callable[..., Any]:
    def method(self: Artifact, *_: object) -> Any:
        if self._symbol is not None:
            raise _stopping(data_touched(self._symbol, use))
        raise TypeError(f"'{self.kind}' object does not support {use}")

    return method


# Not written as methods, so that a type checker refuses them for every artifact.
for _name, _use in {
    "__len__": "len()",
    "__iter__": "iteration",
    "__contains__": "in",
    "__getitem__": "[...]",
    "__lt__": "<",
    "__le__": "<=",
    "__gt__": ">",
    "__ge__": ">=",
    "__float__": "float()",
    "__int__": "int()",
    **{
        f"__{side}{name}__": sign
        for name, sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}.items()
        for side in ("", "r")
    },
}.items():
    setattr(Artifact, _name, _use_of_data(_use))


KINDS: dict[str, type[Artifact]] = {}


def kind_named(name: str) -> type[Artifact]:
    """Return an artifact class by its kind.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if name in KINDS:
        return KINDS[name]
    raise UnknownNameError.of("artifact kind", name, KINDS, remedy="Use a kind of this version.")


class _WithSchema(types.GenericAlias):
    """This is `Table[Flights]`: an ordinary alias whose `of` knows the schema."""

    def __getattribute__(self, name: str) -> Any:
        if name != "of":
            return super().__getattribute__(name)
        kind: Any = self.__origin__
        declared = self.__args__[0]

        def of(data: Any) -> Any:
            return kind.of(data, schema=schema_of(declared))

        return of


class Tabular(Artifact, Generic[S_co]):
    """This is a table of rows; the base of every tabular kind, with the schema `S`.

    `Table[Flights].of(frame)` makes one in memory and holds it to the schema.
    """

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> Any:
            return _WithSchema(cls, item)

    @classmethod
    def of(
        cls, data: pd.DataFrame | pa.Table | Mapping[str, Any], *, schema: TableSchema | None = None
    ) -> Self:
        """Make the artifact from a pandas frame, an Arrow table or a dict of columns.

        Args:
            data: The rows. A pandas NaN in a column is a null; the index is dropped.
            schema: What the rows must hold; columns are put into its order and others dropped.
                None takes the data as it is.

        Raises:
            BoundaryError: A column is missing, has another type or holds forbidden nulls.
        """
        return cls.holding(TableContent.of(data, schema=schema))

    @property
    def schema(self) -> TableSchema | None:
        """The schema: of the data, or, while planned, what is known of it."""
        if self._symbol is not None:
            return self._symbol.schema
        content: TableContent = self._known("schema")
        return content.schema

    @property
    def rows(self) -> int:
        """The number of rows."""
        rows: int = self._known("rows").rows
        return rows

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self._known("arrow()").arrow()

    def frame(self) -> pd.DataFrame:
        """Return the rows as a pandas frame; nulls are NaN, None or NaT."""
        frame: pd.DataFrame = self._known("frame()").arrow().to_pandas()
        return frame


class Table(Tabular[S_co]):
    """These are rows of any meaning."""


class Labels(Tabular[S_co]):
    """These are rows with the role columns entity, decision time and label."""


class Votes(Tabular[S_co]):
    """These are opinions on labels, one row per item and rater."""


class Examples(Tabular[S_co]):
    """These are labelled rows with features as they were known at the decision."""


class TrainSet(Tabular[S_co]):
    """These are the examples that a model is fitted on."""


class ValidationSet(Tabular[S_co]):
    """These are the examples for early stopping, tuning, calibration and selection."""


class TestSet(Tabular[S_co]):
    """These are the examples that the selected model meets once; every look is counted."""

    __test__ = False  # the name is ours, not a pytest class


class Predictions(Tabular[S_co]):
    """These are scores of a model, one row per example."""


class Model(Artifact):
    """This is a fitted model: a directory of files with its card in `model.json`."""

    @classmethod
    def of(
        cls, files: Mapping[str, bytes], *, card: ModelCard, notes: Mapping[str, Any] | None = None
    ) -> Self:
        """Make a model in memory from its files and its card.

        Args:
            files: File name to content. Must be deterministic: they make the digest.
            card: What the model is: task, features, classes, metrics on validation.
            notes: What was seen while fitting and is no part of the model, such as seconds.
        """
        return cls.holding(FilesContent.of_model(files, card=card, notes=notes))

    @property
    def card(self) -> ModelCard:
        """What the model is: task, features, classes, metrics on validation."""
        from headrace.models import ModelCard

        return ModelCard.from_json(self._known("card").document("model.json"))

    @property
    def notes(self) -> dict[str, Any]:
        """What was seen while fitting, outside the digest; empty when read from the store."""
        return dict(self._known("notes").notes)

    def read(self, name: str) -> bytes:
        """Return the content of one of the model's files."""
        content: bytes = self._known("read()").read(name)
        return content

    def directory(self) -> Path:
        """Return the directory the files lie in; only a stored model has one."""
        path: Path = self._known("directory()").directory()
        return path


class SelectedModel(Model):
    """This is the model that was selected on validation; only it may be tested and registered."""

    @classmethod
    def chosen(cls, model: Model) -> SelectedModel:
        """Return the same model as the selected one; `select` calls this."""
        return cls.holding(model._known("selection"))


class Document(Artifact):
    """This is JSON-like data; the base of evaluations and reports."""

    @classmethod
    def of(cls, document: Mapping[str, Any], *, notes: Mapping[str, Any] | None = None) -> Self:
        """Make the artifact from JSON-like data with text keys; `notes` stay out of the digest."""
        return cls.holding(DocumentContent.of(document, notes=notes))

    @property
    def document(self) -> dict[str, Any]:
        """The data; do not change it."""
        document: dict[str, Any] = self._known("document").document
        return document


class Evaluation(Document):
    """These are a model's metrics with intervals, slices and curves on a named set.

    Keys: task, on ("test" or "validation"), rows, blocks, metrics {name: {value, low, high}},
    baseline {name: value}, slices [{column, value, rows, metrics}], curves, calibration.
    """


class Report(Document):
    """This is any other finding; `passed` in it can steer `when`."""

    @property
    def passed(self) -> bool:
        """Whether the report's `passed` is true; absent counts as false."""
        if self._symbol is not None:
            raise _stopping(condition_used(self._symbol))
        return self.document.get("passed") is True


class Partitions(Artifact, Generic[A_co]):
    """These are artifacts of one kind, as many as the data says; `map_over` works on them.

    An operator returns `Partitions.of({"2013-01": table, ...})`; one that declares
    `Partitions[Table[S]]` receives them by name, one that declares `list[Table[S]]` in order (the
    plan knows that partitions fit a list, mypy does not).
    """

    items: Mapping[str, A_co]

    @classmethod
    def of(cls, items: Mapping[str, A_co]) -> Partitions[A_co]:
        """Make partitions from name to artifact.

        Raises:
            DefinitionError: A name is no text, or an item is no artifact.
        """
        for name, item in items.items():
            if not isinstance(name, str) or not isinstance(item, Artifact):
                raise DefinitionError(
                    f"Partition {name!r} is {_described(item)}; names are text, items artifacts.",
                    remedy='Write `Partitions.of({"2013-01": table, ...})`.',
                )
        made = cls.__new__(cls)
        made.items = dict(items)
        return made

    @property
    def digest(self) -> str:
        """The digest of the names and of what they hold."""
        from headrace.content import document_digest

        return document_digest({name: item.digest for name, item in self.items.items()})

    @property
    def uri(self) -> str:
        """Empty: only the items are stored."""
        return ""


def _described(item: object) -> str:
    return f"a {item.kind}" if isinstance(item, Artifact) else f"of type {type(item).__name__}"
