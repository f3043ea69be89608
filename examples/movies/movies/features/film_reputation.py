"""This view holds how a film was rated; ratings may be pushed to it as they come."""

from __future__ import annotations

from datetime import timedelta

from features.view import FeatureView
from features.windows import Windows, count, mean, rate
from movies.features.entities import FILM, Given

QUARTER = timedelta(days=90)

film_reputation = FeatureView(
    name="film_reputation",
    entities=(FILM,),
    source=Given,
    compute=Windows(
        row_id="rating_id",
        aggregates=(
            count(over=(QUARTER, None), name="film_ratings"),
            mean("stars", name="film_stars"),
            rate("stars", at_least=4.0, name="film_likes"),
        ),
    ),
    stream=True,
    owner="movies",
    description="How often and how kindly a film was rated.",
    freshness=timedelta(days=1),
    tags=("ratings", "stream"),
)
