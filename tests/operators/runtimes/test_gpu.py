"""A model on a GPU answers as on the processor, or stays there and its runtime says why."""

from __future__ import annotations

import numpy as np
import pytest

from operators import gpu
from operators.bundle import load_bundle, write_bundle
from operators.gpu import load_bundle_on_gpu, visible_gpus
from operators.runtimes import probes_of
from operators.scoring import load

FEATURES = ("carrier", "departure_delay", "hour")


@pytest.mark.parametrize("task", ["classification", "estimation"])
@pytest.mark.parametrize(("kind", "runtime"), [("xgboost", "xgboost "), ("torch", "torch ")])
def test_what_runs_on_a_gpu_answers_as_the_trained_model(fitted, tmp_path, kind, runtime, task):
    """The same code, with the device that every machine has."""
    model = fitted(kind, task, *FEATURES)
    write_bundle(tmp_path / "model", model)

    scorer = load_bundle_on_gpu(tmp_path / "model", device="cpu")

    rows = probes_of(model.card, model.read)
    expected = load(model).scores(rows)
    assert scorer.runtime.startswith(runtime)
    assert scorer.runtime.endswith(" on cpu")
    assert scorer.scores(rows) == pytest.approx(expected, abs=1e-5 * max(1, expected.std()))
    assert scorer.scores(rows).dtype == np.float64


@pytest.mark.skipif(visible_gpus() > 0, reason="this machine has a GPU")
def test_without_a_gpu_the_processor_answers_and_the_runtime_says_so(fitted, tmp_path):
    model = fitted("xgboost", "classification", *FEATURES)
    write_bundle(tmp_path / "model", model)

    scorer = load_bundle_on_gpu(tmp_path / "model")

    own = load_bundle(tmp_path / "model")
    rows = probes_of(model.card, model.read)
    assert scorer.runtime == f"{own.runtime} on the CPU: No GPU is visible."
    assert (scorer.scores(rows) == own.scores(rows)).all()


@pytest.mark.skipif(visible_gpus() == 0, reason="this machine has no GPU")
@pytest.mark.parametrize("kind", ["xgboost", "torch"])
def test_on_a_gpu_the_model_answers_there(fitted, tmp_path, kind):
    model = fitted(kind, "classification", *FEATURES)
    write_bundle(tmp_path / "model", model)

    scorer = load_bundle_on_gpu(tmp_path / "model")

    assert scorer.runtime.endswith(" on cuda")


def test_a_model_of_scikit_learn_stays_on_the_processor(fitted, tmp_path):
    model = fitted("logistic", "classification", *FEATURES)
    write_bundle(tmp_path / "model", model)

    scorer = load_bundle_on_gpu(tmp_path / "model", device="cpu")

    assert scorer.runtime.endswith(" on the CPU: Models of sklearn are not scored on GPUs.")


def test_a_device_that_answers_otherwise_is_not_used(fitted, tmp_path, monkeypatch):
    model = fitted("torch", "classification", *FEATURES)
    write_bundle(tmp_path / "model", model)
    on_device = gpu._LOAD["torch"]

    def mistaken(card, content, device):
        scorer = on_device(card, content, device)
        return gpu.Scorer(
            card=card, runtime=scorer.runtime, scores=lambda m: scorer.scores(m) + 1e-3
        )

    monkeypatch.setitem(gpu._LOAD, "torch", mistaken)

    scorer = load_bundle_on_gpu(tmp_path / "model", device="cpu")

    assert " on the CPU: It answers " in scorer.runtime
    rows = probes_of(model.card, model.read)
    assert scorer.scores(rows) == pytest.approx(load(model).scores(rows), abs=1e-5)
