"""A follower in a process of its own, to be killed: it counts a few records a step, for ever."""

from __future__ import annotations

import json
import sys

from serving.lane import bandit_step
from serving.lane.bandit_outcomes import Learning
from serving.lane.table import LaneTable

bandit_step._BATCH = 7  # many transactions, so that a kill meets one
table = LaneTable.from_json(json.loads(sys.stdin.readline()))
learning = Learning.of(table)
assert learning is not None
follower = bandit_step.BanditFollower(table, learning)
while True:
    follower.step()
    counted = sum(each.number for each in follower.rewards.counts().values())
    sys.stdout.write(f"{counted}\n")
    sys.stdout.flush()
