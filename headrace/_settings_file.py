"""This module reads `headrace.toml`, one of the two places that settings come from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from headrace.errors import ParameterError, UnknownNameError, did_you_mean

FILE_NAME = "headrace.toml"
PATHS_OF_TLS = (
    "serving_tls_certificate",
    "serving_tls_key",
    "serving_tls_client_ca",
    "client_ca",
)
_PATHS = ("home", "store", "project", *PATHS_OF_TLS)


class TomlFile(PydanticBaseSettingsSource):
    """This source reads `headrace.toml` and refuses keys that are no setting.

    Args:
        settings_cls: The settings, whose fields are the keys that are allowed.
        folder: Where the file is looked for.
    """

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_cls)
        self._path = folder / FILE_NAME

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Satisfy the interface; `__call__` reads all fields at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = self._path
        if not path.is_file():
            return {}
        known = self.settings_cls.model_fields.keys() - {"project"}
        values = _read_toml(path)
        unknown = [
            f"There is no setting '{key}' in {path}.{did_you_mean(key, known)}"
            for key in sorted(values.keys() - known)
        ]
        if unknown:
            raise UnknownNameError(
                " ".join(unknown), remedy=f"Correct or remove the name in {path}."
            )
        return {key: _from_folder(path.parent, key, value) for key, value in values.items()}


def lower_first(text: str) -> str:
    """Return a sentence of another library as the rest of one of ours."""
    return text[:1].lower() + text[1:].rstrip(".")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"{path} is not valid TOML: {lower_first(str(error))}.",
            remedy="Correct the file, or remove it to use the defaults.",
        ) from None


def _from_folder(folder: Path, key: str, value: Any) -> Any:
    """Return a path of `headrace.toml` as seen from the file's folder."""
    if key == "roots" and isinstance(value, list):
        return [folder / Path(str(part)).expanduser() for part in value]
    if isinstance(value, dict):
        return MappingProxyType(value)  # no dict, or it were mixed with that of the environment
    if key in _PATHS and isinstance(value, str) and "://" not in value:
        return str(folder / Path(value).expanduser())
    return value


def bundled_packages() -> tuple[Path, ...]:
    """Return the folders of our own packages, where they are installed."""
    folder = Path(__file__).parent.parent
    names = ("features", "operators", "serving", "flows")
    return tuple(folder / name for name in names if (folder / name / "__init__.py").is_file())
