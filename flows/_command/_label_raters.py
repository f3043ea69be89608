"""This module is `headrace label raters`: who may vote, and the tokens they sign in with."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen

_HELP = """Say who may label; each rater signs in to the labeling page with a token.

Example: headrace label raters add ada
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

Name = Annotated[str, typer.Argument(help="The rater, such as ada.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("list")
def list_raters(*, as_json: AsJson = False) -> None:
    """List the raters: whether their token is good, and whether they settle ties.

    Example: headrace label raters list
    """
    from headrace.labels.raters import Raters

    found = Raters().list()
    if as_json:
        _screen.write_json([rater.shown() for rater in found])
        return
    if not found:
        _screen.write("There is no rater yet; make one with `headrace label raters add NAME`.")
        return
    _screen.write_table(
        ["rater", "token", "settles ties", "made by", "made at (UTC)", "state"],
        [
            [
                rater.name,
                f"hl_{rater.token_id}_…",
                "yes" if rater.adjudicates else "no",
                rater.actor,
                f"{rater.created_at:%Y-%m-%d %H:%M}",
                "good"
                if rater.revoked_at is None
                else f"taken away {rater.revoked_at:%Y-%m-%d %H:%M}",
            ]
            for rater in found
        ],
    )


@app.command("add")
def add(
    name: Name,
    *,
    adjudicates: Annotated[
        bool,
        typer.Option("--adjudicates", help="Settles ties, sees agreement, and exports votes."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a rater and print the token, which is shown this once.

    Example: headrace label raters add ada --adjudicates
    """
    from headrace.labels.raters import Raters

    _write_token(name, Raters().add(name, adjudicates=adjudicates), as_json=as_json)


@app.command("rotate")
def rotate(name: Name, *, as_json: AsJson = False) -> None:
    """Give a rater a new token and print it; the old one is none from now on.

    Example: headrace label raters rotate ada
    """
    from headrace.labels.raters import Raters

    _write_token(name, Raters().rotate(name), as_json=as_json)


@app.command("revoke")
def revoke(name: Name) -> None:
    """Take a rater's token away and sign them out; their votes stay.

    Example: headrace label raters revoke ada
    """
    from headrace.labels.raters import Raters

    Raters().revoke(name)
    _screen.write(f"The token of '{name}' is taken away; what they voted stays.")


def _write_token(name: str, token: str, *, as_json: bool) -> None:
    from headrace.labels.addresses import labels_url
    from headrace.settings import settings

    where = labels_url(settings())
    if as_json:
        _screen.write_json({"rater": name, "token": token, "url": where})
        return
    _screen.write(f"The token of '{name}' is shown this once; it is kept nowhere:")
    _screen.write(f"  {token}")
    _screen.write(f"They sign in with it at {where}.")
