"""This module reads features online through Feast, where our own readers do not reach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from features._online_found import Status
from features._online_part import Columns, Part
from features._online_times import shown
from features._versions import parse_reference
from features.online_lookup import Lookup
from headrace.errors import DataError, HeadraceError, LeakageError, StoreError, UnknownNameError

_MILLION = 1_000_000


class ByFeast:
    """This reads a view with Feast, and judges what it gives by its time, as our readers do.

    The features of an on-demand view are as Feast computes them: the times of what it computes them
    from are not judged.

    Args:
        ref: The view as it was asked for.
        features: Names of its features; None for all.
        lookup: What is looked up, where our catalogue knows the view.

    Raises:
        UnknownNameError: Feast does not know the view, or it has no such feature.
    """

    def __init__(self, ref: str, features: Sequence[str] | None, lookup: Lookup | None) -> None:
        from features.store import feature_store

        self.ref, (self.view, number) = ref, parse_reference(ref)
        self._store = feature_store()
        registered, self._on_demand = self._registered()
        names = [field.name for field in registered.features]
        self.features: Sequence[str] = names if features is None else tuple(features)
        for name in self.features:
            if name not in names:
                raise UnknownNameError.of(
                    f"feature in view '{self.view}' called",
                    name,
                    names,
                    remedy="Name features that the view has in Feast's registry.",
                )
        self.dtypes: Sequence[str] = () if lookup is None else lookup.dtypes
        tag = self.view if number is None else f"{self.view}@v{number}"
        self._refs = [f"{tag}:{name}" for name in self.features]
        ttl = getattr(registered, "ttl", None)
        self._ttl_us = ttl // timedelta(microseconds=1) if ttl else None
        joined = () if self._on_demand else tuple(registered.join_keys)
        self._keys = tuple(key for key in joined if key != "__dummy_id")

    def read(self, columns: Columns, at_us: int) -> Part:
        """Return the features of entities at a moment."""
        count = max((len(column) for column in columns.values()), default=1)
        missing = [key for key in self._keys if key not in columns]
        if missing:
            raise DataError(
                f"The key '{missing[0]}' of view '{self.view}' is missing among {sorted(columns)}.",
                remedy="Give each key column a value of its type, or null where there is no "
                "entity.",
            )
        known = [i for i in range(count) if all(columns[key][i] is not None for key in self._keys)]
        values: list[list[Any]] = [[None] * count for _ in self.features]
        statuses: list[list[Status]] = [["unknown"] * count for _ in self.features]
        keys = self._keys
        if known:
            rows = [{name: column[i] for name, column in columns.items()} for i in known]
            answer = self._asked(rows)
            keys = keys or tuple(name for name in columns if name in answer)
            for place, name in enumerate(self.features):
                times = answer[f"{name}__ts"]
                for i, value, seconds in zip(known, answer[name], times, strict=True):
                    status = self._status(value, seconds, at_us)
                    statuses[place][i] = status
                    values[place][i] = self._as_declared(place, value, status)
        return Part(keys, values, lambda: statuses)

    def close(self) -> None:
        """Leave Feast's connections to the end of the process, as Feast does."""

    def _asked(self, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
        try:
            answer = self._store.get_online_features(self._refs, rows)
            found: dict[str, list[Any]] = answer.to_dict(include_event_timestamps=True)
        except HeadraceError:
            raise
        except Exception as error:  # Feast and its stores raise what they like
            raise StoreError(
                f"Feast could not read '{self.ref}' online: {type(error).__name__}: {error}.",
                remedy="Check the entities, and that the view is materialized and its store runs.",
            ) from error
        return found

    def _status(self, value: Any, seconds: int, at_us: int) -> Status:
        if self._on_demand:
            return "null" if value is None else "present"
        if not seconds and value is None:
            return "unknown"
        event = seconds * _MILLION
        if event > at_us:
            raise LeakageError(
                f"The online store holds the future of view '{self.view}': what it holds happened "
                f"at {shown(event)}, after the decision at {shown(at_us)}.",
                remedy="Ask for a later moment; the live store holds what is known now.",
            )
        if self._ttl_us is not None and event + self._ttl_us < at_us:
            return "expired"
        return "null" if value is None else "present"

    def _as_declared(self, place: int, value: Any, status: Status) -> Any:
        if status != "present":
            return None
        if self.dtypes and self.dtypes[place] == "date":
            return value.date()  # Feast has no dates: it gives the midnight that begins it
        return value

    def _registered(self) -> tuple[Any, bool]:
        """Return the view as Feast's registry has it, and whether it is an on-demand view."""
        views = {view.name: view for view in self._store.list_all_feature_views()}
        if self.view not in views:
            raise UnknownNameError.of(
                "feature view",
                self.view,
                views,
                remedy="Name a view of the catalogue, or one that Feast's registry has.",
            )
        view = views[self.view]
        return view, type(view).__name__ == "OnDemandFeatureView"
