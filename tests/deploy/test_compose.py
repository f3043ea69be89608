"""The deployment says what our command line and settings know; no container is started here."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from flows._command.main import app
from flows._services.definitions import services
from flows._services.foreground import service_to_become
from headrace.settings import PREFIX, Settings, load_settings

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
OURS = {name: each for name, each in COMPOSE["services"].items() if name != "machine"}


def as_settings() -> Settings:
    """The settings that the services' environment makes."""
    environment = COMPOSE["x-service"]["environment"]
    values = {
        name.removeprefix(PREFIX).lower(): re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        for name, value in environment.items()
    }
    return load_settings(**values)


def test_there_is_a_container_for_each_service_of_headrace_up():
    assert set(OURS) == {service.name for service in services(as_settings())}


@pytest.mark.parametrize("name", OURS)
def test_its_command_is_one_that_the_command_line_accepts(name: str):
    program, command, *words = OURS[name]["command"]
    group = typer.main.get_command(app)

    context = group.get_command(None, command).make_context(command, list(words))  # type: ignore

    assert program == "headrace"
    assert (context.params["only"], context.params["foreground"]) == ([name], True)


@pytest.mark.parametrize("name", OURS)
def test_its_health_is_asked_for_by_its_name(name: str):
    assert OURS[name]["healthcheck"]["test"] == [
        "CMD", "python", "-m", "flows._services.health", name,
    ]  # fmt: skip


def test_every_variable_is_a_setting():
    variables = set(COMPOSE["x-service"]["environment"])

    assert {name.removeprefix(PREFIX).lower() for name in variables} <= set(Settings.model_fields)
    assert {name for name in variables if not name.startswith(PREFIX)} == set()


def test_servers_listen_where_ports_are_published_and_are_known_by_the_published_address():
    of = as_settings()

    prefect = service_to_become("prefect", of)
    mlflow = service_to_become("mlflow", of)
    feast = service_to_become("feast", of)
    labels = service_to_become("labels", of)

    everywhere = COMPOSE["x-service"]["environment"]["HEADRACE_PREFECT_HOST"]
    for service in (prefect, mlflow):
        words = service.command or ()
        assert words[words.index("--host") + 1] == everywhere == ".".join("0000")
    assert (feast.host, feast.url) == (everywhere, "http://127.0.0.1:5051")
    assert (labels.host, labels.url) == (everywhere, "http://127.0.0.1:8600")
    assert prefect.environment["PREFECT_UI_API_URL"] == "http://127.0.0.1:4200/api"
    assert (prefect.url, mlflow.url) == ("http://127.0.0.1:4200", "http://127.0.0.1:5050")


def test_ports_are_published_on_loopback_only():
    published = [port for each in COMPOSE["services"].values() for port in each.get("ports", ())]

    assert published == [f"127.0.0.1:{port}:{port}" for port in (4200, 5050, 5051, 8600)]


def test_services_share_what_processes_of_one_machine_share():
    shared = {name: (each["network_mode"], each["pid"], each["ipc"]) for name, each in OURS.items()}

    assert set(shared.values()) == {("service:machine",) * 3}
    assert COMPOSE["services"]["machine"]["ipc"] == "shareable"
    assert COMPOSE["services"]["machine"]["init"] is True


def test_a_service_waits_for_those_that_it_needs():
    for service in services(as_settings()):
        waits = set(OURS[service.name]["depends_on"])
        assert set(service.needs) <= waits, service.name


def test_the_image_does_not_run_as_root():
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)

    assert users
    assert not {"root", "0"} & set(users)


def test_the_image_begins_with_an_official_one_for_our_python():
    assert re.findall(r"^FROM (.+)", DOCKERFILE, re.MULTILINE) == ["python:3.11-slim-bookworm"]


def test_what_the_image_copies_exists_and_reaches_the_build():
    ignore = (REPOSITORY / ".dockerignore").read_text().split()
    copied = [
        source
        for line in re.findall(r"^COPY (.+)", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert [source for source in copied if not (REPOSITORY / source).exists()] == []
    assert [source for source in copied if f"!{source}" not in ignore] == []
    assert [kept[1:] for kept in ignore if kept.startswith("!")] == copied
    assert not any(fnmatch.fnmatch("var", kept[1:]) for kept in ignore if kept.startswith("!"))


def test_the_image_has_every_package_and_the_pins():
    copied = {word for line in re.findall(r"^COPY (.+)", DOCKERFILE, re.MULTILINE)
              for word in line.split()[:-1]}  # fmt: skip

    assert {"headrace", "features", "operators", "serving", "flows"} <= copied
    assert {"pyproject.toml", "constraints.txt"} <= copied
    assert "-c constraints.txt -e ." in DOCKERFILE
