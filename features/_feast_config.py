"""This module tells Feast where its registry and the online store lie, from the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from headrace.errors import ParameterError
from headrace.settings import settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# what may follow the question mark of an address of PostgreSQL, and Feast's name of it
_OPTIONS = {
    "sslmode": "sslmode",
    "sslkey": "sslkey_path",
    "sslcert": "sslcert_path",
    "sslrootcert": "sslrootcert_path",
    "schema": "db_schema",
}


def registry_config(file: Path) -> dict[str, Any]:
    """Return Feast's configuration of its registry.

    Args:
        file: The SQLite database that it lies in by default.
    """
    url = settings().features_registry_url
    config: dict[str, Any] = {
        "registry_type": "sql",
        "cache_ttl_seconds": 1,  # Feast takes 0 for never: it would miss what is published later
        # a version of a view has an online table of its own, of the same name as with us
        "enable_online_feature_view_versioning": True,
    }
    if url is None:
        return {**config, "path": f"sqlite:///{file}"}
    plain = url.replace("postgresql://", "postgresql+psycopg://", 1)
    # a server may have been started anew since the last use of a connection
    options = {"echo": False, "pool_pre_ping": True}
    return {
        **config,
        "path": plain,
        "sqlalchemy_config_kwargs": options,
        # others read features while one of them is being materialized
        "serve_features_while_materializing": True,
    }


def online_config(sqlite: dict[str, Any]) -> dict[str, Any]:
    """Return Feast's configuration of the online store.

    Args:
        sqlite: The configuration where no other store is set.

    Raises:
        ParameterError: The address has an option that Feast cannot be told.
    """
    url = settings().features_online_url
    if url is None:
        return sqlite
    parts = urlsplit(url)
    if parts.scheme.startswith("redis"):
        return {"type": "redis", "connection_string": _redis(parts)}
    config: dict[str, Any] = {
        "type": "postgres",
        "host": parts.hostname,
        "port": parts.port or 5432,
        "database": unquote(parts.path.removeprefix("/")),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        # Feast asks for TLS otherwise, which PostgreSQL on one's own machine seldom has
        "sslmode": "disable" if parts.hostname in _LOOPBACK else "require",
    }
    for name, value in parse_qsl(parts.query):
        if name not in _OPTIONS:
            raise ParameterError(
                f"The setting 'features_online_url' has the option '{name}', which Feast's store "
                "on PostgreSQL cannot be told.",
                remedy=f"Remove it; there are {', '.join(_OPTIONS)}.",
            )
        config[_OPTIONS[name]] = value
    return config


def _redis(parts: SplitResult) -> str:
    """Return an address in Feast's words: host:port,db=0,password=…, values as JSON."""
    said = [f"{parts.hostname}:{parts.port or 6379}"]
    told: dict[str, Any] = {"db": int(parts.path.removeprefix("/") or 0)}
    if parts.scheme == "rediss":
        told["ssl"] = True
    if parts.username:
        told["username"] = unquote(parts.username)
    if parts.password:
        told["password"] = unquote(parts.password)
    # Feast divides at commas, also within a password, and reads what is between them as JSON
    said += [f"{key}={json.dumps(value)}".replace(",", "\\u002c") for key, value in told.items()]
    return ",".join(said)
