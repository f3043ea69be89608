"""This module says how a request is refused: one error, and a constructor for each case of a lane.

What can be wrong with a field of a body has its constructors in `serving/_request_faults.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Self

import orjson

from headrace.errors import HeadraceError, did_you_mean
from serving._request_text import quoted, short, shown

Code = Literal[
    "not_http",
    "not_json",
    "too_large",
    "unknown_field",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "not_allowed",
    "unauthorized",
    "forbidden",
    "rate_limited",
    "unknown_endpoint",
    "unknown_entity",
    "unknown_decision",
    "outcome_conflict",
    "wrong_layout",
    "not_explained",
    "not_arrow",
    "method_not_allowed",
    "too_slow",
    "head_too_large",
    "too_many_connections",
    "internal",
    "unsupported_media_type",
    "features_unreadable",
    "log_unreadable",
    "log_unwritable",
    "model_failed",
    "model_unreachable",
    "on_demand_failed",
    "starting",
]
STATUS: Mapping[Code, int] = {
    "not_http": 400,
    "not_json": 400,
    "not_arrow": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown_endpoint": 404,
    "unknown_entity": 404,
    "unknown_decision": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "outcome_conflict": 409,
    "wrong_layout": 409,
    "not_explained": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "unknown_field": 422,
    "missing_field": 422,
    "wrong_type": 422,
    "out_of_range": 422,
    "not_allowed": 422,
    "rate_limited": 429,
    "head_too_large": 431,
    "internal": 500,
    "too_many_connections": 503,
    "model_failed": 500,
    "model_unreachable": 503,
    "on_demand_failed": 500,
    "features_unreadable": 503,
    "log_unreadable": 503,
    "log_unwritable": 503,
    "starting": 503,
}


class RequestError(HeadraceError):
    """This request is refused; the lane answers with its `status` and `to_json()`.

    Args:
        code: Which refusal it is: stable, for programs.
        problem: What is wrong, in whole sentences, for people.
        remedy: What the sender can do about it.
        field: Path of the field in the body, such as `entity.tail`; None for the whole body.
        expected: What would have been right.
        got: What came instead, as `shown` writes it.
    """

    fault = "data"

    def __init__(
        self,
        code: Code,
        problem: str,
        *,
        remedy: str,
        field: str | None = None,
        expected: str | None = None,
        got: str | None = None,
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.code = code
        self.status = STATUS[code]
        self.retry_after: int | None = 1 if self.status == 503 else None  # seconds
        self.field = field
        self.expected = expected
        self.got = got

    def to_json(self) -> bytes:
        """Return the body of the answer; what is not known of the error is left out of it."""
        error = {
            "code": self.code,
            "field": self.field,
            "expected": self.expected,
            "got": self.got,
            "message": self.problem,
            "remedy": self.remedy,
        }
        return orjson.dumps({"error": {k: v for k, v in error.items() if v is not None}})

    @classmethod
    def internal(cls, error: Exception) -> Self:
        """Build the error for what should not happen; the lane's log has more of it."""
        return cls(
            "internal",
            f"The lane failed at this request: {type(error).__name__}.",
            remedy="tell whoever runs this; the log of the lane says where.",
        )

    @classmethod
    def too_large(cls, size: int, limit: int) -> Self:
        """Build the error for a body of at least `size` bytes, over the limit."""
        return cls(
            "too_large",
            f"The body has {size:,} bytes or more; at most {limit:,} are read.",
            remedy="send less in one request.",
            expected=f"at most {limit:,} bytes",
            got=f"{size:,} bytes or more",
        )

    @classmethod
    def unknown_endpoint(cls, name: str, known: Iterable[str]) -> Self:
        """Build the error for an endpoint that isn't answered for here."""
        return cls(
            "unknown_endpoint",
            f"There is no endpoint {quoted(name)} at this address.{did_you_mean(name, known)}",
            remedy="run `headrace endpoint list` to see those there are, and where.",
            field="endpoint",
            expected="an endpoint that answers here",
            got=shown(name),
        )

    @classmethod
    def unknown_path(cls, path: str, known: Iterable[str]) -> Self:
        """Build the error for a path that a lane does not answer."""
        return cls(
            "unknown_endpoint",
            f"There is nothing at {quoted(path)}.{did_you_mean(path, known)}",
            remedy="send the request to a path of this endpoint; /openapi.json lists them.",
            field="path",
            expected="a path of this endpoint",
            got=shown(path),
        )

    @classmethod
    def method_not_allowed(cls, method: str, allowed: str, path: str) -> Self:
        """Build the error for a path that is there, but not for this method."""
        return cls(
            "method_not_allowed",
            f"{quoted(path)} answers {allowed}, got {short(method)}.",
            remedy=f"send the request as {allowed}.",
            field="method",
            expected=allowed,
            got=short(method),
        )

    @classmethod
    def unsupported_media_type(cls, got: str) -> Self:
        """Build the error for a body that says that it is something else than JSON."""
        return cls(
            "unsupported_media_type",
            f"The body must be application/json, got {quoted(got)}.",
            remedy="send JSON, with the header 'content-type: application/json'.",
            field="content-type",
            expected="application/json",
            got=shown(got),
        )

    @classmethod
    def unknown_entity(cls, view: str, keys: Mapping[str, Any]) -> Self:
        """Build the error for an entity without online features, where a lane insists on them.

        Args:
            view: The feature view.
            keys: The key columns of the view, with their values in the request.
        """
        named = " and ".join(f"{column} {short(repr(value))}" for column, value in keys.items())
        return cls(
            "unknown_entity",
            f"There are no online features of view '{view}' for {named}.",
            remedy=f"correct the key, materialize '{view}', or give its features in 'features'.",
            field=", ".join(f"entity.{column}" for column in keys),
            expected=f"an entity of view '{view}'",
            got=", ".join(shown(value) for value in keys.values()),
        )

    @classmethod
    def not_materialized(cls, view: str, number: int, space: str, keys: Mapping[str, Any]) -> Self:
        """Build the error for features of a view that is not online, or not whole yet.

        Args:
            view: The feature view.
            number: Number of the version that the lane reads.
            space: The online space that it reads.
            keys: The key columns of the view, with their values in the request.
        """
        live = space == "headrace"
        bring = (
            f"run `headrace features materialize {view}@v{number}`"
            if live
            else f"materialize '{view}' into space '{space}'"
        )
        return cls(
            "unknown_entity",
            f"View '{view}' is not materialized in the version v{number} that the endpoint reads"
            f"{'' if live else f' in space {quoted(space)}'}, so it has no online features yet.",
            remedy=f"{bring}, or give its features in 'features'.",
            field=", ".join(f"entity.{column}" for column in keys),
            expected=f"an entity of view '{view}'",
            got=", ".join(shown(value) for value in keys.values()),
        )

    @classmethod
    def future_features(cls, error: HeadraceError) -> Self:
        """Build the error for a decision at a moment that online features are ahead of."""
        return cls(
            "out_of_range",
            error.problem,
            remedy=error.remedy,
            field="at",
            expected="a moment that no online feature is ahead of",
            got="an earlier one",
        )

    @classmethod
    def unknown_decision(cls, identity: str) -> Self:
        """Build the error for an outcome of a decision that was never made here."""
        return cls(
            "unknown_decision",
            f"There is no decision {quoted(identity)} in the log of this endpoint, so no outcome "
            "of the request was recorded.",
            remedy="give the 'id' that the decision was answered with.",
            field="id",
            expected="the id of a decision of this endpoint",
            got=shown(identity),
        )

    @classmethod
    def outcome_conflict(cls, identity: str, has: float | None, got: float | None) -> Self:
        """Build the error for another value than the one that a decision's outcome has."""
        return cls(
            "outcome_conflict",
            f"The outcome of decision {quoted(identity)} has value {_value(has)}, got "
            f"{_value(got)}; no outcome of the request was recorded.",
            remedy='send it with "corrects": true if it takes the place of what was told before.',
            field="value",
            expected=f"{_value(has)}, as recorded",
            got=_value(got),
        )

    @classmethod
    def outcome_before_decision(
        cls, identity: str, known_at: datetime, decided_at: datetime
    ) -> Self:
        """Build the error for an outcome that was known before its decision was made."""
        return cls(
            "out_of_range",
            f"The outcome of decision {quoted(identity)} cannot have been known at "
            f"{known_at.isoformat()}: it was decided at {decided_at.isoformat()}.",
            remedy="give the moment when the outcome was known, or leave 'known_at' out for now.",
            field="known_at",
            expected=f"a moment from {decided_at.isoformat()} on",
            got=known_at.isoformat(),
        )

    @classmethod
    def features_unreadable(cls, error: HeadraceError) -> Self:
        """Build the error for an online store that cannot be read."""
        return cls(
            "features_unreadable",
            f"The online features cannot be read: {error.problem}",
            remedy=error.remedy,
        )

    @classmethod
    def log_unreadable(cls, error: HeadraceError) -> Self:
        """Build the error for a request whose earlier decision or outcome cannot be read."""
        return cls(
            "log_unreadable",
            f"What was logged of the decision cannot be read: {error.problem}",
            remedy=error.remedy,
        )

    @classmethod
    def log_unwritable(cls, error: HeadraceError) -> Self:
        """Build the error for what could not be logged, and so isn't answered."""
        return cls(
            "log_unwritable",
            f"Nothing is answered that is not logged, and the log cannot be written: "
            f"{error.problem}",
            remedy=error.remedy,
        )

    @classmethod
    def model_failed(cls, model: str, error: Exception) -> Self:
        """Build the error for a model, "name/3", that could not score the request."""
        reason = error.problem if isinstance(error, HeadraceError) else repr(error)
        return cls(
            "model_failed",
            f"The model '{model}' could not score the request: {reason}",
            remedy="see the lane's log; `headrace endpoint rollback` brings the model before back.",
        )

    @classmethod
    def on_demand_failed(cls, view: str, error: HeadraceError) -> Self:
        """Build the error for an on-demand view that could not be computed of the request."""
        return cls(
            "on_demand_failed",
            error.problem,
            remedy=f"give what view '{view}' computes in 'features' to decide without it. Its "
            f"owner: {error.remedy[:1].lower()}{error.remedy[1:]}",
        )

    @classmethod
    def starting(cls, endpoint: str) -> Self:
        """Build the error for a lane that has not loaded its models yet."""
        return cls(
            "starting",
            f"The endpoint '{endpoint}' is starting and has no model loaded yet.",
            remedy="try again in a second.",
        )


def _value(value: float | None) -> str:
    return "null" if value is None else repr(float(value))
