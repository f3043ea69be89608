"""A bundle is whole or not there, and what a replica loads is what was proved."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from headrace import Model
from headrace.contents import FilesContent
from headrace.errors import DamagedArtifactError, DataError, StoreError
from operators._encoding import encode
from operators._onnx import to_onnx
from operators.bundle import bundle_choice, load_bundle, write_bundle
from operators.scoring import load, load_scorer


@pytest.fixture(scope="module")
def model(fitted):
    return fitted("xgboost", "classification", "carrier", "departure_delay")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models" / "digest"


@pytest.fixture(scope="module")
def original(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "digest"
    write_bundle(folder, model)
    return folder


@pytest.fixture
def written(original, folder):
    """This is an intact bundle of the model that a test may harm."""
    shutil.copytree(original, folder)
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_bundle_answers_as_the_model_does(model, folder, flights):
    choice = write_bundle(folder, model)

    scorer = load_bundle(folder)

    rows = encode(flights.frame[:500], model.card)
    assert np.abs(scorer.scores(rows) - load(model).scores(rows)).max() < 1e-6
    assert scorer.card == model.card
    assert scorer.runtime.startswith("onnxruntime ")
    assert bundle_choice(folder) == choice
    assert sorted(_contents(folder)) == ["card.json", "model.onnx", "model.ubj", "runtime.json"]
    assert os.listdir(folder.parent) == ["digest"]  # nothing half made is left


def test_an_intact_bundle_is_kept_and_not_measured_again(model, written):
    first = bundle_choice(written)
    before = {path.name: path.stat().st_mtime_ns for path in written.iterdir()}

    second = write_bundle(written, model)

    assert second == first  # measured times would differ
    assert {path.name: path.stat().st_mtime_ns for path in written.iterdir()} == before


def test_a_bundle_measured_with_another_version_is_measured_again(model, written):
    _edit_manifest(written, lambda content: content["choice"]["packages"].update(onnxruntime="1.0"))

    choice = write_bundle(written, model)

    assert choice.packages["onnxruntime"] != "1.0"
    assert bundle_choice(written) == choice


def test_another_models_bundle_is_replaced(fitted, written):
    other = fitted("torch", "classification", "departure_delay", "hour")

    write_bundle(written, other)

    assert load_bundle(written).card == other.card
    assert sorted(_contents(written)) == ["card.json", "model.onnx", "runtime.json", "weights.npz"]
    assert os.listdir(written.parent) == ["digest"]


@pytest.mark.parametrize("name", ["card.json", "model.onnx", "model.ubj", "runtime.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_damaged_file_is_named(written, name, how):
    path = written / name
    if how == "changed":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()

    with pytest.raises(DamagedArtifactError) as error:
        load_bundle(written)

    was = "was changed" if how == "changed" else "is gone"
    assert str(error.value) == (
        f"The bundle '{written}' is damaged: its file '{name}' {was}.\n"
        "  Fix: Write it again with `write_bundle(folder, model)`, which replaces a damaged one."
    )


@pytest.mark.parametrize("name", ["model.onnx", "runtime.json"])
def test_a_damaged_bundle_is_replaced(model, original, written, name):
    (written / name).write_bytes(b"harmed")

    write_bundle(written, model)

    kept = ["card.json", "model.onnx", "model.ubj"]
    assert [_contents(written)[k] for k in kept] == [_contents(original)[k] for k in kept]
    assert load_bundle(written).card == model.card
    assert os.listdir(written.parent) == ["digest"]


def test_several_writers_at_once_leave_one_whole_bundle(model, folder):
    with ThreadPoolExecutor(3) as pool:
        choices = list(pool.map(lambda _: write_bundle(folder, model), range(3)))

    assert bundle_choice(folder) in choices
    assert load_bundle(folder).card == model.card
    assert os.listdir(folder.parent) == ["digest"]


def test_a_bundle_of_a_later_layout_is_refused(written):
    _edit_manifest(written, lambda content: content.update(format=2))

    with pytest.raises(StoreError) as error:
        load_bundle(written)

    assert str(error.value) == (
        f"The bundle '{written}' has the layout 2; this Headrace reads up to 1.\n"
        "  Fix: Upgrade Headrace to the version that wrote it."
    )


def test_a_model_whose_conversion_fails_parity_is_served_by_its_own_library(model, folder, flights):
    tampered = onnx.load_from_string(to_onnx(model.card, model.read))
    ensemble = next(n for n in tampered.graph.node if n.op_type == "TreeEnsembleRegressor")
    next(a for a in ensemble.attribute if a.name == "target_weights").floats[0] += 2.0

    choice = write_bundle(folder, model, onnx=tampered.SerializeToString())

    scorer, rows = load_bundle(folder), encode(flights.frame[:50], model.card)
    assert choice.refused["onnxruntime"].startswith("It answers ")
    assert sorted(_contents(folder)) == ["card.json", "model.ubj", "runtime.json"]
    assert scorer.runtime.startswith("xgboost ")
    np.testing.assert_array_equal(scorer.scores(rows), load(model).scores(rows))


class _Replaced(FilesContent):
    """These are files that somebody replaces with another model's after the first reading."""

    later: Model
    read_once: bool = False

    def read(self, name: str) -> bytes:
        if name != "weights.npz":
            return super().read(name)
        before, self.read_once = self.read_once, True
        return self.later.read(name) if before else super().read(name)


def test_files_that_do_not_answer_as_the_model_did_are_refused(fitted, folder, worst_answer):
    features = ("departure_delay", "hour")
    model = fitted("torch", "classification", *features)
    later = fitted("torch", "estimation", *features)
    content = _Replaced(files=model._content.files)
    content.later = later

    with pytest.raises(DataError) as error:
        write_bundle(folder, Model.holding(content))

    replaced = load_scorer(model.card, later.read)
    assert str(error.value) == (
        "The files of the torch model, read back from disk, do not answer as the model does. "
        f"{worst_answer(model, replaced.scores)}\n"
        "  Fix: Nothing was written. See that nobody writes to the model's files, and that the "
        "disk is well; then register the model again."
    )
    assert os.listdir(folder.parent) == []


def test_a_folder_that_cannot_be_made_is_named(model, tmp_path):
    (tmp_path / "models").write_text("a file is in the way")
    folder = tmp_path / "models" / "digest"

    with pytest.raises(StoreError) as error:
        write_bundle(folder, model)

    assert error.value.problem.startswith(f"The bundle '{folder}' cannot be written: ")
    assert error.value.remedy == (
        "Free some space, or give this user the right to write there; then try again."
    )


def test_nothing_on_disk_names_a_place_on_the_machine(original):
    written = b"".join(_contents(original).values())

    for place in (original.parent, Path.home(), Path(__file__).parents[3]):
        assert str(place).encode() not in written


def _edit_manifest(folder: Path, edit) -> None:
    from headrace.content import document_digest

    path = folder / "runtime.json"
    content = json.loads(path.read_bytes())
    del content["checksum"]
    edit(content)
    path.write_text(json.dumps(content | {"checksum": document_digest(content)}))
