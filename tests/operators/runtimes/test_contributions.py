"""What a score is made of adds up to it, and is what Shapley's formula says, feature by feature."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace import Model
from headrace.models import ModelCard
from operators._contributions_sampled import sampled_contributions
from operators._encoding import encode
from operators.bundle import load_bundle, write_bundle
from operators.contributions import load_contributions
from operators.scoring import load

FEATURES = ("carrier", "departure_delay", "distance", "weekend")
ROWS = [("UA", 30.0, 719.0, True), ("HA", None, 2475.0, False), (None, -4.0, None, None)]


@pytest.fixture(scope="module")
def explained(fitted, tmp_path_factory) -> Callable[..., tuple[Model, Path, Any]]:
    """This is a model, its bundle, and what explains it."""

    def opened(trainer: str, task: str = "classification") -> tuple[Model, Path, Any]:
        model = fitted(trainer, task, *FEATURES)
        folder = tmp_path_factory.mktemp("bundles") / "bundle"
        write_bundle(folder, model)
        return model, folder, load_contributions(folder)

    return opened


def log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def encoded(card: ModelCard, rows: Sequence[Sequence[Any]]) -> np.ndarray:
    return encode(dict(zip(card.feature_names, zip(*rows, strict=True), strict=True)), card)


def shapley(worth: Callable[[frozenset[int]], float], features: int) -> list[float]:
    """Shapley's formula as it is written, over all coalitions."""
    everybody = range(features)
    values = []
    for j in everybody:
        others = [i for i in everybody if i != j]
        values.append(
            sum(
                factorial(size) * factorial(features - size - 1) / factorial(features)
                * (worth(frozenset(s) | {j}) - worth(frozenset(s)))
                for size in range(features)
                for s in combinations(others, size)
            )
        )  # fmt: skip
    return values


@pytest.mark.parametrize(
    ("trainer", "task", "method", "space"),
    [
        ("xgboost", "classification", "tree_shap", "log_odds"),
        ("xgboost", "estimation", "tree_shap", "estimate"),
        ("logistic", "classification", "linear", "log_odds"),
        ("ridge", "estimation", "linear", "estimate"),
        ("boosting", "classification", "sampled", "probability"),
        ("boosting", "estimation", "sampled", "estimate"),
        ("torch", "classification", "sampled", "probability"),
    ],
)
def test_contributions_add_up_to_the_score_that_the_bundle_answers(
    explained, trainer, task, method, space
):
    model, folder, explain = explained(trainer, task)

    found = explain(ROWS)

    scores = load_bundle(folder).scores(encoded(model.card, ROWS)).tolist()
    expected = [log_odds(s) if space == "log_odds" else s for s in scores]
    assert {(each.method, each.space) for each in found} == {(method, space)}
    assert [each.base + each.values.sum() for each in found] == pytest.approx(
        expected, rel=1e-5, abs=1e-4
    )
    assert [each.total for each in found] == [each.base + each.values.sum() for each in found]
    assert max(abs(each.values).max() for each in found) > 0.01


def test_trees_are_explained_by_shapleys_formula_over_the_paths_of_the_training_rows(explained):
    model, _, explain = explained("xgboost")
    learner = _learner(model)
    prior = float(np.ravel(json.loads(learner["learner_model_param"]["base_score"]))[0])
    trees = learner["gradient_booster"]["model"]["trees"]

    found = explain(ROWS)

    for row, each in zip(encoded(model.card, ROWS).tolist(), found, strict=True):

        def worth(known: frozenset[int], row: list[float] = row) -> float:
            return sum(_expected(tree, row, known) for tree in trees)

        assert each.values.tolist() == pytest.approx(shapley(worth, len(FEATURES)), abs=1e-4)
        assert each.base == pytest.approx(worth(frozenset()) + log_odds(prior), abs=1e-4)


def _learner(model: Model) -> dict[str, Any]:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(model.read("model.ubj")))
    learner: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))["learner"]
    return learner


def _expected(tree: dict[str, Any], row: list[float], known: frozenset[int], at: int = 0) -> float:
    """What a tree answers on average when only some features of a row are known."""
    left, right = tree["left_children"][at], tree["right_children"][at]
    if left < 0:
        return float(tree["split_conditions"][at])
    feature, weights = tree["split_indices"][at], tree["sum_hessian"]
    if feature in known:
        goes_left = _goes_left(tree, at, row[feature])
        return _expected(tree, row, known, left if goes_left else right)
    shares = (weights[left] / weights[at], weights[right] / weights[at])
    return sum(s * _expected(tree, row, known, n) for s, n in zip(shares, (left, right)))  # noqa: B905


def _goes_left(tree: dict[str, Any], at: int, value: float) -> bool:
    if isnan(value):
        return bool(tree["default_left"][at])
    if at in tree["categories_nodes"]:
        place = tree["categories_nodes"].index(at)
        start = tree["categories_segments"][place]
        return value not in tree["categories"][start : start + tree["categories_sizes"][place]]
    return bool(np.float32(value) < np.float32(tree["split_conditions"][at]))


def test_linear_models_are_explained_by_shapleys_formula_against_the_examples(explained):
    model, _, explain = explained("logistic")
    reference = encode(model.card.example, model.card)
    scores = load(model).scores

    found = explain(ROWS)

    for row, each in zip(encoded(model.card, ROWS), found, strict=True):

        def worth(known: frozenset[int], row: np.ndarray = row) -> float:
            asked = reference.copy()
            asked[:, list(known)] = row[list(known)]
            return float(np.mean([log_odds(p) for p in scores(asked)]))

        assert each.values.tolist() == pytest.approx(shapley(worth, len(FEATURES)), abs=1e-3)
        assert each.base == pytest.approx(worth(frozenset()), abs=1e-3)


def test_sampling_comes_near_shapleys_formula_and_adds_up_exactly():
    reference = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 2.0, 0.0]], dtype=np.float32)
    row = np.array([2.0, 3.0, -1.0, 0.5], dtype=np.float32)

    def scores(matrix: np.ndarray) -> np.ndarray:
        a, b, c, d = matrix.astype(np.float64).T
        return a * b + np.maximum(c, 0) * d + 0.3 * a

    def worth(known: frozenset[int]) -> float:
        asked = reference.copy()
        asked[:, list(known)] = row[list(known)]
        return float(scores(asked).mean())

    (found,) = sampled_contributions(scores, reference, "estimate", seed=0)(row[None])

    assert found.values.tolist() == pytest.approx(shapley(worth, 4), abs=0.4)
    assert found.total == pytest.approx(scores(row[None])[0], abs=1e-12)
    assert found.base == pytest.approx(scores(reference).mean(), abs=1e-12)


def test_forwards_and_backwards_together_are_exact_where_features_meet_in_pairs():
    reference = np.zeros((1, 5), dtype=np.float32)
    row = np.array([1.0, -2.0, 3.0, 0.5, 4.0], dtype=np.float32)
    meet = np.triu(np.arange(25.0).reshape(5, 5), 1)

    def scores(matrix: np.ndarray) -> np.ndarray:
        wide = matrix.astype(np.float64)
        return np.einsum("ni,ij,nj->n", wide, meet, wide)

    (found,) = sampled_contributions(scores, reference, "estimate", seed=3)(row[None])

    # each of two features that meet has half of what they make together
    together = meet * np.outer(row, row)
    assert found.values.tolist() == pytest.approx(
        ((together.sum(axis=0) + together.sum(axis=1)) / 2).tolist()
    )


def test_the_same_row_is_explained_alike_whatever_it_is_asked_with(explained):
    _, folder, explain = explained("boosting")

    together = [each.values.tolist() for each in explain(ROWS)]

    alone = [load_contributions(folder)([row])[0].values.tolist() for row in ROWS]
    assert together == alone


def test_they_are_written_by_feature(explained):
    _, _, explain = explained("ridge", "estimation")
    (found, *_) = explain(ROWS)

    written = found.to_json(FEATURES)

    assert list(written) == ["method", "space", "base", "total", "contributions"]
    assert list(written["contributions"]) == list(FEATURES)
    assert written["base"] + sum(written["contributions"].values()) == pytest.approx(
        written["total"]
    )
