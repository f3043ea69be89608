"""Where Feast is told that its registry and online store lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from features._feast_config import online_config, registry_config
from headrace.errors import ParameterError
from headrace.settings import using_settings

SQLITE = {"type": "sqlite", "path": "online.db"}


def test_by_default_both_lie_in_the_home():
    config = registry_config(Path("/var/lib/registry.db"))

    assert config["path"] == "sqlite:////var/lib/registry.db"
    assert online_config(SQLITE) == SQLITE


def test_the_registry_on_postgresql_is_reached_with_the_installed_driver():
    with using_settings(features_registry_url="postgresql://me:pw@db.example/features"):
        config = registry_config(Path("unused"))

    assert config["path"] == "postgresql+psycopg://me:pw@db.example/features"
    assert config["serve_features_while_materializing"] is True


def test_redis_is_told_in_feasts_words_and_a_password_survives_them():
    from feast.infra.online_stores.redis import RedisOnlineStore

    url = "rediss://me:a%2Cb%3D%22%20%2F7@cache.example:6390/3"
    with using_settings(features_online_url=url):
        config = online_config(SQLITE)

    read = RedisOnlineStore._parse_connection_string(config["connection_string"])
    assert config["type"] == "redis"
    assert read == (
        [{"host": "cache.example", "port": "6390"}],
        {"db": 3, "ssl": True, "username": "me", "password": 'a,b=" /7'},
    )


@pytest.mark.parametrize(
    ("host", "sslmode"),
    [("127.0.0.1", "disable"), ("localhost", "disable"), ("db.example", "require")],
)
def test_postgresql_is_asked_for_tls_except_on_this_machine(host, sslmode):
    with using_settings(features_online_url=f"postgresql://me:p%40w@{host}/features"):
        config = online_config(SQLITE)

    assert config == {
        "type": "postgres",
        "host": host,
        "port": 5432,
        "database": "features",
        "user": "me",
        "password": "p@w",
        "sslmode": sslmode,
    }


def test_options_of_postgresql_are_passed_on_and_others_refused():
    url = "postgresql://me:pw@db.example/features?sslmode=verify-full&schema=online"
    with using_settings(features_online_url=url):
        config = online_config(SQLITE)
    with (
        using_settings(features_online_url=f"{url}&colour=red"),
        pytest.raises(ParameterError) as error,
    ):
        online_config(SQLITE)

    assert (config["sslmode"], config["db_schema"]) == ("verify-full", "online")
    assert str(error.value) == (
        "The setting 'features_online_url' has the option 'colour', which Feast's store on "
        "PostgreSQL cannot be told.\n"
        "  Fix: Remove it; there are sslmode, sslkey, sslcert, sslrootcert, schema."
    )


@pytest.mark.parametrize(
    ("setting", "url", "reason"),
    [
        pytest.param(
            "features_online_url",
            "http://cache",
            "it begins with none of redis://, rediss://, postgresql://, postgresql+psycopg://",
            id="another kind of store",
        ),
        pytest.param(
            "features_registry_url",
            "redis://cache",
            "it begins with none of postgresql://, postgresql+psycopg://",
            id="a registry in Redis",
        ),
        pytest.param("features_online_url", "redis:///0", "it names no host", id="no host"),
        pytest.param(
            "features_online_url",
            "redis://cache/live",
            "it names the database 'live'; those of Redis have numbers",
            id="a name in Redis",
        ),
        pytest.param(
            "features_online_url",
            "redis://cache:port",
            "it is no address: Port could not be cast to integer value as 'port'",
            id="no port",
        ),
        pytest.param(
            "features_online_url",
            "postgresql://me@db",
            "it names no database after the host",
            id="no database",
        ),
        pytest.param(
            "features_registry_url",
            "postgresql://db/features",
            "it names no user before the host",
            id="no user",
        ),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(setting, url, reason):
    with pytest.raises(ParameterError) as error, using_settings(**{setting: url}):
        pass

    assert str(error.value) == (
        f"The setting '{setting}' is '{url}': {reason}.\n  Fix: Correct it in the call."
    )
