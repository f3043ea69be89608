"""This module collects the figures of a rule's guardrails, and of its gate, from a decision log."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from serving.rollout._figures_arms import coverage_figures, ratio_figures
from serving.rollout._figures_calibration import calibration_figures
from serving.rollout._figures_drift import drift_figures
from serving.rollout._figures_gate import gate_figures
from serving.rollout._figures_slices import slice_figures
from serving.rollout._figures_working import counted_errors
from serving.rollout._guard_rows import Look
from serving.rollout._log_copy import LogCopy, copied
from serving.rollout.gathered import Figures
from serving.rollout.guardrails import is_asked
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import (
    Calibration,
    ErrorRate,
    FeatureDrift,
    Guardrail,
    LabelCoverage,
    Latency,
    SampleRatio,
    SliceGap,
    guardrails_at,
)

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger("headrace.serving")


def log_copy(
    connection: duckdb.DuckDBPyConnection, *, rule: Rule, state: RolloutState, as_of_us: int
) -> AbstractContextManager[LogCopy]:
    """Copy what a look at a challenger reads of a log, for as long as the context lasts.

    Args:
        connection: Views as `headrace.decisions.open_view` makes them, in a database in memory.
        rule: The rule; by the columns of its guardrails slices are made.
        state: Whose experiment it is.
        as_of_us: The moment whose knowledge is used, in microseconds since 1970.
    """
    return copied(
        connection,
        experiment=state.experiment,
        as_of_us=as_of_us,
        outcome=rule.outcome,
        slices=[each.by for each in guardrails_at(rule, state.stage) if isinstance(each, SliceGap)],
    )


def guard_figures(
    log: LogCopy,
    *,
    rule: Rule,
    state: RolloutState,
    as_of_us: int,
    live: Mapping[str, Any] | None,
) -> tuple[Figures, ...]:
    """Return the figures of each guardrail that is asked; in shadow, of the gate too.

    What cannot be counted has as `counts` only "why", in words; its guardrail then holds.

    Args:
        log: What `log_copy` copied, of the same rule, state and moment.
        rule: The rule.
        state: Where the challenger stands: in shadow and traffic they are its figures, in a watch
            the new champion's.
        as_of_us: The moment whose knowledge is used, in microseconds since 1970.
        live: What was counted beside the lane, for error rate and latency; None counts in the log.
    """
    look = Look(log=log, rule=rule, state=state, as_of_us=as_of_us)
    found = []
    for guardrail in guardrails_at(rule, state.stage):
        counts: dict[str, Any] = {}
        if is_asked(guardrail, rule, state.stage):
            counts = _told(_counts, look, guardrail, live)
        of = getattr(guardrail, "by", "")
        found.append(Figures(metric=guardrail.metric, of=of, counts=counts))
    if rule.gate is not None and state.stage == "shadow":
        found.append(Figures(metric="gate", counts=_told(gate_figures, look, rule.gate)))
    return tuple(found)


def _told(collect: Callable[..., dict[str, Any]], *asked: Any) -> dict[str, Any]:
    """Return counts, or why there are none: what one guardrail lacks must not end a look.

    Where one cannot be counted, whatever the reason, another may still find what has to go back.
    """
    import duckdb

    try:
        counts: dict[str, Any] = _plain(collect(*asked))
    except HeadraceError as error:
        return {"why": error.problem.rstrip(".")}
    except duckdb.Error as error:
        return {"why": f"the log does not say: {str(error).splitlines()[0]}"}
    except Exception as error:  # a fault of ours: unknown holds, and is said
        _log.exception("A guardrail could not be counted.")
        return {"why": f"it could not be counted ({type(error).__name__}: {error})"}
    return counts


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what is no finite number is null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _counts(look: Look, guardrail: Guardrail, live: Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(guardrail, ErrorRate | Latency):
        return counted_errors(look, guardrail, live)
    if isinstance(guardrail, Calibration):
        return calibration_figures(look)
    if isinstance(guardrail, FeatureDrift):
        return drift_figures(look, guardrail)
    if isinstance(guardrail, SampleRatio):
        return ratio_figures(look)
    if isinstance(guardrail, LabelCoverage):
        return coverage_figures(look, guardrail)
    return slice_figures(look, guardrail)
