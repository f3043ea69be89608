"""This module holds what both clients send and get: a request, as bytes too, and a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import SecretStr

from headrace.errors import ParameterError
from serving._client_places import Place

T = TypeVar("T")
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """This is what came back.

    Args:
        status: HTTP status.
        body: The whole body.
        headers: Names in small letters.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """This is one question to an endpoint; asked twice, it does what it does once.

    Args:
        method: GET or POST.
        path: From /v1 on, with its query.
        body: The body; None for none.
        read: Makes what is returned of an answer; raises what is wrong with it.
        headers: What belongs to this request only.
    """

    method: str
    path: str
    body: bytes | None
    read: Callable[[Reply], T]
    headers: Mapping[str, str] = field(default_factory=dict)


class Headers:
    """These are the headers of every request of one client; they never show its key.

    Args:
        key: The client's key; None sends none.

    Raises:
        ParameterError: The key is not one.
    """

    def __init__(self, key: SecretStr | None) -> None:
        self._key = key
        text = "" if key is None else key.get_secret_value()
        if key is not None and (not text or not text.isascii() or not text.isprintable()):
            raise ParameterError(
                f"A key is of letters, digits and signs; this one has {len(text)} characters, and "
                "one of them is none of these.",
                remedy="give the key as it was shown when it was made, without the end of a line.",
            )

    def __repr__(self) -> str:
        """Say whether there is a key, and not which."""
        return f"Headers(key={'none' if self._key is None else 'hidden'})"

    def write(self, place: Place, request: Request[T]) -> bytes:
        """Return a request as bytes."""
        body = request.body or b""
        lines = [f"{request.method} {place.prefix}{request.path} HTTP/1.1", f"host: {place.netloc}"]
        if self._key is not None:
            lines.append(f"authorization: Bearer {self._key.get_secret_value()}")
        if request.headers:
            lines += [f"{name}: {value}" for name, value in request.headers.items()]
        else:
            lines.append(f"content-type: {JSON}\r\naccept: {JSON}")
        lines.append(f"content-length: {len(body)}\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1") + body
