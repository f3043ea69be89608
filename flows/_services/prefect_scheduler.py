"""This module lets Prefect's scheduler write runs with the SQLAlchemy that the others ask for.

The scheduler hands the rows of its runs to an insert with a `state` in each, which is a property of
the class and no column. SQLAlchemy 2.0 passed over it; 2.1 refuses, and then no schedule ever
starts anything. `tests/flows/orchestration` fails when a schedule does not.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any


def pass_over_states_of_scheduled_runs() -> None:
    """Let inserts of flow runs pass over their states, which the scheduler writes by itself.

    The second call changes nothing, and where SQLAlchemy is 2.0 the first has no effect.
    """
    from prefect.server.database.orm_models import FlowRun
    from sqlalchemy import inspect

    state: Any = inspect(FlowRun).all_orm_descriptors["state"]
    state.bulk_dml_setter = _pass_over


def _pass_over(of: type, row: MutableMapping[str, Any], state: Any) -> None:
    """Leave the row as it is; its columns are all that is written."""
