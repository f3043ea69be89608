"""This module writes HAProxy's configuration; it is pure.

It differs from what Ray writes for the same binary: nothing listens but the sockets that the
serving host opened and hands over, and commands come through a pair of sockets without a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serving._front_answers import MOST_BYTES, error_files
from serving.tls import CIPHERS

SLOTS = 512
"""Backends, each for one endpoint; all are there from the start, so that none needs a restart."""

MAP = "endpoints.map"
SETTLED = "/"
"""Key of the map that says that it is filled; no endpoint can be called so."""

_SERVER = (
    "check inter 1s fastinter 100ms downinter 200ms fall 3 rise 1 "
    "observe layer4 error-limit 1 on-error mark-down maxconn 512"
)
_TLS_13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """These are the sockets that HAProxy is given, as numbers of open files.

    Args:
        front: Where requests come in.
        commands: Where the host's commands come in.
        metrics: Where Prometheus asks; None when it may not.
    """

    front: int
    commands: int
    metrics: int | None


def slot(number: int) -> str:
    """Return the name of a backend."""
    return f"lane{number}"


def server_line(name: str, address: str) -> str:
    """Return a replica as HAProxy is told of it, at the start or later.

    A refused connection takes it out at once; it is back when its `/healthz` answers 200.
    """
    return f"{name} {address} {_SERVER}"


def configuration(
    sockets: Inherited,
    servers: Mapping[int, Mapping[str, str]],
    *,
    connections: int,
    tls: bool,
    client_ca: bool,
) -> str:
    """Return the configuration, for a process that starts in the folder of the front's files.

    Args:
        sockets: What it is given.
        servers: Replicas that are known already: number of the backend to name and address.
        connections: How many it may hold at a time, of clients.
        tls: Whether `front.pem` and `front.pem.key` are there, to receive requests with.
        client_ca: Whether `client-ca.pem` is, and clients have to show a certificate.
    """
    parts = [
        _beginning(sockets, connections),
        _frontend(sockets, tls=tls, client_ca=client_ca),
        "" if sockets.metrics is None else _metrics(sockets.metrics),
        *(_backend(number, servers.get(number, {})) for number in range(SLOTS)),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _beginning(sockets: Inherited, connections: int) -> str:
    errors = "\n".join(f"    errorfile {status} {name}" for status, name in error_files().items())
    return f"""global
    stats socket sockpair@{sockets.commands} level admin
    nbthread 1
    maxconn {connections}
    hard-stop-after 30s
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphers {CIPHERS}
    ssl-default-bind-ciphersuites {_TLS_13}

defaults
    mode http
    timeout connect 2s
    timeout check 5s
    timeout queue 5s
    timeout server 60s
    timeout client 15s
    timeout http-request 10s
    timeout http-keep-alive 75s
    option idle-close-on-response
    option abortonclose
    option http-no-delay
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
{errors}
"""


def _frontend(sockets: Inherited, *, tls: bool, client_ca: bool) -> str:
    bind = f"bind fd@{sockets.front}"
    if tls:
        bind += " ssl crt front.pem alpn h2,http/1.1"
    if client_ca:
        bind += " ca-file client-ca.pem verify required"
    json = "content-type application/json"
    return f"""frontend front
    {bind}
    acl of_an_endpoint path_beg /v1/
    http-request return status 200 {json} file well.json if {{ path /healthz }}
    http-request return status 404 {json} lf-file unknown-path.json unless of_an_endpoint
    http-request return status 413 {json} file too-large.json if {{ req.hdr_val(content-length) gt {MOST_BYTES} }}
    http-request set-var(txn.lane) path,field(3,/),map_str({MAP})
    acl known var(txn.lane) -m found
    acl settled str({SETTLED}),map_str({MAP}) -m found
    http-request return status 503 {json} file starting.json hdr retry-after 1 if !known !settled
    http-request return status 404 {json} lf-file unknown-endpoint.json if !known
    # a body that comes slowly waits here, not at a lane; what is whole can be asked again
    http-request wait-for-body time 10s
    # who asks is what the connection says, never what the request claims
    http-request del-header forwarded
    http-request set-header x-forwarded-for %[src]
    http-request set-header x-forwarded-proto {"https" if tls else "http"}
    # what broke off without an answer is asked again only where that changes nothing
    acl repeatable method GET HEAD
    # an outcome that is told of an entity goes to its last decision, whichever that is then
    acl of_an_entity req.body -m sub '"entity"'
    acl of_ids path_end /outcomes
    acl repeatable req.hdr(idempotency-key) -m found
    acl repeatable url_param(id) -m found
    acl repeatable req.body,json_query('$.id') -m found
    http-request disable-l7-retry unless repeatable or of_ids !of_an_entity
    use_backend %[var(txn.lane)]
"""  # noqa: E501  lines of HAProxy


def _metrics(number: int) -> str:
    return f"""frontend metrics
    bind fd@{number}
    http-request return status 404 content-type application/json lf-file unknown-path.json unless {{ path /metrics }}
    http-request set-query scope=global&scope=frontend&scope=server&no-maint
    http-request use-service prometheus-exporter
"""  # noqa: E501


def _backend(number: int, servers: Mapping[str, str]) -> str:
    lines = [
        f"backend {slot(number)}",
        "    balance leastconn",
        "    option httpchk GET /healthz",
        *(f"    server {server_line(name, at)}" for name, at in servers.items()),
    ]
    return "\n".join(lines)
