"""This module keeps a model as a replica loads it: its files, the proved runtime, and checksums.

A bundle is a folder: `card.json`, the model's own file, `model.onnx` where that answers as the
model does, and `runtime.json`, which says which runtime answers, what was measured to choose it,
and what every other file must hold.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.artifacts import Model
from headrace.content import document_digest
from headrace.errors import DamagedArtifactError, DataError, StoreError
from headrace.models import ModelCard
from operators._encoding import Matrix, Vector
from operators._onnx import ONNX_FILE, to_onnx
from operators._parity import answers_of, compared
from operators.runtimes import (
    RUNTIMES,
    RuntimeChoice,
    choose_runtime,
    load_runtime,
    packages_of,
    probes_of,
)
from operators.scoring import MODEL_FILE, Scorer, load

CARD_FILE = "card.json"
RUNTIME_FILE = "runtime.json"
_FORMAT = 1
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """This is what `runtime.json` holds: the model's digest, the choice, each file's sha256."""

    model: str
    choice: RuntimeChoice
    files: Mapping[str, str]


def write_bundle(
    folder: Path, model: Model, *, threads: int = 1, onnx: bytes | None = None
) -> RuntimeChoice:
    """Write a model's bundle, whole or not at all, and return the runtime that was chosen.

    An intact bundle of this model, measured with the installed versions, is kept as it is and not
    measured again. A damaged or outdated one is replaced.

    Args:
        folder: Where the bundle is to be; made, with what is above it.
        model: The model.
        threads: Most threads for one call, as it will be served.
        onnx: The model in ONNX, instead of our own conversion; see `choose_runtime`.

    Raises:
        DataError: The model answers NaN or infinity, or its files, read back from disk, do not
            answer as the model does. Nothing is written.
        StoreError: The folder cannot be written.
    """
    kept = _kept(folder, model)
    if kept is not None:
        return kept
    card = model.card
    probes = probes_of(card, model.read)
    expected = answers_of(card, load(model, threads=threads).scores, probes)
    converted = to_onnx(card, model.read) if onnx is None else onnx
    choice = choose_runtime(model, probes=probes, threads=threads, onnx=converted)
    own = MODEL_FILE[card.flavor]
    files = {CARD_FILE: json.dumps(card.to_json()).encode(), own: model.read(own)}
    if converted is not None and "onnxruntime" in choice.timings:
        files[ONNX_FILE] = converted
    staged = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    with _explained(folder):
        try:
            _write(staged, files, choice, model.digest)
            _require_same(staged, choice, probes, expected, threads)
            _publish(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return choice


def load_bundle(folder: Path, *, threads: int = 1, large: bool = False) -> Scorer:
    """Return a scorer from a bundle, every file of which is checked first.

    Args:
        folder: The bundle.
        threads: Most threads for one call.
        large: Load the runtime for large batches too; see `load_runtime`.

    Raises:
        DamagedArtifactError: A file is gone, or not what was written.
    """
    manifest = _manifest(folder)
    files = {name: _verified(folder, name, wanted) for name, wanted in manifest.files.items()}
    card = ModelCard.from_json(json.loads(files[CARD_FILE]))
    return load_runtime(card, files.__getitem__, manifest.choice, threads=threads, large=large)


def read_card(folder: Path) -> ModelCard:
    """Return the card of a bundle, checked, without loading the model.

    Raises:
        DamagedArtifactError: A file is gone, or not what was written.
    """
    content = _verified(folder, CARD_FILE, _manifest(folder).files[CARD_FILE])
    return ModelCard.from_json(json.loads(content))


def bundle_choice(folder: Path) -> RuntimeChoice:
    """Return which runtime a bundle is answered by, and what was measured.

    Raises:
        DamagedArtifactError: `runtime.json` is gone, or not what was written.
    """
    return _manifest(folder).choice


def _kept(folder: Path, model: Model) -> RuntimeChoice | None:
    try:
        manifest = _manifest(folder)
        for name, wanted in manifest.files.items():
            _verified(folder, name, wanted)
    except DamagedArtifactError:
        return None
    same = manifest.model == model.digest and manifest.choice.packages == packages_of(model.card)
    return manifest.choice if same else None


def _manifest(folder: Path) -> _Manifest:
    try:
        content = json.loads((folder / RUNTIME_FILE).read_bytes())
        checksum = content.pop("checksum")
        intact = checksum == document_digest(content)
    except (FileNotFoundError, NotADirectoryError):
        raise _damaged(folder, f"'{RUNTIME_FILE}' is gone") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        intact = False
    if not intact:
        raise _damaged(folder, f"'{RUNTIME_FILE}' was changed")
    if content["format"] > _FORMAT:
        raise StoreError(
            f"The bundle '{folder}' has the layout {content['format']}; this Headrace reads up to "
            f"{_FORMAT}.",
            remedy="Upgrade Headrace to the version that wrote it.",
        )
    choice = RuntimeChoice.from_json(content["choice"])
    return _Manifest(model=content["model"], choice=choice, files=content["files"])


def _verified(folder: Path, name: str, wanted: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        raise _damaged(folder, f"'{name}' is gone") from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise _damaged(folder, f"'{name}' was changed")
    return content


def _damaged(folder: Path, how: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"The bundle '{folder}' is damaged: its file {how}.",
        remedy="Write it again with `write_bundle(folder, model)`, which replaces a damaged one.",
    )


def _write(staged: Path, files: Mapping[str, bytes], choice: RuntimeChoice, digest: str) -> None:
    content = {
        "format": _FORMAT,
        "model": digest,
        "choice": choice.to_json(),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    content["checksum"] = document_digest(content)
    manifest = json.dumps(content, indent=1, sort_keys=True).encode()
    staged.mkdir(parents=True)
    for name, data in {**files, RUNTIME_FILE: manifest}.items():
        with open(staged / name, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _require_same(
    staged: Path, choice: RuntimeChoice, probes: Matrix, expected: Vector, threads: int
) -> None:
    """Refuse files that do not answer as the model did before they were written."""

    def read(name: str) -> bytes:
        return (staged / name).read_bytes()

    card = ModelCard.from_json(json.loads(read(CARD_FILE)))
    for runtime in (name for name in RUNTIMES if name in choice.timings):
        alone = replace(choice, small=runtime, large=runtime, switch_at=None)
        found = load_runtime(card, read, alone, threads=threads).scores(probes)
        _, why = compared(card, probes, expected, found)
        if why is not None:
            raise DataError(
                f"The files of the {card.flavor} model, read back from disk, do not answer as the "
                f"model does. {why}",
                remedy="Nothing was written. See that nobody writes to the model's files, and that "
                "the disk is well; then register the model again.",
            )


def _publish(staged: Path, folder: Path) -> None:
    try:
        os.rename(staged, folder)
    except OSError as problem:
        if problem.errno not in _TAKEN:
            raise
        # what is there was found damaged or outdated, or another process was first with the same
        aside = folder.with_name(f"{staged.name}.old")
        os.rename(folder, aside)
        os.rename(staged, folder)
        shutil.rmtree(aside, ignore_errors=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system says into an error with a remedy."""
    try:
        yield
    except OSError as problem:
        raise StoreError(
            f"The bundle '{folder}' cannot be written: {problem}.",
            remedy="Free some space, or give this user the right to write there; then try again.",
        ) from problem
