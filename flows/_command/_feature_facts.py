"""This module puts together what there is to show of a view, or of one feature of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, ParameterError, UnknownNameError

if TYPE_CHECKING:
    from features._published import Published
    from features.catalog import Catalog
    from features.on_demand import OnDemandView
    from features.view import FeatureView


@dataclass(frozen=True, kw_only=True)
class Reference:
    """This is what somebody asks for: `view`, `view:column`, with `@v2` an earlier version.

    Args:
        view: Name of the view.
        column: Name of a feature; None for the view.
        number: Number of a version; None for the one that counts now.
    """

    view: str
    column: str | None = None
    number: int | None = None

    @classmethod
    def of(cls, text: str) -> Reference:
        """Read a reference; `view:column@v2` and Feast's `view@v2:column` are the same.

        Raises:
            ParameterError: It is none.
        """
        head, colon, column = text.partition(":")
        head, at, version = head.partition("@")
        if colon and not at:
            column, at, version = column.partition("@")
        number = version.removeprefix("v")
        wrong = not head or (colon and not column) or (at and not number.isdigit())
        if wrong or (at and not version.startswith("v")):
            raise ParameterError(
                f"'{text}' names no view.",
                remedy="Write it like airport_weather, airport_weather:temp or airport_weather@v0.",
            )
        return cls(view=head, column=column or None, number=int(number) if at else None)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """This is what is known of a view.

    Args:
        definition: What it promises, as `FeatureView.definition` says it.
        view: The view, where a file still defines it and the version is the present one.
        published: What is published of it; None when nothing is.
    """

    definition: Mapping[str, Any]
    view: FeatureView | OnDemandView | None
    published: Published | None

    @classmethod
    def of(cls, reference: Reference, catalog: Catalog) -> Shown:
        """Find a view in the catalogue, or an earlier version among what was published.

        Raises:
            UnknownNameError: There is no such view, version or feature; the nearest are offered.
        """
        from features._published import published

        name, number = reference.view, reference.number
        defined = next((view for view in every_view(catalog) if view.name == name), None)
        current = published(name)
        if number is not None and (current is None or current.number != number):
            current = published(f"{name}@v{number}")
            if current is None:
                raise UnknownNameError(
                    f"Nothing is published of view '{name}', so there is no version v{number}.",
                    remedy=f"Look at its definition: `headrace features show {name}`.",
                )
            shown = cls(definition=current.definition, view=None, published=current)
        elif defined is not None:
            shown = cls(definition=defined.definition(), view=defined, published=current)
        elif current is not None:
            shown = cls(definition=current.definition, view=None, published=current)
        else:
            catalog.view(name)  # says that there is none, and the nearest
            raise AssertionError(name)
        shown.columns(reference.column)
        return shown

    @property
    def name(self) -> str:
        """Name of the view."""
        return str(self.definition["name"])

    def columns(self, only: str | None = None) -> list[dict[str, Any]]:
        """Return the features, or one of them.

        Raises:
            UnknownNameError: There is no such feature.
        """
        columns = [c for c in self.definition["schema"]["columns"] if c.get("role") == "feature"]
        names = [column["name"] for column in columns]
        if only is not None and only not in names:
            raise UnknownNameError.of(
                f"feature in view '{self.name}' called",
                only,
                names,
                remedy=f"Name one of its features; `headrace features show {self.name}` lists "
                "them.",
            )
        return [column for column in columns if only in (None, column["name"])]

    def profile(self) -> dict[str, Any] | None:
        """Return the statistics of the published rows; None where there are none."""
        from features._published import profile_file

        if self.published is None:
            return None
        try:
            found: dict[str, Any] = json.loads(profile_file(self.published).read_text("utf-8"))
        except (OSError, ValueError):  # published by an earlier release, or the file is gone
            return None
        return found

    def measure(self) -> None:
        """Measure what reading it online costs, and keep that.

        Raises:
            ParameterError: It is an earlier version, or no file defines it.
            StoreError: It is not published or not online.
        """
        from features._statistics_cost import measure_cost
        from features.view import FeatureView

        if self.view is not None and not isinstance(self.view, FeatureView):
            raise ParameterError(
                f"'{self.name}' is computed on demand, and nothing of it is read.",
                remedy="Leave --measure out.",
            )
        if self.view is None:
            raise ParameterError(
                f"Of view '{self.name}' only what was published is known, so that its cost cannot "
                "be measured.",
                remedy="Leave --measure out, or measure the version that a file defines.",
            )
        measure_cost(self.view, number=0 if self.published is None else self.published.number)

    def to_json(self, reference: Reference) -> dict[str, Any]:
        """Return all that is known as JSON-like data, users left out."""
        from features._statistics_cost import kept_cost
        from features._statistics_freshness import freshness_of

        definition, published = self.definition, self.published
        profile = self.profile()
        number = published.number if published else 0
        newest = datetime.fromisoformat(published.newest_known) if published else None
        target = definition.get("freshness_seconds")
        cost = kept_cost(self.name, number)
        told = {
            "name": self.name,
            "column": reference.column,
            "kind": "on demand" if "request" in definition else "view",
            **{key: definition.get(key) for key in ("description", "owner", "tags", "ttl_seconds")},
            "entities": definition.get("entities", []),
            "needs": _needs(definition),
            "stage": definition.get("stage", "active"),
            "replaced_by": definition.get("replaced_by", ""),
            "readers": definition.get("readers", ["*"]),
            "stream": definition.get("stream", False),
            "defined": self.view is not None,
            "published": None if published is None else _without_definition(published),
            "rows": None if profile is None else {k: profile[k] for k in _OF_ROWS},
            "freshness": freshness_of(
                newest, None if target is None else timedelta(seconds=target)
            ).to_json(),
            "online": _online(self.name, number) if published else None,
            "cost": None if cost is None else asdict(cost),
            "columns": [],
        }
        in_profile = {} if profile is None else profile["columns"]
        for column in self.columns(reference.column):
            name = column["name"]
            told["columns"].append(
                {
                    "name": name,
                    "dtype": column["dtype"],
                    "unit": column.get("unit"),
                    "sensitivity": column.get("sensitivity", "internal"),
                    "description": column.get("description", ""),
                    "profile": in_profile.get(name),
                }
            )
        return told


_OF_ROWS = ("rows", "entities", "event", "known", "times")


def every_view(catalog: Catalog) -> tuple[FeatureView | OnDemandView, ...]:
    """Return the views of both sorts, by name."""
    return tuple(sorted((*catalog.views, *catalog.on_demand), key=lambda view: view.name))


def _needs(definition: Mapping[str, Any]) -> list[str]:
    """Return what an on-demand view is computed from: values of the request, features of views."""
    asked = definition.get("request", {}).get("columns", ())
    views = definition.get("views", ())
    return [*(c["name"] for c in asked), *(f"{n['view']}:{n['column']}" for n in views)]


def _without_definition(published: Published) -> dict[str, Any]:
    return {k: v for k, v in asdict(published).items() if k != "definition"}


def _online(view: str, number: int) -> dict[str, Any] | None:
    """Return until when a version is online; None where it is not."""
    from features.online_versions import materialized

    try:
        found = materialized(view, number)
    except HeadraceError as error:  # the rest is worth showing without it
        return {"error": error.problem}
    if found is None:
        return None
    return {
        "entities": found.entities,
        "until": found.until and found.until.isoformat(),
        "materialized_at": found.materialized_at and found.materialized_at.isoformat(),
    }


def in_short(view: FeatureView | OnDemandView) -> dict[str, Any]:
    """Return what a list shows of a view as JSON-like data; nothing heavy is imported."""
    from features._published import published
    from features._statistics_freshness import freshness_of
    from features.search import record_of

    record = published(view.name)
    newest = datetime.fromisoformat(record.newest_known) if record else None
    return {
        **record_of(view).to_json(),
        "freshness": freshness_of(newest, getattr(view, "freshness", None)).to_json(),
        "published": None if record is None else _without_definition(record),
    }


def moment(option: str, text: str) -> datetime:
    """Return the moment that somebody wrote; without a zone it is in UTC.

    Raises:
        ParameterError: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ParameterError(
            f"{option} is '{text}', which is no moment.",
            remedy="Write it like 2013-07-01 or 2013-07-01T12:00+00:00.",
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
