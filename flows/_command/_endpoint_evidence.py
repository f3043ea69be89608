"""This module shows how the evidence on each challenger of an endpoint stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from textwrap import indent
from typing import Any

from flows._command import _screen
from flows._command._feature_spark import spark
from headrace.errors import HeadraceError
from serving.endpoints import Judgement
from serving.rollout.shown import shown_of

_MOST = 60  # characters of a line; the newest blocks


def write_evidence(judged: Mapping[str, Judgement]) -> None:
    """Write the newest verdict on each challenger.

    Args:
        judged: Challenger to the newest verdict on it.
    """
    for model, judgement in judged.items():
        _screen.write()
        _write_judgement(judgement)
        _write_lines(shown_of(judgement, model))


def _write_judgement(judgement: Judgement) -> None:
    from serving.rollout.assess import replay

    _screen.write(
        f"Verdict {judgement.number} of {judgement.at:%Y-%m-%d %H:%M:%S} UTC, for "
        f"{judgement.actor}:"
    )
    try:
        said = replay(judgement.trace).prose()
    except HeadraceError as error:
        said = f"It cannot be judged again. {error}"
    _screen.write(indent(said, "  "))


def _write_lines(shown: Mapping[str, Any]) -> None:
    """Write the advantage of each block and its lower bound as rows of characters."""
    blocks = [b for b in shown["blocks"] if isinstance(b.get("z"), float)][-_MOST:]
    if not blocks:
        return
    bounds = {bound.get("start"): bound for bound in shown["bounds"]}
    lowers = [bounds.get(block["start"], {}).get("lower") for block in blocks]
    name = f"{shown['block'] or 'block'}s"
    span = f"{_day(blocks[0])} to {_day(blocks[-1])}"
    _screen.write(f"  {name:<12} {spark([b['z'] for b in blocks], zero=False)}  {span}")
    known = [lower for lower in lowers if lower is not None]
    if known:
        # the highest character stands for 0, which the bound has to pass, until it has
        line = spark(_from_below(lowers), most=max(0.0, *known) - min(0.0, *known))
        wins = "above 0 to take over again" if shown["stage"] == "watch" else "above 0 to win"
        _screen.write(f"  bound        {line}  {known[-1]:.4g} now, and {wins}")


def _from_below(figures: Sequence[float | None]) -> list[float | None]:
    low = min([0.0, *(each for each in figures if each is not None)])
    return [None if each is None else each - low for each in figures]


def _day(block: Mapping[str, Any]) -> str:
    return f"{datetime.fromisoformat(block['start']):%Y-%m-%d}"
