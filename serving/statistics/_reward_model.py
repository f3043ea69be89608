"""This module predicts the reward of actions by models that never saw the decision in question."""

from __future__ import annotations

import numpy as np

from serving.statistics._arrays import Numbers, Vector

_FOLDS = 5
_MOST = 20_000  # rows of a fit, evenly taken: more make it slower, and hardly better
_FEWEST = 40  # rewards of an action: below it its mean is told, not a model


def predicted_rewards(
    reward: Vector,
    action: Numbers,
    wanted: Numbers,
    *,
    features: Vector,
    block: Numbers,
    seed: int,
) -> tuple[Vector, Vector]:
    """Return what the taken and what the wanted actions were expected to earn, cross-fitted.

    Blocks are dealt to folds, a block to one fold whole; a fold's rewards are predicted by models
    that were fitted to the others, one model for each action. The same arguments give the same
    predictions.

    Args:
        reward: Of the taken actions, finite, `(n_rows,)`.
        action: The taken actions, `(n_rows,)`.
        wanted: The actions that are asked about, `(n_rows,)`.
        features: NaN for unknown values, `(n_rows, n_features)`.
        block: Number of each row's block, `(n_rows,)`.
        seed: Of the dealing.

    Returns:
        The predictions for taken and for wanted actions, `(n_rows,)` each. An action that nobody
        else took is predicted by the mean of all rewards of the other folds.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    names, place = np.unique(block, return_inverse=True)
    # the bit generator is named: numpy's default may change from version to version
    random = np.random.Generator(np.random.PCG64(seed))
    dealt = np.empty(names.size, dtype=np.int64)
    dealt[random.permutation(names.size)] = np.arange(names.size) % _FOLDS
    fold = dealt[place]
    taken_value, wanted_value = np.empty(reward.size), np.empty(reward.size)
    # several threads add up in whichever order they end; the last digits would differ
    with threadpool_limits(limits=1, user_api="openmp"):
        for number in np.unique(fold):
            held, others = fold == number, fold != number
            middle = float(reward[others].mean()) if others.any() else float(reward.mean())
            taken_value[held] = wanted_value[held] = middle
            for each in np.union1d(action[held], wanted[held]):
                fit = np.flatnonzero(others & (action == each))
                fit = fit[:: len(fit) // _MOST + 1]
                asked = held & ((action == each) | (wanted == each))
                if not fit.size:
                    continue
                expected = np.full(reward.size, np.nan)
                expected[asked] = _predicted(features[fit], reward[fit], features[asked])
                for actions, value in ((action, taken_value), (wanted, wanted_value)):
                    rows = asked & (actions == each)
                    value[rows] = expected[rows]
    return taken_value, wanted_value


def _predicted(features: Vector, reward: Vector, asked: Vector) -> Vector | float:
    told = np.isfinite(features).any(axis=0)  # of a feature that is never known, nothing is learnt
    features, asked = features[:, told], asked[:, told]
    if len(reward) < _FEWEST or not features.shape[1]:
        return float(reward.mean())
    if reward.min() == reward.max():
        return float(reward[0])
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=40, max_leaf_nodes=8, learning_rate=0.15, early_stopping=False, random_state=0
    )
    predicted: Vector = model.fit(features, reward).predict(asked)
    # no reward is expected beyond those that were seen
    return np.clip(predicted, reward.min(), reward.max())
