"""This module is the entry of `headrace`: which commands there are, and how errors are told.

To add a command: write `flows/_command/<name>.py` with one function whose docstring is its help and
ends in an example, and add a line below. The module may import typer, this package and
`headrace.errors` at its top; everything else is imported inside the function, because every
`headrace --help` imports every command.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows._command import down, explain, flows, lineage, plan, run, runs, status, up
from headrace.errors import HeadraceError

_DEBUG = "--debug"

app = typer.Typer(
    name="headrace",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# One line a command, in the order of the help.
app.command("up")(up.up)
app.command("down")(down.down)
app.command("status")(status.status)
app.command("flows")(flows.flows)
app.command("plan")(plan.plan)
app.command("run")(run.run)
app.command("runs")(runs.runs)
app.command("explain")(explain.explain)
app.command("lineage")(lineage.lineage)


@app.callback()
def _headrace(
    *,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Show where an error comes from; accepted anywhere.")
    ] = False,
) -> None:
    """Typed plans, an exact cache, truth in time: machine learning that can be proved.

    Example: headrace up
    """


def main() -> None:
    """Run the command line: exit code 0, 1 for an error, 2 for a command that is put wrongly."""
    arguments = sys.argv[1:]
    debug = _DEBUG in arguments
    try:
        app(args=[word for word in arguments if word != _DEBUG], prog_name="headrace")
    except HeadraceError as error:
        if debug:
            raise
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
