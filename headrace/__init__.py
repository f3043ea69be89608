"""This is Headrace's kernel: what flows, operators, features and serving share.

The public names are imported when they are first used, so that `import headrace` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.artifacts import (
        Artifact,
        Evaluation,
        Examples,
        Labels,
        Model,
        Partitions,
        Predictions,
        Report,
        SelectedModel,
        Table,
        TestSet,
        TrainSet,
        ValidationSet,
        Votes,
    )
    from headrace.control import map_over, otherwise, when
    from headrace.errors import HeadraceError
    from headrace.loading import load
    from headrace.operation import Operator, operator
    from headrace.schedules import Cron, Every, When
    from headrace.schemas import Col, Schema
    from headrace.workflow import Flow, flow

_HOMES = {
    "headrace.artifacts": (
        "Artifact",
        "Evaluation",
        "Examples",
        "Labels",
        "Model",
        "Partitions",
        "Predictions",
        "Report",
        "SelectedModel",
        "Table",
        "TestSet",
        "TrainSet",
        "ValidationSet",
        "Votes",
    ),
    "headrace.control": ("map_over", "otherwise", "when"),
    "headrace.errors": ("HeadraceError",),
    "headrace.loading": ("load",),
    "headrace.operation": ("Operator", "operator"),
    "headrace.schedules": ("Cron", "Every", "When"),
    "headrace.schemas": ("Col", "Schema"),
    "headrace.workflow": ("Flow", "flow"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Artifact",
    "Col",
    "Cron",
    "Evaluation",
    "Every",
    "Examples",
    "Flow",
    "HeadraceError",
    "Labels",
    "Model",
    "Operator",
    "Partitions",
    "Predictions",
    "Report",
    "Schema",
    "SelectedModel",
    "Table",
    "TestSet",
    "TrainSet",
    "ValidationSet",
    "Votes",
    "When",
    "flow",
    "load",
    "map_over",
    "operator",
    "otherwise",
    "when",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'headrace' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)
