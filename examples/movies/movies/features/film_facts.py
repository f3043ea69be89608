"""This view holds what a film is: known when somebody first rates it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

from features.view import FeatureView
from headrace import Col, Schema
from movies.features.entities import FILM


class Described(Schema, Protocol):
    """This is a film as its ratings describe it."""

    film: int
    decided_at: Annotated[datetime, Col(role="event_time")]
    released: Annotated[int | None, Col(unit="year")]
    genre: str | None
    genres: int


class FilmFacts(Schema, Protocol):
    """This is what a film is."""

    released: Annotated[int, Col(unit="year", description="Year of its first showing.")]
    genre: Annotated[str, Col(description="The first genre that it is listed under.")]
    genres: Annotated[int, Col(description="How many genres it is listed under.")]


film_facts = FeatureView(
    name="film_facts",
    entities=(FILM,),
    source=Described,
    features=FilmFacts,
    # the listing is there before the first rating; ratings say only when somebody asked for it
    compute="""
        SELECT film, min(decided_at) AS event_time, min(decided_at) AS known_time,
            any_value(released ORDER BY decided_at) AS released,
            any_value(genre ORDER BY decided_at) AS genre,
            any_value(genres ORDER BY decided_at) AS genres
        FROM source GROUP BY film ORDER BY film
    """,
    owner="movies",
    description="Year and genres of a film.",
    tags=("films",),
)
