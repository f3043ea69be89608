"""This module tells Label Studio to call our labeling page when somebody answers, or no longer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headrace.errors import ServiceError
from headrace.labels.addresses import hook_path, hook_url
from headrace.labels.hooks import HEADER, Hook
from headrace.secret_keys import digest_of, is_secret, make_secret
from headrace.settings import Settings
from operators._label_studio_client import Client, MissingError, RefusedError

ACTIONS = (
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
)
_PATH = "/api/webhooks/"
_RESERVED = "reserved network address"


def wanted_url(of: Settings, batch: str) -> str | None:
    """Return the address that Label Studio is to call about a batch; None where it is not to."""
    return hook_url(of, batch) if of.label_studio_webhook else None


def is_arranged(known: Hook | None, url: str | None) -> bool:
    """Say whether Label Studio was told this address, or nothing, and did not refuse."""
    if known is None or url is None:
        return known is None and url is None
    return known.url == url and not known.refused


def arrange(
    client: Client, project: int, known: Hook | None, url: str, *, keep: Callable[[Hook], None]
) -> Hook:
    """Have Label Studio call an address about a project; what is as it should be stays.

    It is told to send no more than that something happened: the answers are fetched. Nothing that
    goes wrong here is raised, as answers are fetched without being called, too.

    Args:
        client: Label Studio.
        project: Number of the project.
        known: What it was told before.
        url: The address.
        keep: Writes down what it is about to be told; a call that comes before would be refused.

    Returns:
        What it was told, and whether it refused.
    """
    told = Hook(url=url, digest="" if known is None else known.digest)
    try:
        there = _ours(client, project, url)
        for each in there[1:]:  # of two that were made at once
            client.delete(f"{_PATH}{each['id']}/")
        if there and _is_as_told(there[0], told):
            return told
        secret = make_secret()
        told = Hook(url=url, digest=digest_of(secret))
        keep(told)
        _tell(client, project, there[0] if there else None, url, secret)
    except RefusedError as refusal:
        return Hook(url=url, refused=_explained(refusal, url))
    except ServiceError as problem:  # whether it was told is not known: its calls are taken
        return replace(told, refused=f"{problem.problem} {problem.remedy}")
    else:
        return told


def remove(client: Client, project: int, known: Hook) -> None:
    """Have Label Studio call no more about a project.

    Raises:
        ServiceError: It does not answer.
    """
    try:
        for each in _ours(client, project, known.url):
            client.delete(f"{_PATH}{each['id']}/")
    except (MissingError, RefusedError):
        return  # the project is no more, and its webhooks went with it


def _ours(client: Client, project: int, url: str) -> list[Mapping[str, Any]]:
    """Return the webhooks of a project that lead to its batch's path, the oldest first."""
    path = hook_path(url.rpartition("/")[2])
    listed = client.get(_PATH, project=project)
    ours = [w for w in listed if w["project"] == project and str(w["url"]).endswith(path)]
    return sorted(ours, key=lambda each: int(each["id"]))


def _is_as_told(there: Mapping[str, Any], told: Hook) -> bool:
    secret = str(there["headers"].get(HEADER, ""))
    same = {name: there[name] for name in _terms("")} | {"actions": sorted(there["actions"])}
    return same == _terms(told.url) and is_secret(secret, told.digest or None)


def _tell(
    client: Client, project: int, there: Mapping[str, Any] | None, url: str, secret: str
) -> None:
    body = _terms(url) | {"headers": {HEADER: secret}}
    if there is None:
        client.post(_PATH, body | {"project": project})
        return
    try:
        client.patch(f"{_PATH}{there['id']}/", body)
    except RefusedError:
        client.delete(f"{_PATH}{there['id']}/")  # it would go on calling where nobody listens
        raise


def _terms(url: str) -> dict[str, Any]:
    return {
        "url": url,
        "is_active": True,
        "send_payload": False,
        "send_for_all_actions": False,
        "actions": list(ACTIONS),
    }


def _explained(refusal: RefusedError, url: str) -> str:
    said = f"Label Studio refuses to call {url} ({refusal.status}: {refusal.said})."
    if _RESERVED not in refusal.said:
        return f"{said} Put an address that it can call into HEADRACE_LABELS_URL."
    return (
        f"{said} Put an address outside reserved networks into HEADRACE_LABELS_URL, or start Label "
        "Studio with SSRF_PROTECTION_ENABLED=false, which lets whoever has an account there make "
        "it ask any address of its network."
    )
