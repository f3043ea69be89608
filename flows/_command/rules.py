"""This module is `headrace rules`: what a rule says, and what it once said, judged again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _rules_thinning, _screen

if TYPE_CHECKING:
    from pathlib import Path

    from serving.rollout.rule_fit import Fit
    from serving.rule import Rule

_HELP = """Read rules of promotion, and judge again what they said.

Example: headrace rules check delay.yaml
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
app.command("thin")(_rules_thinning.thin)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("check")
def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|ENDPOINT|-",
            help="A YAML or JSON file, an endpoint whose rule it is, or - for standard input.",
        ),
    ],
    *,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", help="Compare it with what is deployed there, and its traffic."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a rule, and say it in English; what is wrong with it is exit code 1.

    Example: headrace rules check delay.yaml --endpoint flight_delay
    """
    rule = _rule_of(source)
    fit = None if endpoint is None else _fit_of(endpoint, rule)
    if as_json:
        document: dict[str, Any] = {"name": rule.name, "hash": rule.hash}
        document["english"] = rule.english()
        document |= {} if fit is None else {"fit": fit.to_json()}
        _screen.write_json(document | {"rule": rule.document()})
    else:
        _screen.write(rule.english())
        _screen.write("")
        _screen.write(f"Hash: {rule.hash}")
        if fit is not None:
            _screen.write("")
            _screen.write(fit.told())
    if fit is not None and fit.problems:
        raise typer.Exit(1)


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of a rule, by which editors complete and check its YAML.

    Example: headrace rules schema > rule.schema.json
    """
    from serving.rule import Rule

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    _screen.write_json(dialect | Rule.model_json_schema())


@app.command("list")
def list_verdicts(
    endpoint: Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")],
    *,
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what the rule said at an endpoint, newest first; each can be replayed by its number.

    Example: headrace rules list flight_delay
    """
    from serving.endpoints import Endpoints
    from serving.rollout.thinning import THINNED

    endpoints = Endpoints()
    experiments = {
        rival.experiment: rival.model
        for change in endpoints.history(endpoint)
        for rival in change.after.rivals
    }
    verdicts = [
        {
            "number": judgement.number,
            "at": judgement.at.isoformat(),
            "actor": judgement.actor,
            "action": judgement.trace.get("action"),
            "challenger": experiments.get(judgement.experiment),
            "experiment": judgement.experiment,
            "thinned": judgement.trace.get("format") == THINNED,
        }
        for judgement in endpoints.verdicts(endpoint, last=last)
    ]
    if as_json:
        _screen.write_json(verdicts)
    elif not verdicts:
        _screen.write(f"No rule has said anything at the endpoint '{endpoint}' yet.")
    else:
        names = ["number", "at", "actor", "action", "challenger", "experiment"]
        rows = [[str(each[name]) for name in names] for each in verdicts]
        rows = [[row[0], row[1][:16].replace("T", " "), *row[2:]] for row in rows]
        for row, each in zip(rows, verdicts, strict=True):
            row[3] += ", thinned" if each["thinned"] else ""
        _screen.write_table(["number", "at (UTC)", *names[2:]], rows)


@app.command("replay")
def replay(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER|FILE",
            help="Number of a verdict (see `headrace rules list`), or a file with its trace.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Judge a verdict's evidence again, and require the same verdict to the last byte.

    Example: headrace rules replay 12
    """
    from headrace.content import document_digest
    from serving.rollout.assess import replay as judge_again

    trace, what = _trace_of(source)
    ruling = judge_again(trace)
    digest = document_digest(ruling.trace())
    if as_json:
        document = {"identical": True, "digest": digest, "action": ruling.action}
        _screen.write_json(document | {"prose": ruling.prose(), "trace": ruling.trace()})
        return
    _screen.write(ruling.prose())
    _screen.write("")
    _screen.write(f"Judged again, {what} is the same to the last byte (sha256 {digest}).")


def _fit_of(endpoint: str, rule: Rule) -> Fit:
    from serving.endpoints import Endpoints
    from serving.rollout.rule_fit import fit_of

    return fit_of(Endpoints(), endpoint, rule)


def _rule_of(source: str) -> Rule:
    """Return the rule of a file, of standard input, or of an endpoint."""
    import sys

    from headrace.errors import ParameterError, UnknownNameError
    from serving.endpoints import Endpoints
    from serving.rule import Rule, read_rule

    if source == "-":
        return read_rule(f"{sys.stdin.read()}\n")  # a line break: it is the text, not a path
    path = _file(source)
    if path is not None:
        return read_rule(path)
    endpoints = Endpoints()
    names = endpoints.names()
    if source not in names:
        raise UnknownNameError.of(
            "file or endpoint",
            source,
            names,
            remedy="Give the path of a YAML file, the name of an endpoint, or - for the standard "
            "input.",
        )
    declared = endpoints.spec(source).rule
    if declared is None:
        raise ParameterError(
            f"The endpoint '{source}' has no rule: people decide there.",
            remedy="Deploy it with one: deploy(..., rule=Rule(...)).",
        )
    return Rule(**declared)


def _trace_of(source: str) -> tuple[Any, str]:
    """Return a trace, and what to call what it is of."""
    import json

    from headrace.errors import DataError
    from serving.endpoints import Endpoints
    from serving.rollout.thinning import require_whole

    if source.isascii() and source.isdigit():
        judgement = require_whole(Endpoints().judgement(int(source)))
        return judgement.trace, f"verdict {judgement.number} at '{judgement.endpoint}'"
    try:
        with open(source, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise DataError(
            f"The trace '{source}' cannot be read: {why}.",
            remedy="Give the number of a verdict, or a file that `headrace rules replay NUMBER "
            "--json` was written to.",
        ) from error
    printed = isinstance(found, dict) and "trace" in found and "format" not in found
    return found["trace"] if printed else found, f"the verdict of '{source}'"


def _file(source: str) -> Path | None:
    """Return the file that was meant; None where it looks like the name of an endpoint."""
    from pathlib import Path

    path = Path(source)
    is_path = path.suffix in (".yaml", ".yml", ".json") or len(path.parts) > 1 or path.is_file()
    return path if is_path else None
