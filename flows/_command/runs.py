"""This module is `headrace runs`: past runs, found, tagged, and run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from headrace.lineage import RunRecord

_HELP = """List past runs, newest first; the commands find, tag and repeat them.

Example: headrace runs --flow flight_delay
"""

app = typer.Typer(help=_HELP)

Run = Annotated[
    str, typer.Argument(help="run:<id> or its beginning, or latest:<flow>.", metavar="RUN")
]
OfFlow = Annotated[str | None, typer.Option("--flow", help="Only runs of this flow.")]
Limit = Annotated[int, typer.Option("--limit", "-n", help="How many.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
State = Annotated[
    list[str] | None, typer.Option("--state", help="A state; several mean any of them.")
]
Since = Annotated[str | None, typer.Option("--since", help="From this date on, UTC.")]
Until = Annotated[str | None, typer.Option("--until", help="To this date, UTC.")]
Metric = Annotated[
    list[str] | None, typer.Option("--metric", help='Such as "auc>0.75"; in quotes.')
]
SortBy = Annotated[str | None, typer.Option("--sort-by", help="A metric; the highest first.")]
Found = Annotated[
    str | None,
    typer.Option("--flow", help="Where the flow is, if not under the roots: path/to/file.py."),
]
Local = Annotated[
    bool, typer.Option("--local", help="Run in this process, without Prefect and MLflow.")
]


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    *,
    flow: OfFlow = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List past runs, newest first; the commands find, tag and repeat them.

    Example: headrace runs --flow flight_delay
    """
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from flows._command._runs_text import write_runs
    from headrace.execution import Session
    from headrace.execution.abandoned import close_abandoned

    lineage = Session.of_settings().lineage
    close_abandoned(lineage)
    found = lineage.runs(limit, flow)
    tags = lineage.tags([run.id for run in found])
    if as_json:
        _screen.write_json([{**asdict(run), "tags": tags.get(run.id, {})} for run in found])
    else:
        write_runs([(run, tags.get(run.id, {}), {}) for run in found])


@app.command("search")
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Words in the flow, id, message, actor, tags or parameters."),
    ] = None,
    *,
    flow: OfFlow = None,
    state: State = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="name or name=value.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--param", help="A parameter: name=value.")
    ] = None,
    since: Since = None,
    until: Until = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who started them.")] = None,
    origin: Annotated[
        str | None, typer.Option("--origin", help='"command line", "python" or "prefect".')
    ] = None,
    metric: Metric = None,
    sort_by: SortBy = None,
    lowest_first: Annotated[
        bool, typer.Option("--lowest-first", help="With --sort-by: the lowest first.")
    ] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Find past runs for which everything holds that is asked for, newest first.

    A metric is one that an evaluation of the run measured; NODE.METRIC takes it from that node,
    which may have made a model or a report as well.

    Example: headrace runs search --tag baseline --metric "auc>0.7" --sort-by auc
    """
    from dataclasses import asdict

    from flows._command import _conditions as read
    from flows._command._runs_text import write_runs
    from headrace.execution import Session
    from headrace.execution.abandoned import close_abandoned
    from headrace.lineage.search import RunSearch, search_runs

    wanted = RunSearch(
        words=tuple(words or ()),
        flow=flow,
        states=read.states(state or ()),
        tags=read.tag_pairs(tag or ()),
        parameters=read.parameter_pairs(parameter or ()),
        since=read.moment(since, option="--since"),
        before=read.moment(until, option="--until", end_of_day=True),
        actor=actor,
        origin=origin,
        metrics=tuple(read.metric_condition(text) for text in metric or ()),
        sort_by=None if sort_by is None else read.metric_name(sort_by),
        lowest_first=lowest_first,
        limit=limit,
    )
    lineage = Session.of_settings().lineage
    close_abandoned(lineage)
    found = search_runs(lineage, wanted)
    if as_json:
        _screen.write_json([asdict(f.run) | {"tags": f.tags, "metrics": f.metrics} for f in found])
    elif not found:
        _screen.write("No run is like that.")
    else:
        write_runs([(each.run, each.tags, each.metrics) for each in found])


@app.command("show")
def show(run: Run, *, as_json: AsJson = False) -> None:
    """Show a run: parameters, tags, what its evaluations measured, and where to look.

    Example: headrace runs show latest:flight_delay
    """
    from flows._command._past import run_named
    from flows._command._runs_text import run_as_json, write_run
    from headrace.execution import Session

    lineage = Session.of_settings().lineage
    told = run_as_json(lineage, run_named(lineage, run))
    if as_json:
        _screen.write_json(told)
    else:
        write_run(told)


@app.command("tag")
def tag(
    run: Run,
    tags: Annotated[list[str], typer.Argument(help="name=value, or a bare name.", metavar="TAG…")],
) -> None:
    """Give a run tags, here and in MLflow; a tag that it has gets the new value.

    Example: headrace runs tag latest:flight_delay baseline for=autumn
    """
    from flows._command._conditions import tag_pairs
    from flows._command._past import run_named
    from flows._tracking.tags import tag_in_mlflow
    from headrace.execution import Session
    from headrace.settings import settings

    lineage = Session.of_settings().lineage
    found = run_named(lineage, run)
    for name, value in tag_pairs(tags).items():
        lineage.tag_run(found.id, name, value or "", actor=settings().actor)
        shown = f"{name}={value}" if value else name
        why = tag_in_mlflow(found, name, value or "")
        _say(found, f"has the tag {shown}", why, "Only Headrace knows it")


@app.command("untag")
def untag(
    run: Run,
    names: Annotated[list[str], typer.Argument(help="Names of tags.", metavar="NAME…")],
) -> None:
    """Take tags from a run, here and in MLflow.

    Example: headrace runs untag latest:flight_delay baseline
    """
    from flows._command._past import run_named
    from flows._tracking.tags import tag_in_mlflow
    from headrace.execution import Session

    lineage = Session.of_settings().lineage
    found = run_named(lineage, run)
    for name in names:
        lineage.untag_run(found.id, name)
        why = None if found.mlflow_run_id is None else tag_in_mlflow(found, name, None)
        _say(found, f"has the tag {name} no more", why, "MLflow may still have it")


@app.command("rerun")
def rerun(run: Run, *, flow: Found = None, local: Local = False, as_json: AsJson = False) -> None:
    """Run a past run's flow again with its parameters and its seed; what is known is reused.

    Example: headrace runs rerun run:3f2a
    """
    from flows._command._rerun import repeat

    repeat(run, flow=flow, local=local, as_json=as_json)


@app.command("fork")
def fork(
    run: Run,
    *,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="A parameter: name=value.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="A parameter that the flow is not given: its default."),
    ] = None,
    flow: Found = None,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Run a past run's flow again with some parameters changed, and compare the two.

    Example: headrace runs fork latest:flight_delay -p late_minutes=30
    """
    from flows._command._rerun import fork as forked

    forked(
        run,
        pairs=parameter or (),
        without=without or (),
        flow=flow,
        local=local,
        as_json=as_json,
    )


def _say(run: RunRecord, done: str, why: str | None, otherwise: str) -> None:
    remark = "" if why is None else f" {otherwise}: {why}."
    _screen.write(f"run:{run.id[:12]} {done}.{remark}")
