"""This module finds the feature views that there are, by name or by what they are about.

A view is found when a module without a leading underscore in a `features` folder under one of the
configured roots holds it in a global name. Nothing is registered by hand.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from features.on_demand import OnDemandView
from features.view import FeatureView
from headrace.errors import DefinitionError, UnknownNameError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Broken:
    """This is a module of views that could not be imported.

    Args:
        file: Where it lies.
        reason: What the import raised.
    """

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """These are the feature views that were found.

    Args:
        views: The views, by name.
        broken: Modules that could not be imported; their views are missing.
        on_demand: The on-demand views, by name.
    """

    views: tuple[FeatureView, ...]
    broken: tuple[Broken, ...] = field(default=())
    on_demand: tuple[OnDemandView, ...] = field(default=())

    def view(self, name: str) -> FeatureView:
        """Return a view by name.

        Raises:
            UnknownNameError: There is no such view; the message offers the nearest, and says
                which modules could not be read.
        """
        for view in self.views:
            if view.name == name:
                return view
        unread = "".join(f" {b.file} could not be imported: {b.reason}." for b in self.broken)
        raise UnknownNameError(
            f"There is no feature view '{name}'.{did_you_mean(name, [v.name for v in self.views])}"
            f"{unread}",
            remedy="Use the name of a view in a `features` folder under one of the roots "
            "in headrace.toml.",
        )

    def list(self) -> tuple[FeatureView, ...]:
        """Return all views, by name."""
        return self.views

    def search(self, text: str) -> tuple[FeatureView, ...]:
        """Return the views that mention every word of `text`, those that do so by name first.

        Looked at are name, description, owner, tags, entities and columns; case doesn't count.
        """
        words = text.lower().split()
        found = [v for v in self.views if all(word in _text(v) for word in words)]
        by_name = [v for v in found if all(word in v.name for word in words)]
        return (*by_name, *(v for v in found if v not in by_name))


def catalog(roots: Sequence[Path] | None = None) -> Catalog:
    """Find the feature views under the roots.

    Args:
        roots: Folders of packages; None takes those of the settings.

    Raises:
        DefinitionError: Two views have the same name.
        UnknownNameError: A view is replaced by one that does not exist.
    """
    from features._search_lifecycle import check_replacements
    from headrace.settings import settings

    found: dict[str, tuple[FeatureView | OnDemandView, str]] = {}
    broken = []
    for file in _modules(settings().roots if roots is None else roots):
        try:
            module = _import(file)
        except Exception as error:  # one user's broken file must not hide the others' views
            broken.append(Broken(file=_shown(file), reason=f"{type(error).__name__}: {error}"))
            continue
        for value in vars(module).values():
            if not isinstance(value, FeatureView | OnDemandView):
                continue
            known, where = found.setdefault(value.name, (value, _shown(file)))
            if known is not value:
                raise DefinitionError(
                    f"Two feature views are called '{value.name}': in {where} and in "
                    f"{_shown(file)}.",
                    remedy="Rename one of them.",
                )
    every = [found[name][0] for name in sorted(found)]
    check_replacements(every, broken)
    return Catalog(
        views=tuple(view for view in every if isinstance(view, FeatureView)),
        broken=tuple(broken),
        on_demand=tuple(view for view in every if isinstance(view, OnDemandView)),
    )


class _ByName:
    """This lets a parameter take a view or its name; pydantic asks it when the call is bound."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        def view_of(value: object) -> FeatureView:
            if isinstance(value, FeatureView):
                return value
            if not isinstance(value, str):
                raise PydanticCustomError("view", "a feature view or its name is needed")
            try:
                return catalog().view(value)
            except DefinitionError as error:
                reason = error.problem.rstrip(".")
                raise PydanticCustomError("view", "{reason}", {"reason": reason}) from error

        return core_schema.no_info_plain_validator_function(view_of)


# an operator that declares this receives the view itself, so that its code is part of the key
ViewOrName = Annotated[FeatureView | str, _ByName()]


def _text(view: FeatureView) -> str:
    parts = [view.name, view.description, view.owner, *view.tags]
    for entity in view.entities:
        parts += [entity.name, entity.column, entity.description]
    for column in view.columns:
        parts += [column.name, column.description]
    return " ".join(parts).lower()


# of our own package: Feast builds these from their names, and their import takes seconds
_STORES = {Path(__file__).with_name(name) for name in ("feast_offline.py", "feast_online.py")}


def _modules(roots: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for root in roots:
        folder = root if root.name == "features" else root / "features"
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith("_") and file.resolve() not in seen | _STORES:
                seen.add(file.resolve())
                yield file


def _import(file: Path) -> Any:
    names = [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # a root of the user's need not be installed
    module = importlib.import_module(".".join(names))
    loaded = getattr(module, "__file__", None)
    if loaded is None or Path(loaded).resolve() != file.resolve():
        raise ImportError(f"'{'.'.join(names)}' is already the module {loaded}")
    return module


def _shown(file: Path) -> str:
    return "/".join(file.parts[-2:])
