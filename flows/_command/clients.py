"""This module is `headrace clients`: who may ask endpoints, by which key."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from flows._command import _screen

_HELP = """Give programs keys to ask endpoints with, and take them away.

Lanes ask for keys where the setting serving_keys says so; by default when they can be reached
from other machines.

Example: headrace clients add shop --endpoint flight_delay --per-second 100
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

Name = Annotated[str, typer.Argument(help="The client, such as shop.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("list")
def list_clients(*, as_json: AsJson = False) -> None:
    """List the clients: what they may do, how often, and whether their key is good.

    Example: headrace clients list
    """
    from headrace.clock import current_clock
    from serving.api_clients import ApiClients

    clients, now = ApiClients().all(), current_clock().now()
    if as_json:
        _screen.write_json([client.shown() for client in clients])
        return
    if not clients:
        _screen.write(
            "There is no client yet; make one with `headrace clients add NAME --endpoint ENDPOINT`."
        )
        return
    _screen.write_table(
        ["client", "key", "endpoints", "may", "a second", "made by", "made at (UTC)", "state"],
        [
            [
                client.name,
                f"hr_{client.key_id}_…",
                ", ".join(client.endpoints),
                ", ".join(client.verbs),
                "any" if client.per_second is None else f"{client.per_second:g}",
                client.made_by,
                f"{client.made_at:%Y-%m-%d %H:%M}",
                _state(client, now),
            ]
            for client in clients
        ],
    )


@app.command("add")
def add(
    name: Name,
    *,
    endpoint: Annotated[
        list[str],
        typer.Option("--endpoint", help="An endpoint; `*` stands for any letters. Give several."),
    ],
    may: Annotated[
        list[str] | None,
        typer.Option("--may", help="decide, outcomes or read; all of them by default."),
    ] = None,
    per_second: Annotated[
        float | None, typer.Option("--per-second", help="Requests a second to an endpoint.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option("--burst", help="Requests at once, after a pause.")
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", help="For how many days the key is good.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a client and print its key, which is shown this once.

    Example: headrace clients add shop --endpoint flight_delay --may decide --per-second 100
    """
    from datetime import timedelta

    from headrace.clock import current_clock
    from serving.api_clients import VERBS, ApiClients

    expires = None if days is None else current_clock().now() + timedelta(days=days)
    key = ApiClients().add(
        name,
        endpoints=endpoint,
        verbs=may or VERBS,
        per_second=per_second,
        burst=burst,
        expires_at=expires,
    )
    _write_key(name, key.text, as_json=as_json)


@app.command("rotate")
def rotate(name: Name, *, as_json: AsJson = False) -> None:
    """Give a client a new key and print it; the old one is none from now on.

    Example: headrace clients rotate shop
    """
    from serving.api_clients import ApiClients

    _write_key(name, ApiClients().rotate(name).text, as_json=as_json)


@app.command("revoke")
def revoke(name: Name) -> None:
    """Take a client's key away; lanes refuse it within a second.

    Example: headrace clients revoke shop
    """
    from serving.api_clients import ApiClients

    ApiClients().revoke(name)
    _screen.write(f"The key of '{name}' is taken away.")


def _write_key(name: str, key: str, *, as_json: bool) -> None:
    if as_json:
        _screen.write_json({"client": name, "key": key})
        return
    _screen.write(f"The key of '{name}' is shown this once; it is kept nowhere:")
    _screen.write(f"  {key}")
    _screen.write("It goes into the header 'Authorization: Bearer …', or to Client(…, key=…).")


def _state(client: Any, now: datetime) -> str:
    if client.revoked_at is not None:
        return f"taken away {client.revoked_at:%Y-%m-%d %H:%M} by {client.revoked_by}"
    if not client.is_good(now):
        return f"expired {client.expires_at:%Y-%m-%d %H:%M}"
    return "good" if client.expires_at is None else f"good until {client.expires_at:%Y-%m-%d}"
