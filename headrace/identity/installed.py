"""This module finds the installed distribution behind a module, and what that depends on."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Installed(NamedTuple):
    """This is a distribution: its normalised name, its version, and the folder it lies in."""

    name: str
    version: str
    folder: str


# The caches below live as long as the process: a package that is upgraded under a running process
# goes on running as the version that was imported.


@cache
def owners(folder: str, module: str) -> frozenset[Installed]:
    """Return the distributions in a folder of packages that own a top-level module."""
    infos = _infos(folder)
    same_name = infos.get(_normal(module))
    if same_name is not None and module in _modules(same_name):
        return frozenset({_read(same_name)})
    return frozenset(_read(info) for info in _owners(folder).get(module, ()))


@cache
def with_dependencies(installed: Installed) -> frozenset[Installed]:
    """Return a distribution and all it requires, directly or not, as far as it is installed."""
    found: dict[str, Installed] = {}
    waiting: list[tuple[Installed, frozenset[str]]] = [(installed, frozenset())]
    done = set()
    while waiting:
        distribution, extras = waiting.pop()
        found[distribution.name] = distribution
        for name, wanted in _requirements(distribution, extras):
            required = _find(name, distribution.folder)
            if required is not None and (required, wanted) not in done:
                done.add((required, wanted))
                waiting.append((required, wanted))
    return frozenset(found.values())


def version_of(name: str) -> str:
    """Return the version of a distribution, or "source" when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "source"


@cache
def _requirements(
    installed: Installed, extras: frozenset[str]
) -> tuple[tuple[str, frozenset[str]], ...]:
    from packaging.requirements import InvalidRequirement, Requirement

    info = _infos(installed.folder)[installed.name]
    required = []
    for line in _required(info):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            # an old package may say what no resolver reads today: its name is still worth following
            match = re.match(r"[\w.-]+", line)
            if match:
                required.append((match[0], frozenset[str]()))
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            required.append((requirement.name, frozenset(requirement.extras)))
    return tuple(required)


def _find(name: str, folder: str) -> Installed | None:
    info = _infos(folder).get(_normal(name))
    if info is not None:
        return _read(info)
    return _find_anywhere(_normal(name))


@cache
def _find_anywhere(name: str) -> Installed | None:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = os.path.abspath(str(distribution.locate_file("")))
    info = _infos(folder).get(name)
    return None if info is None else _read(info)


@cache
def _infos(folder: str) -> dict[str, Path]:
    """Return the metadata folders of the distributions in `folder`, by normalised name."""
    found: dict[str, Path] = {}
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return found
    site = os.path.basename(folder) in ("site-packages", "dist-packages")
    for entry in entries:
        # beside source code, an egg-info only says that it is installed in place
        if entry.endswith(".dist-info") or (site and entry.endswith(".egg-info")):
            found[_normal(entry.rsplit(".", 1)[0].split("-")[0])] = Path(folder, entry)
    return found


@cache
def _owners(folder: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for info in _infos(folder).values():
        for module in _modules(info):
            found.setdefault(module, []).append(info)
    return found


@cache
def _modules(info: Path) -> frozenset[str]:
    """Return the top-level modules of a distribution."""
    distribution = importlib.metadata.Distribution.at(info)
    listed = distribution.read_text("top_level.txt")
    if listed:
        return frozenset(line.strip().split("/")[0] for line in listed.splitlines())
    record = distribution.read_text("RECORD") or ""
    tops = {line.partition(",")[0].partition("/")[0] for line in record.splitlines()}
    return frozenset(top.partition(".")[0] for top in tops)


@cache
def _read(info: Path) -> Installed:
    named, versions = _headers(info, "Name"), _headers(info, "Version")
    name = named[0] if named else info.name.split("-")[0]
    version = versions[0] if versions else importlib.metadata.Distribution.at(info).version
    return Installed(_normal(name), version, str(info.parent))


def _required(info: Path) -> Sequence[str]:
    if info.suffix == ".dist-info":
        return _headers(info, "Requires-Dist")
    return importlib.metadata.Distribution.at(info).requires or ()


def _headers(info: Path, name: str) -> list[str]:
    """Return the values of a header of the metadata; who asks for all waits for a mail parser."""
    found = re.findall(rf"^{name}:(.*(?:\n[ \t].*)*)", _head(info), re.MULTILINE | re.IGNORECASE)
    return [" ".join(value.split()) for value in found]


@cache
def _head(info: Path) -> str:
    """Return the headers of a distribution's metadata, without the description that follows."""
    distribution = importlib.metadata.Distribution.at(info)
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return text.partition("\n\n")[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
