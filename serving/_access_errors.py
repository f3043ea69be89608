"""This module says why a lane doesn't let a request in; it never says a key."""

from __future__ import annotations

import math

from serving._request_errors import RequestError

_DONE = {"decide": "ask for decisions at", "outcomes": "tell outcomes to", "read": "look at"}


def unauthorized(came: str) -> RequestError:
    """Build the error for a request without a good key; it doesn't tell which part is wrong."""
    return RequestError(
        "unauthorized",
        f"The request came with {came}.",
        remedy="send the header 'Authorization: Bearer hr_…' with a key from whoever runs this; "
        "they make one with `headrace clients add`.",
    )


def forbidden(client: str, verb: str, endpoint: str) -> RequestError:
    """Build the error for a client without the right to do this."""
    return RequestError(
        "forbidden",
        f"The client '{client}' may not {_DONE[verb]} the endpoint '{endpoint}'.",
        remedy="ask whoever runs this for the right, or send the request to another endpoint.",
    )


def rate_limited(client: str, endpoint: str, per_second: float, wait: float) -> RequestError:
    """Build the error for a client that asks more often than it may.

    Args:
        client: Its name.
        endpoint: The endpoint.
        per_second: How often it may ask this replica, in requests a second.
        wait: After how many seconds there is room again.
    """
    error = RequestError(
        "rate_limited",
        f"The client '{client}' asks '{endpoint}' more often than it may: {per_second:g} requests "
        "a second at this replica.",
        remedy=f"send it again after {max(1, math.ceil(wait))} s, and less often.",
    )
    error.retry_after = max(1, math.ceil(wait))
    return error


def access_unknown(endpoint: str) -> RequestError:
    """Build the error for a lane that does not know yet who may ask it."""
    return RequestError(
        "starting",
        f"The endpoint '{endpoint}' does not know yet who may ask it.",
        remedy="send it again in a moment.",
    )
