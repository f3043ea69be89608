"""This module is `headrace features`: finding features, showing them, bringing them online."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _feature_suggest, _screen
from flows._command._feature_skew import skew

if TYPE_CHECKING:
    from features.catalog import Catalog

_SECONDS_BEFORE_SAYING = 2.0

_HELP = """Find features, see what they hold and who uses them, and bring them online.

Example: headrace features search wind
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
app.command("suggest")(_feature_suggest.suggest)

View = Annotated[
    str,
    typer.Argument(
        metavar="VIEW[:COLUMN][@vN]", help="A view or a feature of it; with @v0 an earlier version."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("list")
def list_views(
    *,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only proposed, active or deprecated views.")
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only views of this owner.")] = None,
    entity: Annotated[
        str | None, typer.Option("--entity", help="Only views about this, such as airport.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the feature views: what they are about, whose they are, how fresh they are.

    Example: headrace features list --entity airport
    """
    from features.search import FeatureIndex, record_of
    from flows._command import _feature_text as told
    from flows._command._feature_facts import every_view, in_short

    catalog = _catalog()
    asked = {"stage": stage, "owner": owner, "entity": entity}
    wanted = [f"{name}:{value}" for name, value in asked.items() if value is not None]
    views = {view.name: view for view in every_view(catalog)}
    if views:  # where there is none, no filter can be wrong
        found = FeatureIndex([record_of(view) for view in views.values()]).search(
            wanted, limit=None
        )
        views = {name: views[name] for name in sorted(hit.view for hit in found.hits)}
    shown = [in_short(view) for view in views.values()]
    if as_json:
        _screen.write_json(shown)
    elif not every_view(catalog):
        _screen.write(told.NO_VIEWS)
    elif not shown:
        _screen.write("No view is all of this. `headrace features list` shows all.")
    else:
        told.write_list(shown)


@app.command("search")
def search(
    words: Annotated[
        list[str],
        typer.Argument(
            help="Words, and filters such as owner:NAME; there are entity:, tag:, stage:, unit: "
            "and sensitivity: too."
        ),
    ],
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="How many to show at most; 0 for all.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Search names, descriptions, owners, tags, entities and units; typing errors are fine.

    Example: headrace features search wind unit:mph
    """
    from features.search import FeatureIndex, record_of
    from flows._command import _feature_text as told
    from flows._command._feature_facts import every_view

    catalog = _catalog()
    records = [record_of(view) for view in every_view(catalog)]
    index = FeatureIndex(records)
    found = index.search(words, limit=limit or None)
    if as_json:
        _screen.write_json([hit.to_json() for hit in found.hits])
    elif not records:
        _screen.write(told.NO_VIEWS)
    else:
        told.write_hits(found)


@app.command("show")
def show(
    view: View,
    *,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure what reading it online costs, and keep that.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a view or a feature: what it holds, how fresh it is, what it costs, who uses it.

    Example: headrace features show airport_weather:temp
    """
    from flows._command import _feature_text as told
    from flows._command._feature_facts import Reference, Shown
    from flows._command._feature_usage import usage_of

    reference = Reference.of(view)
    shown = Shown.of(reference, _catalog())
    with _saying("Looking at what is known of it …"):
        if measure:
            shown.measure()
        facts = shown.to_json(reference)
        facts["usage"] = usage_of(shown.name, reference.column).to_json()
    if as_json:
        _screen.write_json(facts)
    elif reference.column is None:
        told.write_view(facts)
    else:
        told.write_column(facts)


@app.command("usage")
def usage(view: View, *, as_json: AsJson = False) -> None:
    """Show who uses a view or feature: flows, models with what it is worth, endpoints.

    Example: headrace features usage airport_weather:temp
    """
    from flows._command import _feature_text as told
    from flows._command._feature_facts import Reference, Shown
    from flows._command._feature_usage import usage_of

    reference = Reference.of(view)
    shown = Shown.of(reference, _catalog())
    with _saying("Looking who uses it …"):
        found = usage_of(shown.name, reference.column).to_json()
    if as_json:
        _screen.write_json(found)
    else:
        told.write_users(found)


@app.command("materialize")
def materialize(
    view: Annotated[
        str, typer.Argument(metavar="VIEW[@vN]", help="A published view, or a version of it.")
    ],
    *,
    until: Annotated[
        str | None,
        typer.Option("--until", help="Leave out what was known later, such as 2013-07-01T12:00Z."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Write all of it, not only what is new since last time.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the published rows of a view online, where decisions read them.

    Example: headrace features materialize airport_weather
    """
    from features.materialize import materialize_published
    from flows._command._feature_facts import Reference, moment

    reference = Reference.of(view)
    version = "" if reference.number is None else f"@v{reference.number}"
    until_moment = None if until is None else moment("--until", until)
    with _screen.activity() as shown:
        say = _silent if as_json else shown.doing
        done = materialize_published(
            f"{reference.view}{version}", until=until_moment, full=full, say=say
        ).document()
    if as_json:
        _screen.write_json(done)
        return
    did = "is online" if done["changed"] else "was online already"
    _screen.write(
        f"{done['view']} v{done['number']} {did}: {done['entities']:,} entities, "
        f"{done['written']:,} written, {done['same']:,} the same, {done['older']:,} newer there."
    )


app.command("skew")(skew)


def _silent(text: str) -> None:
    """Keep standard output for the JSON."""


def _catalog() -> Catalog:
    """Read the catalogue; what could not be read of it is told aside."""
    from features.catalog import catalog

    with _saying("Reading the feature views …"):
        found = catalog()
    for broken in found.broken:
        typer.echo(f"{broken.file} could not be imported: {broken.reason}", err=True)
    return found


@contextmanager
def _saying(text: str) -> Iterator[Any]:
    """Say what is going on where it takes longer than two seconds and a person waits."""
    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(_SECONDS_BEFORE_SAYING, lambda: typer.echo(text, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
