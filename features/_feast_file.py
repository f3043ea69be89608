"""This module writes `feature_store.yaml`, by which Feast's command line finds our registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_feast_file(store: Any) -> None:
    """Write what `feast -c` reads, so that Feast's command line sees what ours does.

    Args:
        store: Feast's store.
    """
    import yaml  # type: ignore[import-untyped]

    from features._files import atomically

    told = store.config.model_dump_json(by_alias=True, exclude={"repo_path"}, exclude_none=True)
    config = yaml.safe_load(told)
    text = yaml.safe_dump(config, sort_keys=False)
    head = "# Written by Headrace for Feast's command line: `feast -c FOLDER feature-views list`.\n"
    file = Path(store.config.repo_path) / "feature_store.yaml"
    if not file.is_file() or file.read_text("utf-8") != head + text:
        atomically(file, lambda path: _write_private(path, head + text))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)  # an address may hold a password
    path.write_text(text, "utf-8")
