"""This module fits a multilayer perceptron with torch: scaled numbers, embedded categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from headrace import Model, Schema, TrainSet, ValidationSet, operator
from headrace.clock import SystemClock
from operators._dense import dense_parts, fit_dense
from operators._examples import LabelledRows
from operators._fitting import Fit, finished, prepare
from operators._mlp import write_arrays
from operators._network import AdamW, first_weights, loss_of
from operators._training_checks import check_fit

if TYPE_CHECKING:
    import torch

S = TypeVar("S", bound=Schema)
_STEPS, _FEWEST_ROWS = 50, 16


@operator(check=check_fit)
def train_torch(
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    task: Literal["classification", "estimation"] = "classification",
    hidden: Sequence[Annotated[int, Field(ge=1, le=4_096)]] = (96, 48),
    max_epochs: Annotated[int, Field(ge=1, le=1_000)] = 20,
    batch_size: Annotated[int, Field(ge=1)] = 1_024,
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.001,
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01,
    early_stopping_epochs: Annotated[int, Field(ge=1)] = 3,
    class_weight: Literal["none", "balanced"] = "none",
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
    threads: Annotated[int, Field(ge=1, le=256)] = 1,
) -> Model:
    """This fits a small neural network and keeps the epoch that is best on the validation set.

    Numbers are scaled; their nulls are filled with the training median and flagged by an input of
    their own. Categories are embedded, with one more for "not known".

    Args:
        train: Rows with the columns of role "feature" and one of role "label" (0/1, true/false or
            two categories for classification, a float for estimation). Null features are allowed,
            null labels are not. A column of role "weight" says how much a row counts in the fit.
        validation: Rows of the same columns, later in time where there is time. The weights kept
            are those of the epoch with the least loss here; the card's metrics are computed here.
        task: What to predict: the probability of the positive class, or a value.
        hidden: Widths of the hidden layers, in order.
        max_epochs: Most passes over the training set.
        batch_size: Most rows of one step; a small set takes fewer, so that an epoch has 50 steps.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        early_stopping_epochs: Epochs without a better validation loss after which to stop.
        class_weight: "balanced" lets both classes count the same; scores are then no longer
            probabilities under the real share of the classes.
        seed: For first weights and the order of rows; given by the runtime, 0 in a plain call.
        threads: Threads to fit with. Sums depend on it in their last bits, so the model does too.

    Returns:
        A model whose weights are plain arrays (`weights.npz`), scored by numpy alone.

    Raises:
        SchemaError: Label, features or task do not fit; the plan says the same.
        DataError: A set is empty, has one class, null labels, or a feature without any value.
    """
    parameters = {
        "task": task,
        "hidden": list(hidden),
        "max_epochs": max_epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "early_stopping_epochs": early_stopping_epochs,
        "class_weight": class_weight,
        "seed": seed or 0,
        "threads": threads,
    }
    fit = prepare("train_torch", train, validation, flavor="torch", parameters=parameters)
    # The limit holds for the libraries that are loaded when it is set, so torch comes first.
    import torch  # noqa: F401
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(threads), _deterministic(threads):
        before = SystemClock().monotonic()
        dense = fit_dense(fit.train.matrix, fit.card.features)
        scale = _target_scale(fit)
        arrays, losses = _fitted(fit, parameters, dense, scale)
        return finished(
            fit,
            {"weights.npz": write_arrays(arrays)},
            importance=None,
            learning=losses,
            extra={"dense": dense, "target": scale, "epochs": len(losses)},
            seconds=SystemClock().monotonic() - before,
            threads=threads,
        )


@contextmanager
def _deterministic(threads: int) -> Iterator[None]:
    import torch

    were = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    # What `use_deterministic_algorithms(True)` does, without loading torch's compiler for 3 s.
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_num_threads(were[0])
        torch.set_deterministic_debug_mode(were[1])


def _target_scale(fit: Fit) -> list[float]:
    if fit.card.task == "classification":
        return [0.0, 1.0]
    return [float(fit.train.target.mean()), float(fit.train.target.std()) or 1.0]


def _fitted(
    fit: Fit, parameters: dict[str, Any], dense: dict[str, Any], scale: list[float]
) -> tuple[dict[str, npt.NDArray[np.float32]], list[float]]:
    import torch

    generator = np.random.default_rng(parameters["seed"])
    train = _tensors(fit.train, dense, scale)
    held = _tensors(fit.validation, dense, scale)
    first = first_weights(train[0].shape[1], dense["sizes"], parameters["hidden"], generator)
    weights = {k: torch.from_numpy(v).requires_grad_() for k, v in first.items()}
    optimizer = AdamW(
        list(weights.values()), rate=parameters["learning_rate"], decay=parameters["weight_decay"]
    )
    classifies = fit.card.task == "classification"
    best, kept, losses = float("inf"), first, list[float]()
    rows = min(parameters["batch_size"], max(_FEWEST_ROWS, len(train[0]) // _STEPS))
    for _ in range(parameters["max_epochs"]):
        order = torch.from_numpy(generator.permutation(len(train[0])))
        for batch in torch.split(order, rows):
            optimizer.step(loss_of(weights, tuple(p[batch] for p in train), classifies))
        with torch.no_grad():
            losses.append(float(loss_of(weights, held, classifies)))
        if losses[-1] < best:
            best = losses[-1]
            kept = {k: v.detach().numpy().copy() for k, v in weights.items()}
        elif len(losses) - 1 - losses.index(best) >= parameters["early_stopping_epochs"]:
            break
    return kept, losses


def _tensors(
    rows: LabelledRows, dense: dict[str, Any], scale: list[float]
) -> tuple[torch.Tensor, ...]:
    import torch

    numbers, codes = dense_parts(rows.matrix, dense)
    target = ((rows.target - scale[0]) / scale[1]).astype(np.float32)
    weight = np.ones(len(target)) if rows.weight is None else rows.weight
    parts = (numbers, codes, target, weight.astype(np.float32))
    return tuple(torch.from_numpy(part) for part in parts)
