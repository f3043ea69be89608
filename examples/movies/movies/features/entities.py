"""This module names what the views are about, and what they are computed from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

from features.view import Entity
from headrace import Col, Schema

VIEWER = Entity(name="viewer", column="viewer", dtype="int", description="A person who rates.")
FILM = Entity(name="film", column="film", dtype="int", description="A film, by MovieLens' number.")


class Given(Schema, Protocol):
    """This is a rating as the views need it; known when it was given."""

    rating_id: str
    viewer: int
    film: int
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    genre: Annotated[str | None, Col(known_at="known_time")]
    stars: Annotated[float, Col(known_at="known_time", description="0.5 to 5")]
