"""This module talks to Label Studio: plain REST, with errors that say what is wrong."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.errors import DefinitionError, ServiceError

if TYPE_CHECKING:
    import httpx

TESTED = "1.23.2"
_OLDEST = (1, 23)
_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_PARTS_OF_JWT = 3
_SAID = 200
# said of an address that it is given, as if it had failed itself
_UNRESOLVED = "Can't resolve hostname"
_START = (
    "Start it (`label-studio start`), or put its address into HEADRACE_LABEL_STUDIO_URL; "
    "nothing was counted or lost."
)
_NEW_ACCESS = (
    "Copy a token of an account there, from Account & Settings, into HEADRACE_LABEL_STUDIO_TOKEN."
)


class MissingError(ServiceError):
    """This is not there in Label Studio, or not for the account of the token."""


class RefusedError(ServiceError):
    """This was refused by Label Studio: it answers, and does not do it."""

    def __init__(self, problem: str, *, remedy: str, status: int, said: str) -> None:
        super().__init__(problem, remedy=remedy)
        self.status, self.said = status, said


class Client:
    """This is one Label Studio, asked in the name of one account.

    Both sorts of tokens are taken: the legacy token, and the personal access token, for which a
    short-lived one is fetched as needed.

    Args:
        url: Its address.
        token: The token; it is sent to this address alone, and never shown.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token.strip()
        self._access = ""
        self._opened: httpx.Client | None = None
        if not self._token or not self._token.isascii() or not self._token.isprintable():
            raise DefinitionError(
                "The token of Label Studio holds characters that no token has.",
                remedy=_NEW_ACCESS,
            )

    def version(self) -> str:
        """Return its version, once it is sure that it is one we can work with.

        Raises:
            ServiceError: It does not answer, is no Label Studio, is too old or too new, or does not
                accept the token.
        """
        told = self.get("/api/version")
        release = told.get("release") if isinstance(told, dict) else None
        if not isinstance(release, str) or "label-studio-os-package" not in told:
            raise self._no_label_studio()
        numbers = tuple(int(part) for part in release.split(".")[:2] if part.isdecimal())
        if len(numbers) < len(_OLDEST) or numbers < _OLDEST or numbers[0] != _OLDEST[0]:
            raise ServiceError(
                f"Label Studio at {self._shown} is version {release}; versions from "
                f"{_OLDEST[0]}.{_OLDEST[1]} up to before {_OLDEST[0] + 1} are understood.",
                remedy=f"Install label-studio=={TESTED}, with which this was tested.",
            )
        self.get("/api/current-user/whoami")
        return release

    def get(self, path: str, **parameters: Any) -> Any:
        """Return what it answers to a question."""
        return self._answer("GET", path, parameters=parameters)

    def post(self, path: str, body: Any, **parameters: Any) -> Any:
        """Return what it answers to being told something."""
        return self._answer("POST", path, body=body, parameters=parameters)

    def patch(self, path: str, body: Any) -> Any:
        """Return what it answers to something being changed there."""
        return self._answer("PATCH", path, body=body)

    def delete(self, path: str) -> None:
        """Remove something there."""
        self._answer("DELETE", path)

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _answer(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Any:
        answer = self._send(method, path, body, parameters)
        if answer.status_code == 401 and self._is_jwt and self._access:
            self._access = ""  # it lives for minutes only
            answer = self._send(method, path, body, parameters)
        self._check(answer, f"{method} {path}")
        if answer.status_code == 204:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._no_label_studio() from None

    def _send(
        self, method: str, path: str, body: Any, parameters: Mapping[str, Any] | None
    ) -> httpx.Response:
        headers = {"Authorization": self._authorization()}
        return self._exchange(
            method, path, json=body, params=dict(parameters or {}), headers=headers
        )

    def _authorization(self) -> str:
        if not self._is_jwt:
            return f"Token {self._token}"
        if not self._access:
            answer = self._exchange("POST", "/api/token/refresh/", json={"refresh": self._token})
            self._check(answer, "POST /api/token/refresh/")
            self._access = str(answer.json()["access"])
        return f"Bearer {self._access}"

    @property
    def _is_jwt(self) -> bool:
        return self._token.count(".") == _PARTS_OF_JWT - 1

    def _exchange(self, method: str, path: str, **more: Any) -> httpx.Response:
        import httpx

        if self._opened is None:
            # neither a proxy nor a .netrc of the environment gets to see the token
            self._opened = httpx.Client(
                base_url=self.url,
                timeout=httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS),
                verify=ssl.create_default_context(),
                trust_env=False,
            )
        try:
            return self._opened.request(method, path, **more)
        except httpx.HTTPError as problem:
            raise ServiceError(
                f"Label Studio at {self._shown} does not answer ({type(problem).__name__}).",
                remedy=_START,
            ) from None

    def _check(self, answer: httpx.Response, asked: str) -> None:
        if answer.is_success:
            return
        status, said = answer.status_code, self._detail(answer)
        if status in (401, 403):
            does = "does not accept the token" if status == 401 else f"does not allow {asked}"
            raise RefusedError(
                f"Label Studio at {self._shown} {does} ({status}: {said}).",
                remedy=_NEW_ACCESS,
                status=status,
                said=said,
            )
        if answer.is_redirect:
            raise ServiceError(
                f"Label Studio at {self._shown} sends elsewhere "
                f"({status}, to {self._bare(answer.headers.get('location', ''))}).",
                remedy="Put the address at which it answers into HEADRACE_LABEL_STUDIO_URL.",
            )
        problem = f"Label Studio at {self._shown} answers {status} to {asked}: {said}."
        remedy = f"Look at its log; this was tested with version {TESTED}."
        if status == 404:
            raise MissingError(problem, remedy=remedy)
        if status == 400 or said.startswith(_UNRESOLVED):
            raise RefusedError(problem, remedy=remedy, status=status, said=said)
        raise ServiceError(problem, remedy=remedy)

    def _detail(self, answer: httpx.Response) -> str:
        try:
            told = answer.json()
        except ValueError:
            return "no JSON"
        problems = told.get("validation_errors") if isinstance(told, dict) else None
        detail = problems or (told.get("detail") if isinstance(told, dict) else told)
        return str(detail)[:_SAID].rstrip(".").replace(self._token, "…")

    def _no_label_studio(self) -> ServiceError:
        return ServiceError(
            f"What answers at {self._shown} is no Label Studio.",
            remedy="Put the address of Label Studio into HEADRACE_LABEL_STUDIO_URL.",
        )

    @property
    def _shown(self) -> str:
        return self._bare(self.url)

    @staticmethod
    def _bare(url: str) -> str:
        """Return an address without a name and password in it."""
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
