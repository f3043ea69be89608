"""This view holds how a viewer rated lately; ratings may be pushed to it as they come."""

from __future__ import annotations

from datetime import timedelta

from features.view import FeatureView
from features.windows import Windows, count, distinct, last, mean, rate
from movies.features.entities import VIEWER, Given

HOUR, WEEK, QUARTER = timedelta(hours=1), timedelta(days=7), timedelta(days=90)

viewer_taste = FeatureView(
    name="viewer_taste",
    entities=(VIEWER,),
    source=Given,
    compute=Windows(
        row_id="rating_id",
        aggregates=(
            count(over=(HOUR, QUARTER), name="viewer_ratings"),
            mean("stars", over=(HOUR, None), name="viewer_stars"),
            rate("stars", at_least=4.0, over=QUARTER, name="viewer_likes"),
            last("stars", name="viewer_last_stars"),
            distinct("genre", over=WEEK, name="viewer_genres"),
        ),
    ),
    stream=True,
    owner="movies",
    description="How much, how kindly and how widely a viewer rated lately.",
    freshness=timedelta(days=1),
    tags=("ratings", "stream"),
)
