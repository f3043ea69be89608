"""This module makes Feast's registry name another folder, after a home was moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def relocate(folder: Path, *, old: Path, new: Path) -> int:
    """Rewrite where the rows of views lie, in the registry of a folder that nobody uses.

    Args:
        folder: The folder of `registry.db` for now: `features/` of a home.
        old: The folder of features that the registry names.
        new: The one that it is to name.

    Returns:
        How many views were rewritten.
    """
    from features.store import PROJECT, feature_store
    from headrace.settings import using_settings

    count = 0
    with using_settings(home=folder.parent):
        registry = feature_store().registry
        for view in registry.list_feature_views(PROJECT):
            source = view.batch_source
            if source is not None and _moved(source, old, new):
                registry.apply_data_source(source, PROJECT)
                registry.apply_feature_view(view, PROJECT)
                count += 1
        for service in registry.list_feature_services(PROJECT):
            sources = [each.batch_source for each in service.feature_view_projections]
            if any([_moved(each, old, new) for each in sources if each is not None]):
                registry.apply_feature_service(service, PROJECT)
    return count


def _moved(source: Any, old: Path, new: Path) -> bool:
    """Let a source lie in the new folder, and say whether it lay in the old one."""
    options = source.file_options
    if not Path(options.uri).is_relative_to(old):
        return False
    options.uri = str(new / Path(options.uri).relative_to(old))
    return True
