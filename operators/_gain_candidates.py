"""This module measures one candidate view, or says why it is not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace import Report, Table
from headrace.errors import BoundaryError, LeakageError
from operators._gain_folds import Fold, Positions, blocks
from operators._gain_model import fitted, numbers
from operators._gain_setting import Setting, schema_of
from operators._gain_verdict import Gain, gain_of
from operators._ranking import ranking_strength

Vector = npt.NDArray[np.float64]

TOO_GOOD = 0.9  # how well one feature alone may rank the label before it is looked at by people
_ABOVE = 0.15  # and how much better than everything that is known already


@dataclass(kw_only=True)
class Candidate:
    """This is a view that was tried.

    Args:
        view: Its name.
        verdict: "useful", "no gain shown", "refused" or "not applicable".
        reason: Why, in a sentence; empty where the figures say it.
        remedy: What to do about a refusal.
        gain: The measured gain, where it was measured.
        columns: What each column adds to the loss when its values are shuffled.
        adjusted: The p-value after the correction for trying many.
    """

    view: str
    verdict: str = "no gain shown"
    reason: str = ""
    remedy: str = ""
    gain: Gain | None = None
    columns: dict[str, float] = field(default_factory=dict)
    adjusted: float | None = None

    def judge(self, p: float, level: float) -> None:
        """Give the verdict, now that it is known how many were tried."""
        self.adjusted = p
        if self.gain is not None and self.gain.mean > 0 and p <= level:
            self.verdict = "useful"

    def document(self, baseline: float) -> dict[str, Any]:
        """Return it as JSON-like data; `baseline` is the loss without it."""
        told: dict[str, Any] = {"view": self.view, "verdict": self.verdict}
        if self.reason:
            told |= {"reason": self.reason, "remedy": self.remedy}
        if self.gain is None:
            return told
        return told | {
            "gain": self.gain.mean,
            "low": self.gain.low,
            "high": self.gain.high,
            "share": self.gain.mean / baseline if baseline else None,
            "p": self.gain.p,
            "adjusted_p": self.adjusted,
            "blocks": self.gain.blocks,
            "columns": dict(sorted(self.columns.items(), key=lambda each: -each[1])),
        }


def refused_by(checks: Sequence[Report]) -> dict[str, tuple[str, str]]:
    """Return problem and remedy of each view whose check did not pass."""
    documents = [check.document for check in checks]
    return {d["view"]: (d["problem"], d["remedy"]) for d in documents if not d["passed"]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """This is what candidates are compared with.

    Args:
        setting: The rows, and what is known of them already.
        parts: The steps forward in time.
        judged: Positions of all judged rows.
        scores: The answers to them without a candidate.
        losses: The loss of each.
    """

    setting: Setting
    parts: Sequence[Fold]
    judged: Positions
    scores: Vector
    losses: Vector

    @classmethod
    def of(cls, setting: Setting, parts: Sequence[Fold]) -> Baseline:
        """Fit the models without a candidate and judge them."""
        judged = np.concatenate([part.judged for part in parts])
        scores = setting.scores(setting.matrix, parts)
        losses = setting.losses(scores, judged)
        return cls(setting=setting, parts=parts, judged=judged, scores=scores, losses=losses)


def measured(
    table: Table[Any], baseline: Baseline, reasons: Mapping[str, tuple[str, str]]
) -> Candidate:
    """Return what a view adds to the baseline, or why that is not said."""
    from operators.build import build

    view = _view_of(table)
    if view in reasons:
        problem, remedy = reasons[view]
        return Candidate(view=view, verdict="refused", reason=problem, remedy=remedy)
    trusted = list(baseline.setting.trusted)
    try:
        examples = build.body(baseline.setting.labels, [table], trusted=trusted)
    except LeakageError as error:
        return Candidate(
            view=view, verdict="refused", reason=error.problem, remedy=error.remedy or ""
        )
    except BoundaryError as error:
        return Candidate(
            view=view, verdict="not applicable", reason=error.problem, remedy=error.remedy or ""
        )
    columns = [c for c in schema_of(examples).with_role("feature") if c.source == view]
    names = [c.name for c in columns]
    added = numbers(examples.arrow(), columns)
    suspect = _too_good(view, names, added, baseline)
    if suspect is not None:
        return suspect
    setting = baseline.setting
    matrix = np.column_stack([setting.matrix, added])
    with_it = setting.losses(setting.scores(matrix, baseline.parts), baseline.judged)
    return Candidate(
        view=view,
        gain=gain_of(baseline.losses - with_it, blocks(setting.decided_us[baseline.judged])),
        columns=_by_column(names, matrix, baseline),
    )


def _view_of(table: Table[Any]) -> str:
    schema = schema_of(table)
    sources = [c.source for c in schema.with_role("feature") if c.source is not None]
    return sources[0] if sources else schema.name


def _too_good(view: str, names: Sequence[str], added: Vector, known: Baseline) -> Candidate | None:
    """Refuse a feature that alone ranks the label far better than all that is known already.

    Of two classes only: a number is often all but told by another one, as a way by its length.
    """
    if not known.setting.binary:
        return None
    truth = known.setting.target[known.judged]
    before = max(ranking_strength(known.scores, truth, binary=True), 0.5)
    for i, name in enumerate(names):
        if f"{view}:{name}" in known.setting.trusted:
            continue
        values = added[known.judged, i]
        there = ~np.isnan(values)
        strength = ranking_strength(values[there], truth[there], binary=True)
        if strength >= TOO_GOOD and strength - before >= _ABOVE:
            return Candidate(
                view=view,
                verdict="refused",
                reason=f"Feature '{name}' of view '{view}' alone tells the label with an AUC "
                f"of {strength:.3f}, where all that is known already reaches {before:.3f}: it may "
                "have been written after the outcome.",
                remedy="Look at when its values are known and correct the known time; if it is "
                f"right, list it: trusted=['{view}:{name}'].",
            )
    return None


def _by_column(names: Sequence[str], matrix: Vector, known: Baseline) -> dict[str, float]:
    """Return how much the loss of the last step grows when one column's values are shuffled."""
    setting, last = known.setting, known.parts[-1]
    answer = fitted(matrix, setting.target, last.train, binary=setting.binary)
    rows = matrix[last.judged]
    shuffled = np.random.default_rng(0).permutation(len(rows))
    before = float(setting.losses(answer(rows), last.judged).mean())
    found = {}
    for i, name in enumerate(names, start=matrix.shape[1] - len(names)):
        changed = rows.copy()
        changed[:, i] = rows[shuffled, i]
        found[name] = float(setting.losses(answer(changed), last.judged).mean()) - before
    return found
