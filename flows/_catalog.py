"""This module finds the flows under the configured roots, in files and in modules.

The flow `rollout` and those of labeling are of every installation: endpoints of a repository of
one's own are judged too, and people label for its loops.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from flows._roots import modules_with
from headrace.errors import DefinitionError, UnknownNameError
from headrace.workflow import Flow

AnyFlow = Flow[..., Any]

# Modules are read as text first, so that listing flows imports only those that define one.
_DECORATED = re.compile(r"^@flow\b", re.MULTILINE)


def find_flows() -> dict[str, AnyFlow]:
    """Return the flows of all roots by name, sorted, those of every installation among them.

    Raises:
        DefinitionError: Two flows have the same name, or a module cannot be imported.
    """
    found: dict[str, AnyFlow] = {}
    for module in modules_with(_DECORATED):
        for value in vars(module).values():
            if not isinstance(value, Flow) or value.module != module.__name__:
                continue
            other = found.setdefault(value.name, value)
            if other is not value:
                raise DefinitionError(
                    f"Two flows are called '{value.name}': in {other.module} and {value.module}.",
                    remedy="Rename one of them.",
                )
    from flows.label_collect import label_collect
    from flows.label_rest import label_rest
    from flows.label_round import label_round
    from flows.rollout import rollout

    for ours in (rollout, label_round, label_collect, label_rest):
        found.setdefault(ours.name, ours)
    return dict(sorted(found.items()))


def flow_named(name: str) -> AnyFlow:
    """Return a flow by its name, or from a file: "path/to/file.py" or "path/to/file.py:flow".

    Raises:
        UnknownNameError: There is no such flow; the message offers the nearest.
    """
    path, _, wanted = name.partition(":")
    if path.endswith(".py"):
        return _from_file(Path(path), wanted)
    flows = find_flows()
    if name in flows:
        return flows[name]
    raise UnknownNameError.of("flow", name, flows, remedy="List the flows with `headrace flows`.")


def _from_file(path: Path, wanted: str) -> AnyFlow:
    if not path.is_file():
        raise UnknownNameError(
            f"There is no file '{path}'.", remedy="Give the path of a Python file with a flow."
        )
    name = re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"'{path}' cannot be imported.", remedy="Give a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.absolute()))  # also for a body in a process of its own
    spec.loader.exec_module(module)
    flows = {k: v for k, v in vars(module).items() if isinstance(v, Flow) and v.module == name}
    if wanted and wanted in flows:
        return flows[wanted]
    if not wanted and len(flows) == 1:
        return next(iter(flows.values()))
    raise UnknownNameError.of(
        f"flow in '{path}' called", wanted, flows, remedy=f"Name one, as in '{path}:flow'."
    )
