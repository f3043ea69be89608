"""This flow answers: which published features would make a decision better?

Each view that is published and not used yet is joined to the labels as it was known, and measured
on later rows beside what is used already. A view that leaks is refused with the reason. Run it from
the Prefect UI, or with `headrace features suggest --for run:<id>/<node>.labels --before <day>`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from flows._suggesting import views_to_try
from headrace import Report, flow
from operators.check_known_times import check_known_times
from operators.measure_gain import measure_gain
from operators.read_features import read_features
from operators.read_past import read_labels, read_table

GRANTS = ["artifact:*", "feature:*"]


@flow(grants=GRANTS)
def suggest_features(
    *,
    labels: str,
    using: list[str] | None = None,
    views: list[str] | None = None,
    trusted: list[str] | None = None,
    before: date | None = None,
    sample: Annotated[int, Field(ge=400, le=1_000_000)] = 20_000,
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
) -> Report:
    """Rank the published views that are not used yet by what they would add.

    Args:
        labels: The labelled decisions: "latest:<flow>/<node>", "run:<id>/<node>" or
            "artifact:<digest>".
        using: Names of the views that are used already; gains are measured beside them.
        views: Names of the views to try; none for all that are published.
        trusted: Features that may tell the label almost perfectly, as "view:column".
        before: The first day that is not looked at: the first of the test set.
        sample: Most labelled rows to measure on.
        level: Most probability that any view is called useful though none of them is.
    """
    tried, _ = views_to_try(
        flow="suggest_features", grants=GRANTS, only=views or [], using=using or []
    )
    return measure_gain(
        read_labels(artifact=labels),
        [read_features(view=name) for name in using or []],
        [read_features(view=each.view, columns=each.columns) for each in tried],
        [
            check_known_times(read_table(artifact=each.source), view=each.view)
            for each in tried
            if each.source is not None
        ],
        trusted=trusted,
        before=before,
        sample=sample,
        level=level,
    )
