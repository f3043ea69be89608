"""This operator measures what feature views would add to a decision, one view after another.

Each view is joined as it was known, a small model is fitted on the past with and without it, and
the loss on what came later is compared, by blocks of time, with a correction for trying many.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field

from headrace import Labels, Report, Table, operator
from headrace.errors import DefinitionError
from operators._gain_candidates import Baseline, Candidate, measured, refused_by
from operators._gain_folds import folds, known_before, sampled
from operators._gain_setting import schema_of, setting_of
from operators._gain_verdict import adjusted


@operator()
def measure_gain(
    labels: Labels[Any],
    used: list[Table[Any]],
    candidates: list[Table[Any]],
    checks: list[Report] | None = None,
    *,
    trusted: list[str] | None = None,
    before: date | None = None,
    sample: Annotated[int, Field(ge=400, le=1_000_000)] = 20_000,
    steps: Annotated[int, Field(ge=2, le=20)] = 4,
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
) -> Report:
    """Rank views by how much they lower the loss of a model on later rows.

    Args:
        labels: Labelled rows, as for `build`; a label of two classes, or a number.
        used: Rows of the views that a model has already; their features are the baseline, with
            those of the request.
        candidates: Rows of the views to try, each by itself beside the baseline.
        checks: What `check_known_times` said of candidates; one that did not pass is refused.
        trusted: Features that may tell the label, as "view:column"; see `build`.
        before: The first day, in UTC, that is not looked at: labels that were not known by then
            are left out. Give the first day of the test set, which choosing features must not see.
        sample: Most rows to measure on, drawn at random.
        steps: Steps forward in time; each is judged by models fitted on all that was known before.
        level: Most probability that any view is called useful though none of them is.
        seed: Of the sample; given by the runtime, 0 in a plain call.

    Returns:
        The baseline's loss and, from the best to the least, for each candidate: its verdict,
        "useful", "no gain shown", "refused" (a leak) or "not applicable", with the reason; the gain
        in the loss (nats of log loss, or squared units of the label) with its 95 % interval, the
        adjusted p-value, the gain as a share of the baseline's loss, and what each of its columns
        adds. `passed` says whether any is useful.

    Raises:
        DataError: There are too few labelled rows, or the label is neither of two classes nor a
            number.
        DefinitionError: There are no candidates.
    """
    if not candidates:
        raise DefinitionError(
            "There are no views to try.", remedy="Publish views, or name other candidates."
        )
    schema = schema_of(labels)
    decided = schema.the("decision_time").name
    known = known_before(labels.arrow(), schema.the("known_time").name, before)
    rows = sampled(known, decided=decided, size=sample, seed=seed or 0)
    setting = setting_of(rows, schema, used, trusted or [])
    parts = list(folds(setting.decided_us, setting.known_us, count=steps))
    baseline = Baseline.of(setting, parts)
    reasons = refused_by(checks or [])
    found = [measured(table, baseline, reasons) for table in candidates]
    tried = [each for each in found if each.gain is not None]
    for each, p in zip(tried, adjusted([e.gain.p for e in tried if e.gain]), strict=True):
        each.judge(p, level)
    ranked = sorted(found, key=_rank)
    return Report.of(
        {
            "passed": any(each.verdict == "useful" for each in found),
            "metric": "log_loss" if setting.binary else "squared_error",
            "before": None if before is None else before.isoformat(),
            "rows": rows.num_rows,
            "judged": len(baseline.judged),
            "tried": len(tried),
            "level": level,
            "baseline": {
                "loss": float(baseline.losses.mean()),
                "features": [c.name for c in setting.columns],
            },
            "candidates": [each.document(float(baseline.losses.mean())) for each in ranked],
        }
    )


def _rank(each: Candidate) -> tuple[int, float, str]:
    order = ("useful", "no gain shown", "refused", "not applicable").index(each.verdict)
    return order, -each.gain.mean if each.gain else 0.0, each.view
