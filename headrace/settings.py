"""This module holds the settings of one installation, and is the only reader of the environment.

A value comes from the first of these that has it: `HEADRACE_<NAME>` in the environment,
`headrace.toml` in the working directory or the nearest parent, the default. Relative paths are
taken from the folder of `headrace.toml` there, and from the working directory in the environment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from headrace._machine import operating_system_user, usable_processors
from headrace._settings_file import FILE_NAME, PATHS_OF_TLS, TomlFile, bundled_packages, lower_first
from headrace._settings_labeling import LabelingSettings
from headrace.addresses import address_of, is_loopback, port_after_mlflow, wrong_address
from headrace.errors import ParameterError, UnknownNameError

PREFIX = "HEADRACE_"
# what Feast's registry and the features for decisions may lie in, beside SQLite in the home
_FEATURES = {
    "features_registry_url": ("postgresql://", "postgresql+psycopg://"),
    "features_online_url": ("redis://", "rediss://", "postgresql://", "postgresql+psycopg://"),
}
_SECRETS = ("client_key", "label_studio_token")
_WEB = ("notify_url", "otlp_endpoint", "serving_front_url", "label_studio_url")
_Name = Annotated[str, Field(min_length=1)]
_Places = Annotated[int, Field(ge=1)]


class Settings(BaseSettings, LabelingSettings):
    """This is what one installation is told from outside: places, addresses, names, limits.

    Those of labeling are described where they are declared, in `LabelingSettings`.

    Attributes:
        project: Folder of `headrace.toml`; the working directory where there is none.
        home: Folder of all state; `var/` beside `headrace.toml`, else `~/.headrace`.
        store: Folder or fsspec URL of the artifacts; `store/` in `home`.
        database_url: SQLAlchemy URL of lineage and ledger; `headrace.db` in `home`.
        prefect_host: Interface the Prefect server listens on.
        prefect_port: Port the Prefect server listens on.
        prefect_url: Address of the Prefect server, without `/api`. Another address than that of
            host and port means a server that somebody else runs.
        mlflow_host: Interface the MLflow server listens on.
        mlflow_port: Port the MLflow server listens on.
        mlflow_url: Address of the MLflow server; likewise.
        roots: First-party packages, searched for flows, operators and feature views; what lies
            under them is read by the cache. Separated as in `PATH` in the environment.
        actor: Who is recorded as having done something; the user of the operating system.
        server_start_seconds: How long a service may take until it is healthy, in seconds.
        threads: Threads a training or query may use; the processors this process may use.
        gpus: GPUs that flows may use; those that the system shows by default.
        limits: Named limit to how many nodes may hold it at a time, over all runs; an operator
            names those it takes part in. JSON in the environment.
        decision_durability: What a logged decision outlives: "process", or also a loss of "power",
            for a wait for the disk in each batch of answers.
        slow_answer_ms: What takes a lane longer to answer than this, in milliseconds, is a line of
            its structured log.
        otlp_endpoint: Address, http or https, of an OpenTelemetry receiver to which lanes send
            traces over OTLP, without `/v1/traces`; none by default.
        trace_ratio: The share of decisions of which a trace is begun, 0 to 1. A trace that the
            caller keeps is gone on with, whatever this says.
        notify_url: Address, http or https, that Prefect calls when a run that the runner started
            fails or crashes; none by default.
        feast_ui: Whether `headrace up` starts Feast's page of features without being told to.
        feast_ui_host: Interface that page listens on.
        feast_ui_port: Port it listens on; the one after MLflow's by default.
        features_registry_url: SQLAlchemy URL of Feast's registry; `features/registry.db` in `home`
            by default, else on PostgreSQL.
        serving_front: What customers' requests come to: "off", each lane at a port of its own on
            loopback, or "haproxy", one address before all lanes.
        serving_front_host: Interface the front listens on.
        serving_front_port: Port it listens on; 0 for any that is free.
        serving_front_url: The address of the front that clients are told; from host and port by
            default.
        serving_front_metrics_port: Port on loopback where the front tells Prometheus; none by
            default.
        serving_tls_certificate: PEM file of the certificate, and of those above it, with which
            requests are received; plain HTTP without one.
        serving_tls_key: PEM file of its key.
        serving_tls_client_ca: PEM file of who signs the certificates that clients then have to
            show; none by default.
        serving_keys: Whether endpoints ask for keys: "required", "off", or "auto", which asks where
            the front listens beyond loopback.
        shared_models: Of the endpoints that share a process, how many have their models in memory
            at a time.
        judge_on_outcomes: Whether outcomes that complete a block have its comparison judged.
        client_key: Key that our client sends to endpoints; never shown.
        client_ca: PEM file of who signs the certificates of endpoints; those that the system
            trusts by default.
        features_online_url: Where features are read online: `redis://host:port/number` or
            `postgresql://user:password@host:port/database`; `features/online.db` in `home` by
            default.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    project: Path
    home: Path
    store: str
    database_url: str
    prefect_host: str = "127.0.0.1"
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    prefect_url: str
    mlflow_host: str = "127.0.0.1"
    mlflow_port: int = Field(default=5050, ge=1, le=65535)
    mlflow_url: str
    roots: Annotated[tuple[Path, ...], NoDecode]
    actor: str = Field(min_length=1)
    server_start_seconds: float = Field(default=180.0, gt=0)
    threads: int = Field(ge=1)
    gpus: int | None = Field(default=None, ge=0)
    limits: Annotated[dict[_Name, _Places], NoDecode] = Field(default_factory=dict)
    decision_durability: Literal["process", "power"] = "process"
    slow_answer_ms: float = Field(default=1000.0, gt=0)
    otlp_endpoint: str | None = None
    trace_ratio: float = Field(default=0.01, ge=0, le=1)
    notify_url: str | None = None
    feast_ui: bool = True
    feast_ui_host: str = "127.0.0.1"
    feast_ui_port: int = Field(ge=1, le=65535)
    features_registry_url: str | None = None
    features_online_url: str | None = None
    serving_front: Literal["off", "haproxy"] = "off"
    serving_front_host: str = Field(default="127.0.0.1", min_length=1)
    serving_front_port: int = Field(default=8700, ge=0, le=65535)
    serving_front_url: str | None = None
    serving_front_metrics_port: int | None = Field(default=None, ge=1, le=65535)
    serving_tls_certificate: Path | None = None
    serving_tls_key: Path | None = None
    serving_tls_client_ca: Path | None = None
    serving_keys: Literal["auto", "off", "required"] = "auto"
    shared_models: int = Field(default=8, ge=1)
    judge_on_outcomes: bool = True
    client_key: SecretStr | None = None
    client_ca: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before `headrace.toml`, and look nowhere else."""
        return init_settings, env_settings, TomlFile(settings_cls, _project_folder())

    @model_validator(mode="before")
    @classmethod
    def _fill_what_follows_from_other_values(cls, given: dict[str, Any]) -> dict[str, Any]:
        project = given.get("project") or _project_folder()
        default_home = Path(project, "var") if Path(project, FILE_NAME).is_file() else _own_home()
        home = Path(given.get("home") or default_home).expanduser().absolute()
        filled: dict[str, Any] = {
            "project": project,
            "home": home,
            "store": str(home / "store"),
            "database_url": _database_in(home),
            "prefect_url": address_of(cls, given, "prefect"),
            "mlflow_url": address_of(cls, given, "mlflow"),
            "roots": bundled_packages(),
            "threads": usable_processors(),
            "feast_ui_port": port_after_mlflow(cls, given),
        }
        if "actor" not in given:
            filled["actor"] = operating_system_user()
        return filled | given

    @field_validator("roots", mode="before")
    @classmethod
    def _split_like_path(cls, value: object) -> object:
        if isinstance(value, str):
            return [part for part in value.split(os.pathsep) if part]
        return value

    @field_validator("limits", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise PydanticCustomError("json", 'It is not valid JSON, such as {"a": 2}') from None

    @field_validator(*_SECRETS, mode="before")
    @classmethod
    def _show_no_key(cls, value: object) -> object:
        return value if value is None else SecretStr(str(value))  # no error quotes it then

    @field_validator(*PATHS_OF_TLS, mode="after")
    @classmethod
    def _make_file_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator(*_WEB, mode="after")
    @classmethod
    def _take_web_addresses_only(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^\s/]+", value):
            raise PydanticCustomError("address", "It is no address that begins with http or https")
        return value

    @field_validator("features_registry_url", "features_online_url", mode="after")
    @classmethod
    def _take_what_features_may_lie_in(cls, value: str | None, info: ValidationInfo) -> str | None:
        wrong = None if value is None else wrong_address(value, _FEATURES[str(info.field_name)])
        if wrong:
            raise PydanticCustomError("address", "{reason}", {"reason": wrong})
        return value

    @field_validator("roots", mode="after")
    @classmethod
    def _make_roots_absolute(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.expanduser().absolute() for path in value)

    @field_validator("project", "home", mode="after")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("store", mode="after")
    @classmethod
    def _make_folder_absolute(cls, value: str) -> str:
        return value if "://" in value else str(Path(value).expanduser().absolute())

    @field_validator("prefect_url", "mlflow_url", mode="after")
    @classmethod
    def _drop_path(cls, value: str) -> str:
        return value.rstrip("/").removesuffix("/api").rstrip("/")

    @property
    def prefect_api_url(self) -> str:
        """The address that Prefect's client is given."""
        return f"{self.prefect_url}/api"

    @property
    def runs_prefect(self) -> bool:
        """Whether the Prefect server is ours to start and stop."""
        return self.prefect_url == f"http://{self.prefect_host}:{self.prefect_port}"

    @property
    def runs_mlflow(self) -> bool:
        """Whether the MLflow server is ours to start and stop."""
        return self.mlflow_url == f"http://{self.mlflow_host}:{self.mlflow_port}"

    @property
    def asks_for_keys(self) -> bool:
        """Whether whoever asks an endpoint needs a key."""
        if self.serving_keys == "auto":
            return self.serving_front != "off" and not is_loopback(self.serving_front_host)
        return self.serving_keys == "required"

    @property
    def run_folder(self) -> Path:
        """The folder that says which of our services run."""
        return self.home / "run"

    @property
    def log_folder(self) -> Path:
        """The folder of what our services say."""
        return self.home / "logs"

    def as_environment(self) -> dict[str, str]:
        """Return the `HEADRACE_*` variables under which a child process has these settings."""
        # a key is no child's business: those that need it are given it as this process was
        values = self.model_dump(mode="json", exclude=set(_SECRETS)) | {
            "roots": os.pathsep.join(map(str, self.roots)),
            "limits": json.dumps(self.limits),
        }
        # what follows from other values is left out, so that the child may change those
        followed: dict[str, object] = {
            "store": str(self.home / "store"),
            "database_url": _database_in(self.home),
        }
        for service in ("prefect", "mlflow"):
            host, port = values[f"{service}_host"], values[f"{service}_port"]
            followed[f"{service}_url"] = f"http://{host}:{port}"
        followed["feast_ui_port"] = port_after_mlflow(type(self), values)
        return {
            PREFIX + name.upper(): str(value)
            for name, value in values.items()
            if value is not None and followed.get(name) != value
        }


_overrides: dict[str, Any] = {}
_loaded: Settings | None = None


def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        ParameterError: A value has the wrong type or range, or `headrace.toml` is no TOML.
        UnknownNameError: `headrace.toml` names something that is no setting.
    """
    global _loaded  # noqa: PLW0603  one value a process, read once
    if _loaded is None:
        _loaded = load_settings(**_overrides)
    return _loaded


@contextmanager
def using_settings(**changes: Any) -> Iterator[Settings]:
    """Change settings for a while, in all threads of this process; values nest.

    Args:
        **changes: Values by name of setting. What isn't named comes from the outer `using_settings`
            or from outside, and defaults follow (`store` lies in a changed `home`).
    """
    global _loaded, _overrides
    before = _overrides, _loaded
    changed = load_settings(**(_overrides | changes))
    _overrides, _loaded = _overrides | changes, changed
    try:
        yield changed
    finally:
        _overrides, _loaded = before


def load_settings(**changes: Any) -> Settings:
    """Read the settings anew from environment and file, with `changes` on top.

    Raises:
        ParameterError: A value has the wrong type or range, or `headrace.toml` is no TOML.
        UnknownNameError: `headrace.toml` or `changes` names something that is no setting.
    """
    for name in sorted(changes.keys() - Settings.model_fields.keys()):
        raise UnknownNameError.of(
            "setting", name, Settings.model_fields, remedy="Use the name of a setting."
        )
    try:
        return Settings(**changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        within = ".".join(str(part) for part in first["loc"] if part not in ("", "[key]"))
        raise ParameterError(
            f"The setting '{within}' is {first['input']!r}: {lower_first(first['msg'])}.",
            remedy=f"Correct it in {_where(name, changes)}.",
        ) from None


def inherited_environment() -> dict[str, str]:
    """Return a copy of this process's environment, for a child process to start from."""
    return dict(os.environ)


def _project_folder() -> Path:
    given = os.environ.get(PREFIX + "PROJECT")
    if given:
        return Path(given).expanduser().absolute()
    here = Path.cwd()
    return next((f for f in (here, *here.parents) if (f / FILE_NAME).is_file()), here)


def _database_in(home: Path) -> str:
    return f"sqlite:///{home / 'headrace.db'}"


def _own_home() -> Path:
    return Path("~/.headrace").expanduser()


def _where(name: str, changes: dict[str, Any]) -> str:
    if name in changes:
        return "the call"
    if os.environ.get(PREFIX + name.upper()):
        return f"the environment variable {PREFIX}{name.upper()}"
    return str(_project_folder() / FILE_NAME)
