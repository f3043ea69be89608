"""This module sorts what Feast asks for by view, and lets nobody read what is not theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import UnknownNameError

if TYPE_CHECKING:
    from feast.feature_view import FeatureView
    from feast.repo_config import RepoConfig


def features_asked(refs: Sequence[str]) -> dict[str, list[str]]:
    """Return the features asked of each view, by the name that Feast uses for it in references.

    Args:
        refs: The features, as "view:feature" or "view@vN:feature".
    """
    from feast.utils import _parse_feature_ref

    found: dict[str, list[str]] = {}
    for ref in refs:
        view, version, feature = _parse_feature_ref(ref)
        features = found.setdefault(view if version is None else f"{view}@v{version}", [])
        if feature not in features:
            features.append(feature)
    return found


def require_all_found(asked: dict[str, list[str]], views: Sequence[Any]) -> None:
    """Refuse references to views that are not there.

    Raises:
        UnknownNameError: Feast did not find a view; it would be left out of the result.
    """
    names = {view.projection.name_to_use() for view in views}
    for name in asked:
        if name not in names:
            raise UnknownNameError.of("feature view", name, names, remedy="Apply the view first.")


def require_readable(
    config: RepoConfig, asked: dict[str, list[str]], views: Sequence[FeatureView]
) -> None:
    """Refuse features of our published views that the running flow may not read.

    Args:
        config: A store in another folder than our home's has views of its own, nobody's here.
        asked: As `features_asked` returns it.
        views: The views, as Feast projects them.

    Raises:
        GrantError: The flow may not read a feature.
    """
    from features._versions import features_folder
    from features.access import require_views

    if Path(config.repo_path or ".").absolute() != features_folder().absolute():
        return
    wanted: dict[str, list[str]] = {}
    for view in views:
        projection: Any = view.projection
        number = projection.version_tag
        name = projection.name if number is None else f"{projection.name}@v{number}"
        wanted.setdefault(name, []).extend(asked.get(projection.name_to_use(), ()))
    require_views(wanted)
