"""This module keeps a model as a replica loads it: its files, the proved runtime, and checksums.

A bundle is a folder: `card.json`, the model's own file, `model.onnx` where that answers as the
model does, and `runtime.json`, which says which runtime answers, what was measured to choose it,
and what every other file must hold.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from headrace.artifacts import Model
from headrace.errors import DamagedArtifactError, DataError
from headrace.models import ModelCard
from operators._bundle_files import explained, publish, read_manifest, verified, write_files
from operators._encoding import Matrix, Vector
from operators._onnx import to_onnx
from operators._onnx_session import ONNX_FILE
from operators._parity import answers_of, compared
from operators._runtime_choice import RUNTIMES, RuntimeChoice
from operators.runtimes import choose_runtime, load_runtime, packages_of, probes_of
from operators.scoring import MODEL_FILE, Scorer, load, require_one_score

CARD_FILE = "card.json"


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
        DefinitionError: The model does not answer with one score a row.
        DataError: The model answers NaN or infinity, or its files, read back from disk, do not
            answer as the model does. Nothing is written.
        StoreError: The folder cannot be written.
    """
    kept = _kept(folder, model)
    if kept is not None:
        return kept
    card = model.card
    require_one_score(card)
    probes = probes_of(card, model.read)
    expected = answers_of(card, load(model, threads=threads).scores, probes)
    converted = to_onnx(card, model.read) if onnx is None else onnx
    choice = choose_runtime(model, probes=probes, threads=threads, onnx=converted)
    own = MODEL_FILE[card.flavor]
    files = {CARD_FILE: json.dumps(card.to_json()).encode(), own: model.read(own)}
    if converted is not None and "onnxruntime" in choice.timings:
        files[ONNX_FILE] = converted
    staged = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    with explained(folder):
        try:
            write_files(staged, files, choice, model.digest)
            _require_same(staged, choice, probes, expected, threads)
            publish(staged, folder)
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
    manifest = read_manifest(folder)
    files = {name: verified(folder, name, wanted) for name, wanted in manifest.files.items()}
    card = ModelCard.from_json(json.loads(files[CARD_FILE]))
    return load_runtime(card, files.__getitem__, manifest.choice, threads=threads, large=large)


def read_card(folder: Path) -> ModelCard:
    """Return the card of a bundle, checked, without loading the model.

    Raises:
        DamagedArtifactError: A file is gone, or not what was written.
    """
    content = verified(folder, CARD_FILE, read_manifest(folder).files[CARD_FILE])
    return ModelCard.from_json(json.loads(content))


def bundle_choice(folder: Path) -> RuntimeChoice:
    """Return which runtime a bundle is answered by, and what was measured.

    Raises:
        DamagedArtifactError: `runtime.json` is gone, or not what was written.
    """
    return read_manifest(folder).choice


def _kept(folder: Path, model: Model) -> RuntimeChoice | None:
    try:
        manifest = read_manifest(folder)
        for name, wanted in manifest.files.items():
            verified(folder, name, wanted)
    except DamagedArtifactError:
        return None
    same = manifest.model == model.digest and manifest.choice.packages == packages_of(model.card)
    return manifest.choice if same else None


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
