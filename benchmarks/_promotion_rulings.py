"""This module has runs ruled on as a whole, look by look, to hold the fast way against it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks._promotion_days import Days, Flags
from benchmarks._promotion_nulls import MIN_BLOCKS
from serving.evidence import Block, DesignEffect, Evidence, Totals
from serving.rollout.assess import assess
from serving.rollout.gathered import Gathered
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.statistics.block_length import BlockLength, block_length

_FIRST = datetime(2013, 1, 1, tzinfo=UTC)
_COUNTED = ("decisions", "labelled", "censored", "paired", "shadow_errors", "shadow_missing")
_STATE = RolloutState(
    endpoint="simulated",
    generation=1,
    champion="simulated/1",
    challenger="simulated/2",
    experiment="e1",
    stage="shadow",
    share=0.0,
    design=None,
    began=_FIRST,
    since=_FIRST,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """This is how the fast way and whole rulings compare.

    Args:
        looks: How many looks were ruled on.
        differ: At how many of them the ruling is another one.
        too_short: At how many it was proof, and held because days are too much alike.
    """

    looks: int
    differ: int
    too_short: int


def agreement(days: Days, proofs: Flags, rule: Rule, *, runs: int) -> Agreement:
    """Rule on the first runs at every look, and compare with what the fast way found.

    A ruling promotes where there is proof and the days are not too much alike; nothing else can be
    wrong with simulated evidence.

    Args:
        days: With the blocks of those runs.
        proofs: Whether each look found proof, `(runs, looks)`.
        rule: What they are judged by.
        runs: How many runs, at most as many as have blocks.
    """
    looks = differ = too_short = 0
    for run, made in enumerate(days.blocks[:runs]):
        blocks = [
            dataclasses.replace(block, start=_FIRST + timedelta(days=day))
            for day, block in enumerate(made)
        ]
        for look, proof in enumerate(proofs[run]):
            seen = blocks[: MIN_BLOCKS + look]
            ruling = assess(rule, _gathered(rule, seen), _STATE)
            held = bool(proof) and bool(_length(seen).too_short)
            looks += 1
            too_short += held
            differ += (ruling.action == "promote") != (bool(proof) and not held)
    return Agreement(looks=looks, differ=differ, too_short=too_short)


def _length(blocks: list[Block]) -> BlockLength:
    return block_length(np.array([block.z for block in blocks], dtype=np.float64))


def _gathered(rule: Rule, blocks: list[Block]) -> Gathered:
    counted = {name: sum(getattr(block, name) for block in blocks) for name in _COUNTED}
    last = blocks[-1].start
    as_of = last + timedelta(days=1, hours=rule.label_window_hours)
    evidence = Evidence(
        experiment=_STATE.experiment,
        endpoint=_STATE.endpoint,
        champion=_STATE.champion,
        challenger=_STATE.challenger,
        rule=rule.hash,
        as_of=as_of,
        newest=last + timedelta(hours=23),
        totals=Totals(
            **counted,
            unusable=0,
            waiting=0,
            shadow_tried=counted["decisions"],
            shadow_failed=0,
            mixed=0,
        ),
        design=DesignEffect(
            requests=counted["paired"], effective=None, request_z=None, block_z=None
        ),
        blocks=tuple(blocks),
    )
    return Gathered(as_of=as_of, primary=evidence)
