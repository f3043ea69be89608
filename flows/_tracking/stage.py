"""This module holds a stage: what one moment of a flow adds to one MLflow run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

RunStatus = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """This says which run to create.

    Args:
        experiment_id: Where.
        name: What the lists show.
        started_ms: When it started, in milliseconds since 1970.
        tags: Tags that it has from the beginning.
    """

    experiment_id: str
    name: str
    started_ms: int
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """This is one value of one metric.

    Args:
        key: Its name.
        value: The value; may be NaN or infinite.
        at_ms: When, in milliseconds since 1970.
        step: Position in a series.
        about_model: Whether it is a metric of the stage's model and not of the run alone.
        dataset: Name and digest of the dataset that it was measured on.
    """

    key: str
    value: float
    at_ms: int
    step: int = 0
    about_model: bool = False
    dataset: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class StagedModel:
    """This says how to log the model in the stage's folder `model/`.

    Args:
        name: What the lists show.
        flavor: The library that it was made with.
        params: The settings it was fitted with.
        tags: Tags, the digest among them.
    """

    name: str
    flavor: str
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(kw_only=True)
class Stage:
    """This is what is sent together; it is plain data, so that it can wait on disk.

    Args:
        new_run: The run to create; None when `run_id` exists already.
        run_id: The run; filled in once it is created.
        model_id: The logged model; filled in once it is created.
        artifact_uri: Where the run's files go; filled in once it is created, None to ask for it.
        params: Parameters.
        metrics: Metrics.
        tags: Tags.
        datasets: What `/runs/log-inputs` takes.
        model: The model in the folder's `model/`, None when there is none.
        files: Whether the folder's `files/` are to become artifacts of the run.
        status: The run's status after it, None to leave it.
        ended_ms: When the run ended, in milliseconds since 1970.
    """

    new_run: NewRun | None = None
    run_id: str | None = None
    model_id: str | None = None
    artifact_uri: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    model: StagedModel | None = None
    files: bool = False
    status: RunStatus | None = None
    ended_ms: int | None = None

    def write(self, path: Path) -> None:
        """Write the stage as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> Stage:
        """Read what `write` wrote."""
        data = json.loads(path.read_text())
        new_run, model = data.pop("new_run"), data.pop("model")
        metrics = [
            Metric(**{**entry, "dataset": tuple(entry["dataset"]) if entry["dataset"] else None})
            for entry in data.pop("metrics")
        ]
        return cls(
            **data,
            metrics=metrics,
            new_run=NewRun(**new_run) if new_run else None,
            model=StagedModel(**model) if model else None,
        )
