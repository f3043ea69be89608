"""Which flows an installation has."""

from __future__ import annotations

from pathlib import Path

from flows._catalog import find_flows
from headrace.settings import using_settings

LABELING = {name: f"flows.{name}" for name in ("label_collect", "label_rest", "label_round")}
OWN = '''"""This flow judges nothing."""

from headrace import flow


@flow
def rollout() -> None:
    """Judge nothing."""
'''


def _root(folder: Path, name: str, **modules: str) -> Path:
    root = folder / name
    root.mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (root / f"{module}.py").write_text(text)
    return root


def test_endpoints_are_judged_and_people_label_where_there_is_no_flow_of_ones_own(
    tmp_path: Path,
) -> None:
    with using_settings(roots=(_root(tmp_path, "empty_shop"),)):
        found = find_flows()

    assert {name: flow.module for name, flow in found.items()} == {
        **LABELING,
        "rollout": "flows.rollout",
    }


def test_a_flow_of_ones_own_that_is_called_rollout_takes_its_place(tmp_path: Path) -> None:
    with using_settings(roots=(_root(tmp_path, "judging_shop", rollout=OWN),)):
        found = find_flows()

    assert {name: flow.module for name, flow in found.items()} == {
        **LABELING,
        "rollout": "judging_shop.rollout",
    }
