"""This module finds a model that was trained elsewhere: its file, format, signature and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headrace.errors import DataError
from headrace.grants import External
from headrace.models import ModelFeature
from operators._import_mlflow import MLMODEL, read_mlmodel
from operators._ingest_files import checksum_of, file_name, found_file

Format = Literal["xgboost", "sklearn", "headrace"]

CARD = "model.json"
_FORMATS: dict[str, Format] = {".ubj": "xgboost", ".json": "xgboost", ".skops": "sklearn"}
_PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".bin")
_EXPORTS = (
    "Save it without code: xgboost's `save_model('model.ubj')`, `skops.io.dump(model, "
    "'model.skops')` for scikit-learn, or a model that Headrace wrote."
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """This is where a model lies, and what is written beside it.

    Args:
        name: The file as the user knows it, for messages.
        format: What reads it.
        file: The model's own file; for "headrace" the card, beside which the files lie.
        features: The signature that an `MLmodel` holds; None where there is none.
        example: Rows that were saved with it, by column.
        versions: Which libraries wrote it, where that is written down.
    """

    name: str
    format: Format
    file: Path
    features: tuple[ModelFeature, ...] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def model_at_path(parameters: Mapping[str, Any]) -> Sequence[External]:
    """Return what `import_model` reads: a file, or a folder with all that is in it."""
    path = str(parameters["path"])
    return [External(name=file_name(path), fingerprint=lambda: _digest(Path(path)))]


def found_model(path: str) -> Source:
    """Return the model at a path; nothing but an `MLmodel` and its example is read.

    Raises:
        DataError: Nothing is there, or it is of no format that can be read without running code.
    """
    given = Path(path)
    if not given.is_dir():
        return _file(found_file(given))
    if (given / MLMODEL).is_file():
        return _mlflow(given)
    if (given / CARD).is_file():
        return Source(name=str(given), format="headrace", file=given / CARD)
    raise DataError(
        f"'{given}' is a directory without '{MLMODEL}' and without '{CARD}'.",
        remedy="Give a model's file, or a folder that MLflow or Headrace wrote.",
    )


def _file(file: Path) -> Source:
    if file.suffix in _PICKLES:
        raise DataError(
            f"'{file}' is a pickle, or may be one, which runs code when it is opened.",
            remedy=_EXPORTS,
        )
    if file.suffix not in _FORMATS:
        raise DataError(
            f"'{file}' is no model that can be read: its name ends in '{file.suffix}', not in "
            f"{', '.join(_FORMATS)}.",
            remedy=_EXPORTS,
        )
    return Source(name=str(file), format=_FORMATS[file.suffix], file=file)


def _mlflow(folder: Path) -> Source:
    described = read_mlmodel(folder)
    ours = described.headrace
    if ours is not None and (_inside(folder, ours) / CARD).is_file():
        return Source(name=str(folder), format="headrace", file=folder / ours / CARD)
    file = found_file(_inside(folder, described.file))
    if described.flavor == "sklearn" and described.stored_as != "skops":
        raise DataError(
            f"The model in '{folder}' is stored as {described.stored_as}, which runs code when it "
            "is opened.",
            remedy="Save it again with `mlflow.sklearn.save_model(model, path, "
            "serialization_format='skops')`.",
        )
    return Source(
        name=str(folder),
        format=described.flavor,
        file=file,
        features=described.features,
        example=described.example,
        versions=described.versions,
    )


def _inside(folder: Path, name: str) -> Path:
    """Return a path in a folder; a grant on the folder is no grant on what lies beside it."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"'{folder / MLMODEL}' names '{name}', which does not lie in its folder.",
            remedy="Save the model again; a model's files lie together.",
        )
    return path


def _digest(path: Path) -> str:
    if not path.is_dir():
        return checksum_of(found_file(path))
    files = sorted(p for p in path.rglob("*") if p.is_file())
    listed = [f"{p.relative_to(path).as_posix()} {checksum_of(p)}" for p in files]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()
