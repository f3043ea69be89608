"""This module reads what a client was told of the endpoint: by its caller, or by the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from headrace.settings import settings
from serving._client_finding import Finder
from serving._client_places import Places, place_of
from serving._client_trust import Trust
from serving._client_wire import Headers


@dataclass(frozen=True, kw_only=True)
class Told:
    """This is where an endpoint is asked, and as whom.

    Args:
        places: Where.
        finder: Finds them, where no address was given.
        headers: What every request says; has the key.
        trust: How TLS is spoken.
    """

    places: Places
    finder: Finder
    headers: Headers
    trust: Trust


def told(
    endpoint: str,
    *,
    url: str | None,
    key: str | SecretStr | None,
    ca: str | Path | None,
    certificate: str | Path | None,
) -> Told:
    """Return what a client was told; what its caller does not say, the settings do.

    Raises:
        ParameterError: The key or the address is not one.
    """
    of = settings()
    secret = SecretStr(key) if isinstance(key, str) else key or of.client_key
    places = Places(None if url is None else place_of(url))
    return Told(
        places=places,
        finder=Finder(endpoint, places),
        headers=Headers(secret),
        trust=Trust(
            of.client_ca if ca is None else Path(ca),
            None if certificate is None else Path(certificate),
        ),
    )
