from __future__ import annotations

import pytest

from headrace.errors import DataError
from headrace.testing import check_operator
from operators.runner_up import runner_up
from operators.select import select
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost


@pytest.fixture(scope="module")
def candidates(data):
    return [
        train_xgboost(data.train, data.validation, n_estimators=2),
        train_xgboost(data.train, data.validation, n_estimators=40),
        train_sklearn(data.train, data.validation, estimator="logistic_regression"),
    ]


@pytest.mark.parametrize(("metric", "lower_is_better"), [("log_loss", True), ("auc", False)])
def test_the_second_best_by_the_metric_is_taken(data, candidates, metric, lower_is_better):
    _, ranking = select(candidates, data.validation, metric=metric)

    second = runner_up(candidates, ranking)

    values = {m.card.metrics[metric]: m.digest for m in candidates}
    by_rank = [values[v] for v in sorted(values, reverse=not lower_is_better)]
    assert second.digest == by_rank[1]


def test_where_a_smaller_one_was_preferred_the_best_of_the_others_is_taken(data, candidates):
    chosen, ranking = select(candidates, data.validation, tolerance=1.0)

    second = runner_up(candidates, ranking)

    others = [m for m in candidates if m.digest != chosen.digest]
    assert second.digest == min(others, key=lambda m: m.card.metrics["log_loss"]).digest


def test_of_one_candidate_none_came_second(data, candidates):
    _, ranking = select(candidates[:1], data.validation)

    with pytest.raises(DataError) as refused:
        runner_up(candidates[:1], ranking)

    assert str(refused.value) == (
        "There is one candidate only, so none came second.\n"
        "  Fix: Train another candidate, or deploy without a challenger."
    )


def test_a_report_of_other_candidates_is_refused(data, candidates):
    _, ranking = select(candidates[:2], data.validation)

    with pytest.raises(DataError) as refused:
        runner_up(candidates, ranking)

    assert str(refused.value) == (
        "The report is not of these candidates.\n"
        "  Fix: Give the candidates and the report of one `select`."
    )


def test_it_keeps_what_every_operator_promises(data, candidates):
    _, ranking = select(candidates, data.validation)

    check_operator(runner_up, candidates, ranking)
