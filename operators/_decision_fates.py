"""This module sorts decisions by what can be said of their outcome at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import LeakageError
from operators._decision_table import AS_OF, DECIDED, outcome_columns

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Fates:
    """These are decisions by fate, as boolean arrays; each has exactly one.

    Args:
        immature: Their window is open.
        labelled: A value was known within the window, and one holds.
        never: Something was told within the window, but no value holds that was known in it.
        late: What was told came after the window.
        silent: Nothing was told.
        closes: When the window of each ends.
        as_of: The moment whose knowledge is used, in words; None without decisions.
    """

    immature: npt.NDArray[np.bool_]
    labelled: npt.NDArray[np.bool_]
    never: npt.NDArray[np.bool_]
    late: npt.NDArray[np.bool_]
    silent: npt.NDArray[np.bool_]
    closes: npt.NDArray[np.datetime64]
    as_of: str | None


def fates_of(rows: pa.Table, outcome: str, *, window_hours: float) -> Fates:
    """Return what became of each decision.

    Args:
        rows: Decisions.
        outcome: Name of the outcome.
        window_hours: How long it may take.

    Raises:
        LeakageError: Something is said to be known after the moment whose knowledge is used.
    """
    import numpy as np

    of = outcome_columns(outcome)
    decided, as_of = _instants(rows, DECIDED), _instants(rows, AS_OF)
    told, valued = _instants(rows, of.told_at), _instants(rows, of.valued_at)
    closes = decided + np.timedelta64(round(window_hours * _HOUR / _MICROSECOND), "us")
    _require_known(rows, [of.told_at, of.valued_at, of.known_at], as_of)
    has_value = ~np.asarray(rows[of.value].is_null())
    mature = closes <= as_of
    was_told = ~np.isnat(told)
    labelled = mature & has_value & (valued <= closes)  # NaT is never <=
    in_time = mature & was_told & (told <= closes)
    return Fates(
        immature=~mature,
        labelled=labelled,
        never=in_time & ~labelled,
        late=mature & was_told & ~in_time,
        silent=mature & ~was_told,
        closes=closes,
        as_of=_said(rows),
    )


def _instants(rows: pa.Table, name: str) -> Any:
    import pyarrow as pa

    return rows[name].cast(pa.timestamp("us")).to_numpy()


def _require_known(rows: pa.Table, names: list[str], as_of: Any) -> None:
    for name in names:
        after = _instants(rows, name) > as_of
        if after.any():
            row = int(after.argmax())
            raise LeakageError(
                f"Decision '{rows['id'][row]}' and {int(after.sum()) - 1:,} more have '{name}' "
                "after 'as_of', so they say what nobody knew then.",
                remedy="Give what `served_decisions` read, as it is.",
            )


def _said(rows: pa.Table) -> str | None:
    if not rows.num_rows:
        return None
    moment: str = rows[AS_OF][0].as_py().astimezone(UTC).isoformat()
    return moment
