"""This module says where the bundle of a registered version lies: what a lane needs to score.

A bundle is written when a model is registered, by its digest; a small file beside says which
version is which digest, so that a lane is deployed without asking MLflow.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import UnknownNameError
from headrace.settings import settings

if TYPE_CHECKING:
    from headrace.artifacts import Model
    from operators.runtimes import RuntimeChoice


def bundle_folder(digest: str) -> Path:
    """Return where the bundle of a model lies."""
    return settings().home / "serving" / "models" / digest


def keep_bundle(model: Model, *, name: str, version: str) -> RuntimeChoice:
    """Write the bundle of a version, measure its runtimes and remember which version it is.

    An intact bundle is kept, with what was measured then.

    Raises:
        DataError: The written model does not answer as the trained one does.
    """
    from operators.bundle import write_bundle

    choice = write_bundle(bundle_folder(model.digest), model)
    path = _version_file(f"{name}/{version}")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps({"digest": model.digest}), encoding="utf-8")
    half.replace(path)
    return choice


def folder_of(ref: str) -> Path:
    """Return the bundle of a version.

    Args:
        ref: The version, as "name/3".

    Raises:
        UnknownNameError: It was not registered from here, so nothing is known to score it with.
    """
    try:
        digest = json.loads(_version_file(ref).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError):
        raise UnknownNameError.of(
            "registered version with a bundle to serve it from",
            ref,
            known_versions(),
            remedy="Register the model with the operator `register`, which measures and writes it.",
        ) from None
    return bundle_folder(digest)


def card_of(ref: str) -> Any:
    """Return the card of a version.

    Raises:
        UnknownNameError: It was not registered from here.
        DamagedArtifactError: Its bundle is not what was written.
    """
    from operators.bundle import read_card

    return read_card(folder_of(ref))


def known_versions() -> list[str]:
    """Return the versions that can be served, as "name/3"."""
    root = settings().home / "serving" / "versions"
    return sorted(str(p.relative_to(root).with_suffix("")) for p in root.glob("*/*.json"))


def _version_file(ref: str) -> Path:
    return settings().home / "serving" / "versions" / f"{ref}.json"
