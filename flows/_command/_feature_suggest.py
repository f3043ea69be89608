"""This module is `headrace features suggest`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows._command import _screen

_For = Annotated[
    str,
    typer.Option(
        "--for",
        help="The labelled decisions: latest:<flow>/<node>, run:<id>/<node> or artifact:<digest>.",
    ),
]
_Using = Annotated[
    list[str] | None,
    typer.Option(
        "--using",
        help="A view that is used already; by default those that were last built beside the "
        "labels. --using none: none is.",
    ),
]
_View = Annotated[
    list[str] | None, typer.Option("--view", help="A view to try; by default all published ones.")
]
_Trusted = Annotated[
    list[str] | None,
    typer.Option("--trusted", help="A feature that may tell the label, as view:column."),
]
_Before = Annotated[
    str | None,
    typer.Option(
        "--before",
        help="The first day that is not looked at, such as 2013-09-01: that of the test set.",
    ),
]
_Sample = Annotated[int, typer.Option("--sample", help="Most labelled rows to measure on.")]
_Local = Annotated[
    bool, typer.Option("--local", help="Run in this process, without Prefect and MLflow.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def suggest(
    *,
    labels: _For,
    using: _Using = None,
    view: _View = None,
    trusted: _Trusted = None,
    before: _Before = None,
    sample: _Sample = 20_000,
    local: _Local = False,
    as_json: _Json = False,
) -> None:
    """Rank published views that a decision does not use yet by what they would add.

    Each is joined to the labels as it was known, and a small model with and without it is judged on
    later rows; p-values are corrected for trying many. A view that leaks is refused, with the
    reason. It runs the flow `suggest_features`.

    Example: headrace features suggest --for run:1a2b/label.labels --before 2013-09-01
    """
    from flows._command._outcome import only_json, started
    from flows._command._progress import Progress
    from flows._command._summary import show_outcome
    from flows._suggesting import views_to_try, views_used_with
    from flows.suggest_features import GRANTS, suggest_features

    beside = views_used_with(labels) if using is None else [v for v in using if v != "none"]
    _, left_out = views_to_try(
        flow="suggest_features", grants=GRANTS, only=view or [], using=beside
    )
    arguments = {
        "labels": labels,
        "using": beside,
        "views": view or [],
        "trusted": trusted or [],
        "before": before,
        "sample": sample,
    }
    with only_json(as_json), _screen.activity() as shown:
        progress = (Progress(shown, quiet=as_json),)
        finished = started(suggest_features, arguments, progress, local=local)
    if finished.state != "completed":
        show_outcome(finished, as_json=as_json)  # which exits
    (report,) = finished.outcomes["measure_gain"].outputs.values()
    document: dict[str, Any] = report.document  # type: ignore[attr-defined]
    document = {**document, "using": beside, "left_out": [asdict(each) for each in left_out]}
    if as_json:
        _screen.write_json(document)
    else:
        _show(document)


def _show(document: dict[str, Any]) -> None:
    baseline = document["baseline"]
    metric = str(document["metric"]).replace("_", " ")
    beside = ", ".join(document["using"]) or "no view"
    _screen.write(
        f"{document['judged']:,} of {document['rows']:,} decisions were judged, beside {beside}: "
        f"{metric} {baseline['loss']:.5f} without a new view."
    )
    _screen.write()
    rows = [_row(each, metric) for each in document["candidates"]]
    _screen.write_table(["VIEW", "VERDICT", "GAIN", "95 % INTERVAL", "SHARE", "P", "MOST"], rows)
    for each in document["candidates"]:
        if "reason" in each:
            _screen.write()
            _screen.write(f"{each['view']}: {each['reason']}")
            _screen.write(f"  Fix: {each['remedy']}")
    for each in document["left_out"]:
        _screen.write()
        _screen.write(f"{each['view']} was not tried in full: {each['reason']}")


def _row(each: dict[str, Any], metric: str) -> list[str]:
    if "gain" not in each:
        return [each["view"], each["verdict"], "", "", "", "", ""]
    share = "" if each["share"] is None else f"{each['share']:.2%}"
    best = next(iter(each["columns"]), "")
    return [
        each["view"],
        each["verdict"],
        f"{each['gain']:+.5f}",
        f"{each['low']:+.5f} to {each['high']:+.5f}",
        share,
        f"{each['adjusted_p']:.2g}",
        best,
    ]
