"""This module says why an endpoint cannot be changed or waited for."""

from __future__ import annotations

from headrace.errors import ServiceError, UnknownNameError
from serving._endpoint_records import Change, Lane
from serving.routing import RoutingError, require_model


class OvertakenError(ServiceError):
    """This endpoint was changed by somebody else since it was looked at."""


def require_one_model(name: str, model: str, declared: str | None, *versions: str | None) -> None:
    """Refuse versions of another registered model: figures and aliases would mean two things.

    Args:
        name: The endpoint.
        model: The registered model whose versions it serves.
        declared: The registered model that a new spec names, if there is one.
        versions: Versions that are to be served, as "name/3".

    Raises:
        ParameterError: A version is not of that form.
        RoutingError: One is of another model.
    """
    of = [require_model(v).rpartition("/")[0] for v in versions if v is not None]
    for other in (declared, *of):
        if other not in (None, model):
            raise RoutingError(
                f"The endpoint '{name}' serves versions of '{model}', not of '{other}'.",
                remedy=f"Register the model as a version of '{model}', or serve it at an endpoint "
                "of its own.",
            )


def overtaken(last: Change, looked_at: int) -> OvertakenError:
    """Return the error for a change from a generation that is past."""
    name = last.after.endpoint
    return OvertakenError(
        f"The endpoint '{name}' is at generation {last.generation}, not {looked_at}: "
        f"{last.actor} made it so by '{last.action}' at {last.at:%Y-%m-%d %H:%M:%S} UTC.",
        remedy=f"Look at it again with `headrace endpoint show {name}`, then decide anew.",
    )


def no_judgement(number: int) -> UnknownNameError:
    """Return the error for a number that no verdict has."""
    return UnknownNameError(
        f"There is no verdict number {number}.",
        remedy="See the numbers with `headrace rules list ENDPOINT`.",
    )


def not_up(name: str) -> ServiceError:
    """Return the error for an endpoint that no host serves."""
    return ServiceError(
        f"Nothing serves the endpoint '{name}': the serving host does not run.",
        remedy="Start it with `headrace up`; it applies what is recorded.",
    )


def failed(name: str, lane: Lane) -> ServiceError:
    """Return the error for a lane that could not take a generation."""
    return ServiceError(
        f"The endpoint '{name}' cannot serve generation {lane.generation}: {lane.message}",
        remedy=f"Correct that, or go back with `headrace endpoint rollback {name}`.",
    )


def too_late(name: str, generation: int, seconds: float, lane: Lane | None) -> ServiceError:
    """Return the error for a lane that has not taken a generation in time."""
    seen = (
        "the serving host never reported on it"
        if lane is None
        else f"its lane is {lane.state} at generation {lane.generation}"
    )
    return ServiceError(
        f"The endpoint '{name}' does not answer with generation {generation} after {seconds:g} s: "
        f"{seen}.",
        remedy="Look at the service and its log with `headrace status`, or wait longer.",
    )
