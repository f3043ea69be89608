"""This module computes on-demand features where Feast asks for them, as everywhere else.

What Feast keeps of an on-demand view is a few lines that call this module: Feast runs what it keeps
as text, apart from its module, where a function would find none of its helpers.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from features._on_demand_values import ReadyFunction
from features.on_demand_call import Argument, OnDemandCall, ready_function
from headrace.errors import DataError, did_you_mean


def feast_source(
    call: OnDemandCall, dtypes: Mapping[str, str], folders: tuple[str, ...], roots: tuple[Path, ...]
) -> str:
    """Return the function that Feast keeps of an on-demand view, as text.

    Args:
        call: What is to be called.
        dtypes: The type of each argument.
        folders: Where its module is imported from.
        roots: Folders of first-party code.
    """
    document = json.dumps(
        {"call": call.to_json(), "dtypes": dict(dtypes), "roots": [str(root) for root in roots]},
        sort_keys=True,
    )
    return (
        f"def {call.view}(values):\n"
        f"    # computed by {call.module}.{call.function}, as it was when it was published\n"
        "    import sys\n"
        f"    sys.path += [folder for folder in {list(folders)!r} if folder not in sys.path]\n"
        "    from features._on_demand_feast import computed_for_feast\n"
        f"    return computed_for_feast({document!r}, values)\n"
    )


def computed_for_feast(document: str, values: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return what an on-demand view computes of what Feast found.

    Args:
        document: What `feast_source` has written into its text.
        values: A list for each value of the request, each feature and whatever else Feast has.

    Raises:
        DefinitionError: The function is not what it was when the view was published.
        DataError: It cannot be computed, or two features are in each other's place.
    """
    call, function, dtypes = _ready(document)
    lists = {}
    for argument in call.arguments:
        given = list_of(call, argument, values)
        lists[argument.name] = [_plain(value, dtypes[argument.name]) for value in given]
    rows = len(next(iter(lists.values())))
    return function(lists, rows, first_row=0)


@functools.lru_cache(maxsize=256)
def _ready(document: str) -> tuple[OnDemandCall, ReadyFunction, dict[str, str]]:
    told = json.loads(document)
    call = OnDemandCall.from_json(told["call"])
    return call, ready_function(call, [Path(root) for root in told["roots"]]), told["dtypes"]


def list_of(call: OnDemandCall, argument: Argument, values: Mapping[str, list[Any]]) -> list[Any]:
    """Return what Feast found for an argument, by its full name or its own.

    Raises:
        DataError: It is not there, or is another view's feature of the same name.
    """
    names = [argument.column]
    if argument.view is not None:
        names.insert(0, f"{argument.view}__{argument.column}")
    found = next((values[name] for name in names if name in values), None)
    if found is None:
        raise DataError(
            f"On-demand view '{call.view}' is computed of '{argument.column}', which Feast did not "
            f"give it.{did_you_mean(argument.column, values)}",
            remedy="Give it with the entities, or in the columns of the entity frame.",
        )
    twins = [a for a in call.arguments if a.view and a.column == argument.column and a != argument]
    if any(values.get(f"{twin.view}__{twin.column}") is found for twin in twins):
        raise DataError(
            f"On-demand view '{call.view}' is computed of the feature '{argument.column}' of two "
            "views, and Feast gave one of them for both.",
            remedy="Ask Feast with full_feature_names=True.",
        )
    return found


def _plain(value: Any, dtype: str) -> Any:
    """Return a value as the function is given it elsewhere, whatever Feast made of it."""
    if value is None or value != value:  # noqa: PLR0124  so are NaN and pandas' NaT
        return None
    return _PLAIN[dtype](value)


def _instant(value: Any) -> datetime:
    moment: datetime = value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _day(value: Any) -> date:
    return _instant(value).date() if isinstance(value, datetime) else value


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    "int": int,
    "float": lambda value: None if math.isnan(value) else float(value),
    "string": str,
    "category": str,
    "timestamp": _instant,
    "date": _day,
}
