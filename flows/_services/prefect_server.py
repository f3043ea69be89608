"""This module runs the Prefect server on SQLite so that concurrent writers wait, not fail.

A SQLite transaction that begins as a reader and then writes fails at once when another wrote in
between; Prefect answers 503 and its clients back off: 25 flows at once took 50 s. Beginning each
transaction as a writer lets SQLite queue them instead (4 s, no 503). This changes one method of a
pinned Prefect; `tests/services` fails when that method is no longer what is changed here.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from flows._services.prefect_scheduler import pass_over_states_of_scheduled_runs

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


def begin_every_transaction_as_a_writer() -> None:
    """Make Prefect's SQLite transactions take the write lock when they begin.

    The second call changes nothing.
    """
    from prefect.server.database.configurations import AioSqliteConfiguration

    original = AioSqliteConfiguration.begin_transaction
    if original.__module__ == __name__:
        return

    def begin_transaction(
        self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
    ) -> AbstractAsyncContextManager[AsyncSessionTransaction]:
        return original(self, session, with_for_update=True)

    changed: Any = begin_transaction
    AioSqliteConfiguration.begin_transaction = changed  # type: ignore[method-assign]


def main() -> None:
    """Run `prefect` with the arguments of this process, such as `server start --port 4200`.

    Beside it runs the keeper, so that whoever shows runs also closes those that were lost.
    """
    begin_every_transaction_as_a_writer()
    pass_over_states_of_scheduled_runs()
    from prefect.cli import app

    from flows._orchestration.keeping import start_keeper

    start_keeper()

    app()


if __name__ == "__main__":
    main()
