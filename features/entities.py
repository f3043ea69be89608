"""This module names what the bundled views are about; several views share an entity."""

from __future__ import annotations

from features.view import Entity

AIRPORT = Entity(
    name="airport", column="origin", description="Airport of departure, by its three-letter code."
)
CARRIER = Entity(name="carrier", column="carrier", description="Airline, by its two-letter code.")
TAIL = Entity(name="tail", column="tail", description="Aircraft, by its tail number.")
