"""This module says what is wrong with what a flow declares of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from headrace.errors import ParameterError, did_you_mean


def explained(
    model: type[BaseModel], what: str, error: ValidationError, fields: Mapping[str, Any]
) -> ParameterError:
    """Return the error for fields that make no such declaration.

    Args:
        model: The declaration; the descriptions of its fields say what is expected.
        what: What people call it, such as "placement".
        error: What pydantic found.
        fields: What was given.
    """
    expected = {name: field.description or "" for name, field in model.model_fields.items()}
    problems: dict[str, str] = {}
    remedy = None
    for each in error.errors(include_url=False):
        field = str(each["loc"][0]) if each["loc"] else ""
        value = each["input"]
        if not field:
            shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
            problems[""] = f"{each['msg']} ({shown})."
        elif each["type"] == "extra_forbidden":
            hint = did_you_mean(field, expected)
            problems.setdefault(field, f"there is no field '{field}' (it is {value!r}).{hint}")
        elif each["type"] == "missing":
            problems.setdefault(field, f"field '{field}' is missing; expected {expected[field]}.")
            remedy = remedy or f"Set '{field}' to {expected[field]}."
        else:
            problems.setdefault(
                field,
                f"field '{field}' is {value!r} ({type(value).__name__}); expected "
                f"{expected.get(field, 'something else')}.",
            )
            remedy = remedy or f"Set '{field}' to {expected.get(field, 'something else')}."
    listed = list(problems.values())
    said = listed[0] if len(listed) == 1 else "".join(f"\n  - {each}" for each in listed)
    return ParameterError(
        f"The {what} is wrong: {said}",
        remedy=remedy
        or ("Give fields that fit together." if "" in problems else "Remove or rename the field."),
    )
