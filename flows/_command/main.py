"""This module is the entry of `headrace`: which commands there are, and how errors are told.

To add a command: write `flows/_command/<name>.py` with one function whose docstring is its help and
ends in an example, and add a line below. The module may import typer, this package and
`headrace.errors` at its top; everything else is imported inside the function, because every
`headrace --help` imports every command.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Annotated

import typer

from flows._command import (
    approve,
    backup,
    clients,
    decisions,
    down,
    emit,
    endpoint,
    explain,
    features,
    flows,
    init,
    label,
    lineage,
    plan,
    restore,
    resume,
    rules,
    run,
    runs,
    status,
    store,
    up,
)
from flows._orchestration.presence import server_lost
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
app.command("init")(init.init)
app.command("up")(up.up)
app.command("down")(down.down)
app.command("status")(status.status)
app.command("flows")(flows.flows)
app.command("plan")(plan.plan)
app.command("run")(run.run)
app.command("resume")(resume.resume)
app.command("approve")(approve.approve)
app.add_typer(runs.app, name="runs")
app.command("emit")(emit.emit)
app.command("explain")(explain.explain)
app.command("lineage")(lineage.lineage)
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.add_typer(features.app, name="features")
app.add_typer(label.app, name="label")
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(rules.app, name="rules")
app.add_typer(clients.app, name="clients")
app.add_typer(decisions.app, name="decisions")
app.add_typer(store.app, name="store")


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
    # imports make a million objects that stay: to look for garbage among them takes a tenth of it
    gc.set_threshold(50_000, 20, 100)
    leaving = _Leaving()
    atexit.register(leaving)  # first to come, so last to go
    arguments = sys.argv[1:]
    debug = _DEBUG in arguments
    try:
        app(args=[word for word in arguments if word != _DEBUG], prog_name="headrace")
    except HeadraceError as error:
        leaving.code = 1
        if debug:
            raise
        typer.echo(f"Error: {error}", err=True)
    except KeyboardInterrupt:
        typer.echo("Interrupted. What is done is kept: `headrace resume latest:<flow>`.", err=True)
        leaving.code = 130
        leaving()  # now: bodies that cannot be stopped would be waited for
    except SystemExit as asked:
        leaving.code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
        if server_lost.is_set():
            leaving()  # now: Prefect's client would wait for its server
        raise
    except BaseException:
        leaving.code = 1
        raise
    if server_lost.is_set():
        leaving()
    sys.exit(leaving.code)


class _Leaving:
    """This ends the process when everything is written and every library has said goodbye.

    Threads that Prefect and MLflow leave behind hold on to DuckDB's objects while the interpreter
    is taken down, which DuckDB then reports as leaks, on a screen of lines. So it is not taken
    down: the process ends here.
    """

    def __init__(self) -> None:
        self.code = 0
        self._process = os.getpid()

    def __call__(self) -> None:
        if os.getpid() != self._process:
            return  # a fork runs these too, and has an end of its own
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)


if __name__ == "__main__":
    main()
