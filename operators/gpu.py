"""This module scores with a model on a GPU, where there is one and the answers are the same there.

What a GPU cannot do, or does otherwise than the processor, is scored on the processor; the name of
the runtime says so. No model answers differently for where it is placed.
"""

from __future__ import annotations

import ctypes
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headrace.models import ModelCard
from operators._bundle_files import read_manifest, verified
from operators._dense import dense_parts
from operators._encoding import Matrix, Vector
from operators._mlp import sigmoid
from operators._parity import compared
from operators.bundle import CARD_FILE, load_bundle
from operators.runtimes import probes_of
from operators.scoring import MODEL_FILE, Scorer, load_scorer


def visible_gpus() -> int:
    """Return how many GPUs of NVIDIA this process may use, as the driver says.

    `CUDA_VISIBLE_DEVICES`, which Ray sets, counts; no library is loaded to find out.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def load_bundle_on_gpu(folder: Path, *, threads: int = 1, device: str = "cuda") -> Scorer:
    """Return a scorer from a bundle, checked as `load_bundle` does, on a GPU if it can be.

    A model of xgboost or torch is compared on 2,000 rows, which include values at and right beside
    each split, with what it answers on the processor: within 1e-5 for a probability, within that
    share of itself for an estimate.

    Args:
        folder: The bundle.
        threads: Most threads for one call on the processor.
        device: What the libraries call the GPU; "cpu" has them do the same without one.

    Returns:
        The scorer. Its `runtime` ends with the device, or with why it is on the CPU.

    Raises:
        DamagedArtifactError: A file is gone, or not what was written.
    """
    manifest = read_manifest(folder)

    def read(name: str) -> bytes:
        return verified(folder, name, manifest.files[name])

    card = ModelCard.from_json(json.loads(read(CARD_FILE)))
    why = _barred(card, device)
    if why is None:
        try:
            scorer = _LOAD[card.flavor](card, read(MODEL_FILE[card.flavor]), device)
            probes = probes_of(card, read)
            expected = load_scorer(card, read, threads=threads).scores(probes)
            _, why = compared(card, probes, expected, scorer.scores(probes))
        except Exception as error:  # of the driver or a library: they share no public base
            why = f"{type(error).__name__}: {error}"
        if why is None:
            return scorer
    on_cpu = load_bundle(folder, threads=threads)
    return replace(on_cpu, runtime=f"{on_cpu.runtime} on the CPU: {why}")


def _barred(card: ModelCard, device: str) -> str | None:
    """Return why a model need not be tried on a GPU."""
    if card.flavor not in _LOAD:
        return f"Models of {card.flavor} are not scored on GPUs."
    if device != "cpu" and not visible_gpus():
        return "No GPU is visible."
    return None


def _xgboost_on(card: ModelCard, content: bytes, device: str) -> Scorer:
    import xgboost

    booster = xgboost.Booster({"device": device})
    booster.load_model(bytearray(content))
    booster.set_param({"device": device})  # reading the model may have put its own in place

    def scores(matrix: Matrix) -> Vector:
        # a DMatrix goes to the device in one piece; `inplace_predict` would warn that it is not
        # there
        return np.asarray(booster.predict(xgboost.DMatrix(matrix)), dtype=np.float64)

    runtime = f"xgboost {xgboost.__version__} on {device}"
    return Scorer(card=card, runtime=runtime, scores=scores)


def _torch_on(card: ModelCard, content: bytes, device: str) -> Scorer:
    import torch

    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        arrays = {name: torch.from_numpy(loaded[name]).to(device) for name in loaded.files}
    constants: Any = card.extra["dense"]
    mean, scale = (float(v) for v in card.extra["target"])
    depth = sum(name.startswith("weight_") for name in arrays)

    def scores(matrix: Matrix) -> Vector:
        numbers, codes = dense_parts(matrix, constants)
        with torch.inference_mode():
            chosen = torch.from_numpy(np.ascontiguousarray(codes)).to(device).long()
            embedded = [arrays[f"embedding_{i}"][chosen[:, i]] for i in range(chosen.shape[1])]
            given = torch.from_numpy(np.ascontiguousarray(numbers)).to(device)
            layer = torch.cat([given, *embedded], dim=1)
            for i in range(depth):
                layer = layer @ arrays[f"weight_{i}"] + arrays[f"bias_{i}"]
                if i < depth - 1:
                    layer = torch.relu(layer)
            output = layer[:, 0].cpu().numpy().astype(np.float64)
        return output * scale + mean if card.task == "estimation" else sigmoid(output)

    return Scorer(card=card, runtime=f"torch {torch.__version__} on {device}", scores=scores)


_LOAD: dict[str, Callable[[ModelCard, bytes, str], Scorer]] = {
    "xgboost": _xgboost_on,
    "torch": _torch_on,
}
