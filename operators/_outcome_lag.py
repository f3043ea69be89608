"""This module measures how long outcomes take to become known, and whether a window is too short.

Young decisions have had no time to show a slow outcome, so that counting all of them would make
outcomes look quicker than they are. Where the table is known up to a moment only, the older half of
the mature decisions is measured, each for as long as the youngest of them has been watched.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError
from operators._outcome_asked import Asked, ShortWindow
from operators._outcome_fates import Fates, moment, span
from operators._proportions import at_most

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Of the outcomes that become known in the end a window has to join so many. The rest would not be
# missing at random: what takes long is labelled less often, and the shares of classes shift.
JOINED_AT_LEAST = 0.95
_TO_JOIN = 0.99
_LEVEL = 0.975  # a window is short where chance explains what it lacks once in 40 times at most
_MICROSECONDS_AN_HOUR = 3_600_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class _Watched:
    """These are the decisions that are measured.

    Args:
        decisions: Which are.
        hours: For how long each; None for ever.
        known: Which of them had an outcome in that time.
        lags: The microseconds from these decisions to their outcomes.
    """

    decisions: npt.NDArray[np.bool_]
    hours: float | None
    known: npt.NDArray[np.bool_]
    lags: npt.NDArray[np.int64]


def watch_window(
    fates: Fates, asked: Asked, as_of: datetime | None, action: ShortWindow
) -> dict[str, Any]:
    """Return the measured lag for the report; refuse or warn about a window that is short.

    Args:
        fates: The decisions by fate.
        asked: The window, the limit, and whether what is missing counts as negative.
        as_of: Up to when outcomes are known; None where all are.
        action: What to do.

    Raises:
        DataError: The window is too short, and to be refused.
    """
    lag = lag_of(fates, asked, as_of)
    if not lag["short"]:
        return {"lag": lag, "warnings": []}
    problem = said(lag, asked)
    remedy = (
        f"Give window_hours={lag['window_hours_to_join_99_percent']:g}, which joins 99%, or "
        'short_window="warn" to label all the same.'
    )
    if action == "refuse":
        raise DataError(problem, remedy=remedy)
    logging.getLogger("headrace.labels").warning("%s", problem)
    return {"lag": lag, "warnings": [problem]}


def lag_of(fates: Fates, asked: Asked, as_of: datetime | None) -> dict[str, Any]:
    """Return how long outcomes take, and what of them the window joins.

    Args:
        fates: The decisions by fate.
        asked: The window, the limit, and whether what is missing counts as negative.
        as_of: Up to when outcomes are known; None where all are.

    Returns:
        decisions and watched_hours (how many were measured, and for how long; null for ever), known
        (how many of them had an outcome), hours {p50, p90, p99} from decision to outcome (null
        without any), joined_share within the window and joined_share_at_most (what that may be
        but for chance), window_hours_to_join_99_percent, positive_share {within_window,
        eventually} where there is a limit, and short: whether the window joins too few; null where
        one cannot tell, as too few are known or decisions were not watched for twice the window.
    """
    import numpy as np

    watched = _watched(fates, as_of)
    width = int(span(asked.window).astype("int64"))
    count, within = len(watched.lags), int((watched.lags <= width).sum())
    share = within / count if count else None
    most = at_most(within, count, confidence=_LEVEL) if count else None
    found: dict[str, Any] = {
        "decisions": int(watched.decisions.sum()),
        "watched_hours": watched.hours,
        "known": count,
        "hours": None,
        "joined_share": share,
        "joined_share_at_most": most,
        "window_hours_to_join_99_percent": None,
    }
    if count:
        # the smallest lag that so many do not exceed, so that a window of it joins them
        marks = np.quantile(watched.lags, [0.5, 0.9, _TO_JOIN], method="inverted_cdf")
        p50, p90, p99 = (float(each) / _MICROSECONDS_AN_HOUR for each in marks)
        found["hours"] = {"p50": p50, "p90": p90, "p99": p99}
        found["window_hours_to_join_99_percent"] = math.ceil(p99 * 1000) / 1000
    if asked.above is not None:
        found["positive_share"] = _positive(fates, watched, width, asked.above, fills=asked.fills)
    found["short"] = _short(share, most, watched.hours, width)
    return found


def said(lag: dict[str, Any], asked: Asked) -> str:
    """Return in sentences what a short window leaves out."""
    hours, above = lag["hours"], asked.above
    watched = lag["watched_hours"]
    for_long = "" if watched is None else f" that were watched for {watched:,.1f} hours"
    text = (
        f"Of the {lag['known']:,} outcomes that became known of {lag['decisions']:,} decisions"
        f"{for_long}, window_hours={asked.window_hours:g} joins {lag['joined_share']:.1%}; "
        f"{JOINED_AT_LEAST:.0%} are needed. Half are known {hours['p50']:.2f} hours after the "
        f"decision, 90% after {hours['p90']:.2f} and 99% after {hours['p99']:.2f}."
    )
    shares = lag.get("positive_share")
    if shares is not None and shares["within_window"] is not None:
        text += (
            f" '{asked.outcome}' is above {above:g} in {shares['within_window']:.1%} of what the "
            f"window labels, and in {shares['eventually']:.1%} in the end."
        )
    elif shares is not None:
        text += f" '{asked.outcome}' is above {above:g} in {shares['eventually']:.1%} in the end."
    return text


def _watched(fates: Fates, as_of: datetime | None) -> _Watched:
    import numpy as np

    took = (fates.told - fates.decided).astype("timedelta64[us]").astype("int64")
    has = ~np.isnat(fates.told)
    if as_of is None:
        everyone = np.ones(len(took), dtype=bool)
        return _Watched(decisions=everyone, hours=None, known=has, lags=took[has])
    ages = (moment(as_of) - fates.decided).astype("timedelta64[us]").astype("int64")
    mature = ages[~fates.immature]
    if not len(mature):
        nobody = np.zeros(len(took), dtype=bool)
        return _Watched(decisions=nobody, hours=0.0, known=nobody, lags=took[nobody])
    watched = int(np.sort(mature)[len(mature) // 2])
    old = ages >= watched
    known = old & has & (took <= watched)
    hours = watched / _MICROSECONDS_AN_HOUR
    return _Watched(decisions=old, hours=hours, known=known, lags=took[known])


def _positive(
    fates: Fates, watched: _Watched, width: int, above: float, *, fills: bool
) -> dict[str, float | None]:
    import numpy as np

    positive = fates.told_values > above
    within = np.zeros(len(positive), dtype=bool)
    within[watched.known] = watched.lags <= width
    shares: dict[str, float | None] = {}
    for name, joined in (("within_window", within), ("eventually", watched.known)):
        of = (watched.decisions & ~fates.void) if fills else joined
        count = int(of.sum())
        shares[name] = int((positive & joined).sum()) / count if count else None
    return shares


def _short(
    share: float | None, most: float | None, watched_hours: float | None, width: int
) -> bool | None:
    if share is None or most is None:
        return None
    if most < JOINED_AT_LEAST:
        return True
    # watched for little longer than the window, nearly all outcomes seem to come within it
    long = watched_hours is None or watched_hours * _MICROSECONDS_AN_HOUR >= 2 * width
    return False if long and share >= JOINED_AT_LEAST else None
