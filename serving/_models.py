"""This module writes a model in MLflow's format and logs it, for tracking and for the registry.

The format has room for several flavors of the same files. `python_function` scores through our own
runtime, so that what `mlflow.pyfunc` answers is what we answer: same encoding, same categories,
same probabilities. Beside it stands the library's own flavor, where our file is one that the
library reads: `mlflow.xgboost.load_model` and `mlflow.sklearn.load_model` need no Headrace.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.contents import FilesContent
from headrace.errors import ServiceError
from headrace.models import ModelCard, ModelFeature
from serving._mlflow import MlflowDown, MlflowRefusal, MlflowServer, pairs
from serving._pyfunc import LABELER, answer_columns

if TYPE_CHECKING:
    from mlflow.models import Model as MlflowModel
    from mlflow.models import ModelSignature

    from headrace.artifacts import Model

DIGEST_TAG = "headrace.digest"
LOGGED_MODEL = "Logged model"
LOADER = "serving._pyfunc"
_FOLDER = "model"
_PROXIED = "mlflow-artifacts:"
_EXAMPLES = ("input_example.json", "serving_input_example.json")
# mlflow imports parts of itself while it saves, which two threads must not do at once
_saving = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """This is a model that MLflow has.

    Args:
        id: Its id, which begins with "m-".
        experiment_id: Where it was logged.
        run_id: The run that made it; empty when none did.
        tags: What was said of it.
    """

    id: str
    experiment_id: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.id}"


def find_logged_models(
    server: MlflowServer, digest: str, *, experiment_ids: Sequence[str] | None = None
) -> list[LoggedModel]:
    """Return the ready models with our digest, oldest first; a model may be made several times.

    Args:
        server: Where to look.
        digest: The model's.
        experiment_ids: Where to look there; in all experiments by default.
    """
    answer = server.post(
        "/logged-models/search",
        experiment_ids=server.experiment_ids() if experiment_ids is None else experiment_ids,
        filter=f"tags.`{DIGEST_TAG}` = '{digest}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": True}],
        max_results=50,
    )
    return [
        LoggedModel(
            id=info["model_id"],
            experiment_id=info["experiment_id"],
            run_id=info.get("source_run_id", ""),
            tags={entry["key"]: entry["value"] for entry in info.get("tags", ())},
        )
        for info in (found["info"] for found in answer.get("models", ()))
        if info["status"] == "LOGGED_MODEL_READY"
    ]


def create_logged_model(
    server: MlflowServer,
    *,
    experiment_id: str,
    run_id: str | None,
    name: str,
    flavor: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """Announce a model to MLflow and return its id; it is not ready before its files are there."""
    source = {} if run_id is None else {"source_run_id": run_id}
    created = server.post(
        "/logged-models",
        experiment_id=experiment_id,
        name=name,
        model_type=flavor,
        params=pairs(params),
        tags=pairs(tags),
        **source,
    )
    return str(created["model"]["info"]["model_id"])


def finish_logged_model(
    server: MlflowServer, model_id: str, directory: Path, *, run_id: str | None
) -> None:
    """Send the files that `write_mlflow_model` wrote, and say that the model is ready.

    Raises:
        MlflowDown: The server does not answer; the files can be sent again. Whatever else goes
            wrong, the model is marked as failed, which would else seem to be on its way for ever.
    """
    try:
        _send_files(server, model_id, directory, run_id=run_id)
    except MlflowDown:
        raise
    except BaseException:
        with contextlib.suppress(ServiceError):
            fail_logged_model(server, model_id)
        raise
    if run_id is not None:
        server.post("/runs/outputs", run_id=run_id, models=[{"model_id": model_id, "step": 0}])


def fail_logged_model(server: MlflowServer, model_id: str) -> None:
    """Say that a model's files will never come."""
    status = "LOGGED_MODEL_UPLOAD_FAILED"
    server.patch(f"/logged-models/{model_id}", model_id=model_id, status=status)


def links_of(server: MlflowServer, model_id: str) -> list[tuple[str, str]]:
    """Return text and address of a logged model and of those runs of it that exist."""
    found = []
    try:
        info = server.get(f"/logged-models/{model_id}")["model"]["info"]
        found.append((LOGGED_MODEL, server.model_url(info["experiment_id"], model_id)))
        run_id = info.get("source_run_id")
        while run_id:
            run = server.get("/runs/get", run_id=run_id)["run"]
            tags = {entry["key"]: entry["value"] for entry in run["data"].get("tags", ())}
            what = "Flow run" if tags.get("headrace.role") == "flow" else "Training run"
            url = server.run_url(run["info"]["experiment_id"], run_id)
            found.append((f"{what} {run['info']['run_name']}", url))
            run_id = tags.get("mlflow.parentRunId")
    except MlflowRefusal:
        pass  # somebody deleted the rest
    return found


def _send_files(
    server: MlflowServer, model_id: str, directory: Path, *, run_id: str | None
) -> None:
    from mlflow.models import Model as MlflowModel

    with _saving:
        described = MlflowModel.load(directory)
        described.model_id, described.run_id = model_id, run_id
        described.save(directory / "MLmodel")
    info = server.get(f"/logged-models/{model_id}")["model"]["info"]
    upload(server, info["artifact_uri"], directory)
    server.patch(f"/logged-models/{model_id}", model_id=model_id, status="LOGGED_MODEL_READY")


def upload(server: MlflowServer, artifact_uri: str, directory: Path) -> None:
    """Send all files of a directory to where MLflow wants a run's or a model's artifacts.

    Raises:
        MlflowDown: The server does not answer.
    """
    if not artifact_uri.startswith(_PROXIED):
        _upload_to_store(artifact_uri, directory)
        return
    root = PurePosixPath(urlsplit(artifact_uri).path.lstrip("/"))
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        server.put_artifact(str(root / path.relative_to(directory).as_posix()), path)


def _upload_to_store(artifact_uri: str, directory: Path) -> None:
    """Send files past the server, to a store that mlflow knows how to reach."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        repository: Any = get_artifact_repository(artifact_uri)
        repository.log_artifacts(os.fspath(directory))
    except (MlflowException, OSError) as error:
        raise MlflowDown(
            f"The artifact store of MLflow at {artifact_uri} cannot be written: {error}.",
            remedy="Give this machine access to it, or start the MLflow server with "
            "--serve-artifacts.",
        ) from error


def write_mlflow_model(model: Model, directory: Path) -> None:
    """Write a model into a new directory in MLflow's format.

    Args:
        model: The model, stored or in memory.
        directory: Must not exist yet.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as MlflowModel

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it would tell of every step
    card = model.card
    described = MlflowModel(metadata={DIGEST_TAG: model.digest})
    with tempfile.TemporaryDirectory() as holder, _saving:
        files = Path(holder) / _FOLDER
        _write_files(model, files)
        mlflow.pyfunc.save_model(
            path=os.fspath(directory),
            loader_module=LOADER,
            data_path=os.fspath(files),
            mlflow_model=described,
            signature=signature_of(card),
            input_example=_example(card),
            # inferring them would start a process and take half a minute
            pip_requirements=[f"{name}=={v}" for name, v in sorted(card.packages.items())],
        )
        for name in _EXAMPLES:
            _mend_json(directory / name)
        _add_native_flavor(described, card, directory)
        described.save(directory / "MLmodel")


def signature_of(card: ModelCard) -> ModelSignature:
    """Return the columns that the model takes, in order, and what it answers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, TensorSpec
    from mlflow.types import Schema as MlflowSchema

    columns: list[ColSpec | TensorSpec] = [
        ColSpec(_mlflow_type(f, card), f.name) for f in card.features
    ]
    answers: list[ColSpec | TensorSpec] = [ColSpec("double", name) for name in answer_columns(card)]
    return ModelSignature(inputs=MlflowSchema(columns), outputs=MlflowSchema(answers))


def _mlflow_type(feature: ModelFeature, card: ModelCard) -> str:
    if feature.categories is not None or feature.dtype in ("category", "string"):
        return "string"
    if feature.dtype == "float" or None in card.example.get(feature.name, ()):
        return "double"  # pandas holds whole numbers and booleans with gaps as floats
    return {"int": "long", "bool": "boolean"}[feature.dtype]


def _example(card: ModelCard) -> Any:
    import pandas as pd

    if not card.example:
        return None
    types = {"double": "float64", "long": "int64", "boolean": "bool", "string": "object"}
    return pd.DataFrame(
        {
            f.name: pd.Series(card.example[f.name], dtype=types[_mlflow_type(f, card)])
            for f in card.features
        }
    )


def _mend_json(path: Path) -> None:
    """Write null where mlflow wrote NaN, which only Python takes for JSON; it reads null back."""
    if path.exists():
        data = json.loads(path.read_text(), parse_constant=lambda name: None)
        path.write_text(json.dumps(data, allow_nan=False))


def _write_files(model: Model, directory: Path) -> None:
    content = model._content
    if not isinstance(content, FilesContent):  # pragma: no cover - a model always holds files
        raise TypeError(type(content).__name__)
    for name in content.names():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read(name))


def _add_native_flavor(described: MlflowModel, card: ModelCard, directory: Path) -> None:
    """Declare the library's own flavor on our file; torch's needs pickle, so it has none."""
    from operators._labeler_file import LABELER_FILE
    from operators.scoring import MODEL_FILE

    name = LABELER_FILE if card.flavor == LABELER else MODEL_FILE[card.flavor]
    file = f"data/{_FOLDER}/{name}"
    if card.flavor == "xgboost":
        described.add_flavor(
            "xgboost",
            xgb_version=card.packages.get("xgboost", ""),
            data=file,
            model_class="xgboost.core.Booster",
            model_format="ubj",
            code=None,
        )
    if card.flavor in ("sklearn", LABELER):
        import skops.io

        described.add_flavor(
            "sklearn",
            pickled_model=file,
            sklearn_version=card.packages.get("scikit-learn", ""),
            serialization_format="skops",
            # we wrote the file; who loads it is asked by MLflow to trust it as a whole
            skops_trusted_types=skops.io.get_untrusted_types(file=directory / file),
            code=None,
        )
