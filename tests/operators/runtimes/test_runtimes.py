"""A runtime answers only when it was proved equal, and then when it is the faster."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

from headrace import Model
from headrace.errors import DataError
from operators._encoding import encode
from operators._mlp import write_arrays
from operators._onnx import to_onnx
from operators._onnx_session import onnx_scores
from operators._probes import probe_rows
from operators._timing import SMALL, crossing, fastest
from operators.bundle import write_bundle
from operators.runtimes import (
    RuntimeChoice,
    choose_runtime,
    load_runtime,
)
from operators.scoring import load


@pytest.fixture(scope="module")
def chosen(fitted):
    return choose_runtime(fitted("xgboost"))


def _onnx_of(model):
    return onnx.load_from_string(to_onnx(model.card, model.read))


def test_the_choice_says_what_was_compared_and_measured(chosen):
    found = chosen

    assert (found.small, found.refused, found.tolerance) == ("onnxruntime", {}, 1e-5)
    assert set(found.parity) == set(found.timings) == {"library", "onnxruntime"}
    assert found.parity["onnxruntime"].passed
    assert found.parity["onnxruntime"].rows >= 1_000
    assert found.parity["onnxruntime"].max_abs_diff < 1e-6
    assert found.timings["onnxruntime"][1] < found.timings["library"][1]
    assert all(list(t) == [1, 16, 100, 1000] for t in found.timings.values())
    assert set(found.packages) == {"xgboost", "numpy", "onnxruntime"}
    assert (found.switch_at is None) == (found.small == found.large)


def test_a_choice_survives_json(chosen):
    again = RuntimeChoice.from_json(json.loads(json.dumps(chosen.to_json(), sort_keys=True)))

    assert again == chosen
    assert list(again.timings["library"]) == [1, 16, 100, 1000]


def test_a_tampered_conversion_is_refused_with_its_worst_row_and_both_answers(fitted, worst_answer):
    model = fitted("xgboost")
    tampered = _onnx_of(model)
    ensemble = next(n for n in tampered.graph.node if n.op_type == "TreeEnsembleRegressor")
    weights = next(a for a in ensemble.attribute if a.name == "target_weights")
    weights.floats[0] += 2.0

    found = choose_runtime(model, onnx=tampered.SerializeToString())

    why = found.refused["onnxruntime"]
    assert (found.small, found.large, found.switch_at) == ("library", "library", None)
    assert not found.parity["onnxruntime"].passed
    assert found.parity["onnxruntime"].max_abs_diff > 0.1
    assert "onnxruntime" not in found.timings
    tampered_scores = onnx_scores(tampered.SerializeToString(), threads=1)
    assert why == worst_answer(model, tampered_scores)


def test_one_missing_route_turned_round_is_found(fitted):
    model = fitted("boosting")
    tampered = _onnx_of(model)
    ensemble = next(n for n in tampered.graph.node if n.op_type == "TreeEnsembleRegressor")
    routes = next(a for a in ensemble.attribute if a.name == "nodes_missing_value_tracks_true")
    modes = next(a for a in ensemble.attribute if a.name == "nodes_modes")
    first = list(modes.strings).index(b"BRANCH_LEQ")
    routes.ints[first] = 1 - routes.ints[first]

    found = choose_runtime(model, onnx=tampered.SerializeToString())

    assert not found.parity["onnxruntime"].passed
    assert (found.small, found.large) == ("library", "library")


def test_thresholds_that_are_one_32_bit_number_too_high_are_found(fitted):
    model = fitted("boosting", "classification", "departure_delay", "distance")
    rounded = _onnx_of(model)
    ensemble = next(n for n in rounded.graph.node if n.op_type == "TreeEnsembleRegressor")
    values = next(a for a in ensemble.attribute if a.name == "nodes_values")
    up = np.nextafter(np.array(values.floats, dtype=np.float32), np.float32(np.inf))
    values.floats[:] = up.tolist()

    found = choose_runtime(model, onnx=rounded.SerializeToString())

    assert not found.parity["onnxruntime"].passed


def test_what_onnx_runtime_cannot_read_is_refused_with_what_it_says(fitted):
    found = choose_runtime(fitted("torch"), onnx=b"no model")

    assert found.refused["onnxruntime"].startswith("ONNX Runtime ")
    assert "cannot read 'model.onnx': " in found.refused["onnxruntime"]
    assert set(found.parity) == {"library"}
    assert (found.small, found.large) == ("library", "library")


def test_what_fails_on_the_probe_rows_is_refused(fitted):
    model = fitted("torch", "classification", "departure_delay", "hour")
    other = fitted("torch", "classification", "carrier", "dest", "hour")

    found = choose_runtime(model, onnx=to_onnx(other.card, other.read))

    assert found.refused["onnxruntime"].startswith("It cannot answer the probe rows: ")


def test_a_model_that_answers_nan_is_refused(fitted):
    model = fitted("torch", "classification", "departure_delay", "hour")
    with np.load(io.BytesIO(model.read("weights.npz"))) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    arrays["bias_0"] = np.full_like(arrays["bias_0"], np.nan)
    broken = Model.of({"weights.npz": write_arrays(arrays)}, card=model.card)
    first = model.card.example

    with pytest.raises(DataError) as error:
        choose_runtime(broken)

    assert str(error.value) == (
        "The torch model answers nan in probe row 0 of 2,000: departure_delay="
        f"{first['departure_delay'][0]:.9g}, hour={first['hour'][0]:.9g}.\n"
        "  Fix: Train it anew, with a lower learning rate or on corrected features; it must answer "
        "a number to every row."
    )


def test_probe_rows_hold_nulls_each_category_and_the_examples_and_come_again(fitted):
    card = fitted("xgboost").card

    probes = probe_rows(card, 2_000, seed=0)

    examples = encode(card.example, card)
    dest = card.feature_names.index("dest")
    known = len(card.features[dest].categories)
    assert probes.shape == (2_000, 7)
    assert probes.dtype == np.float32
    np.testing.assert_array_equal(probes[: len(examples)], examples)
    assert np.isnan(probes[len(examples)]).all()
    assert 0.05 < np.isnan(probes).mean() < 0.2
    assert set(range(known)) <= set(probes[:, dest].tolist())
    np.testing.assert_array_equal(probes, probe_rows(card, 2_000, seed=0))


@pytest.mark.parametrize(
    ("single", "sixteen", "winner"),
    [
        pytest.param(7.0, 20.0, "onnxruntime", id="both much faster"),
        pytest.param(7.0, 150.0, "onnxruntime", id="a single row counts twice"),
        pytest.param(93.0, 93.0, "library", id="no clear gain"),
        pytest.param(130.0, 20.0, "library", id="slower for one row"),
    ],
)
def test_the_small_runtime_is_the_one_that_is_clearly_faster(single, sixteen, winner):
    timings = {"library": {1: 100.0, 16: 100.0}, "onnxruntime": {1: single, 16: sixteen}}

    found = fastest(timings, SMALL)

    assert found == winner


def test_the_switch_lies_where_the_measured_lines_cross():
    small = {1: 7.0, 16: 20.0, 100: 130.0, 1000: 2_200.0}
    large = {1: 97.0, 16: 110.0, 100: 180.0, 1000: 1_400.0}

    found = crossing(small, large)

    assert found == 153  # 50 µs ahead at 100 rows, 800 µs behind at 1,000


def test_a_large_batch_goes_to_the_large_runtime_from_the_switch_on(fitted, flights, chosen):
    model = fitted("xgboost")
    content = to_onnx(model.card, model.read)
    choice = replace(chosen, small="onnxruntime", large="library", switch_at=10)

    def read(name):
        return content if name == "model.onnx" else model.read(name)

    both = load_runtime(model.card, read, choice, large=True)
    alone = load_runtime(model.card, read, choice)
    rows = encode(flights.frame[:10], model.card)

    library, fast = load(model), alone.scores
    np.testing.assert_array_equal(both.scores(rows), library.scores(rows))
    np.testing.assert_array_equal(both.scores(rows[:9]), fast(rows[:9]))
    assert alone.runtime.startswith("onnxruntime ")
    assert both.runtime == f"{alone.runtime}, from 10 rows {library.runtime}"


@pytest.mark.parametrize("trainer", ["xgboost", "boosting", "torch"])
def test_a_replica_on_onnx_runtime_imports_no_training_library(fitted, tmp_path, trainer):
    model = fitted(trainer)
    choice = write_bundle(tmp_path / "bundle", model)
    assert choice.small == "onnxruntime"
    program = """
import json, pathlib, sys
from operators.bundle import load_bundle
from operators.encoder import compile_encoder
scorer = load_bundle(pathlib.Path(sys.argv[1]))
row = ["UA", "IAH", None, 12.0, 1400.0, 5, False]
print(scorer.scores(compile_encoder(scorer.card)([row]))[0])
heavy = {"sklearn", "xgboost", "scipy", "pandas", "torch", "pyarrow", "onnx", "skops"}
print(sorted(heavy & set(sys.modules)))
"""

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bundle")],
        check=True,
        capture_output=True,
        text=True,
    )

    answer, heavy = done.stdout.splitlines()
    names = model.card.feature_names
    row = dict(zip(names, [["UA"], ["IAH"], [None], [12.0], [1400.0], [5], [False]], strict=True))
    assert float(answer) == pytest.approx(load(model).score(row)[0], abs=1e-6)
    assert heavy == "[]"
