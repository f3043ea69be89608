"""This process is a rater: it signs in to the labeling page and votes, one item after the other."""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from typing import Any
from urllib.parse import urlencode, urlsplit


def main() -> None:
    """Say that it is ready; at the word, vote and say how long each request took, as JSON."""
    url, task, rater, token, votes = sys.argv[1:]
    page = _Page(url)
    page.sign_in(token)
    sys.stdout.write(json.dumps({"ready": rater}) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    said: dict[str, Any] = {"next_ms": [], "vote_ms": [], "receipts": []}
    for n in range(int(votes)):
        took, given = page.timed(f"/api/tasks/{task}/next", {})
        said["next_ms"].append(took)
        lease = given["claim"]["lease"]
        body = {"lease": lease, "answer": "yes", "ms": 1, "request": f"request-{rater}-{n}"}
        took, answer = page.timed("/api/votes", body)
        said["vote_ms"].append(took)
        said["receipts"].append(answer["receipt"])
    sys.stdout.write(json.dumps(said) + "\n")


class _Page:
    """This is the page as a browser that keeps one connection sees it."""

    def __init__(self, url: str) -> None:
        self._host = str(urlsplit(url).netloc)
        self._connection = http.client.HTTPConnection(self._host, timeout=60)
        self._headers = {"Origin": url, "Content-Type": "application/json"}

    def sign_in(self, token: str) -> None:
        """Send the form with the token, and keep cookie and CSRF token."""
        cookies, form = self._ask("GET", "/sign-in")
        field = re.search(rb'name="form" value="([^"]*)"', form)
        if field is None:
            raise RuntimeError("The page has no form to sign in with.")
        self._headers["Cookie"] = cookies
        body = urlencode({"token": token, "form": field[1].decode()})
        form_type = {"Content-Type": "application/x-www-form-urlencoded"}
        signed, _ = self._ask("POST", "/sign-in", body.encode(), form_type)
        self._headers["Cookie"] = "; ".join(each for each in (cookies, signed) if each)
        _, session = self._ask("GET", "/api/session")
        self._headers["X-CSRF-Token"] = json.loads(session)["csrf"]

    def timed(self, path: str, body: Any) -> tuple[float, Any]:
        """Post and return the milliseconds until the whole answer was there, and the answer."""
        content = json.dumps(body).encode()
        began = time.perf_counter()
        _, answer = self._ask("POST", path, content)
        return (time.perf_counter() - began) * 1e3, json.loads(answer)

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> tuple[str, bytes]:
        self._connection.request(method, path, body, self._headers | (more or {}))
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 303):
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or ()]
        return "; ".join(cookies), content


if __name__ == "__main__":
    main()
