"""Lives that are judged together are judged as each by itself."""

from __future__ import annotations

import numpy as np

from benchmarks import _guarded_lives
from benchmarks._guarded_lives import lived, looks
from serving.rule_guardrails import ErrorRate


def test_what_is_looked_up_for_all_lives_is_what_the_checks_say_of_each_at_every_look() -> None:
    guardrail = ErrorRate(max=0.01, alpha=0.05)
    schedule = _guarded_lives._Schedule(guardrail)
    together = lived(guardrail, 0.015, lives=6, seed=1)

    random = np.random.default_rng(1)
    failed_at = _guarded_lives._failures(0.015, 6, int(looks()[-1]), random)
    alone = []
    for life in failed_at:
        failures = np.searchsorted(life, schedule.at, side="right")
        broken = (at for at in range(0, 1_000, 10) if schedule.breaks(at, failures))
        some = next(broken, None)
        alone.append(-1 if some is None else int(schedule.at[some]))

    for fast, slow in zip(together.rolled_back.tolist(), alone, strict=True):
        # each tenth look is judged here: it cannot be found out earlier, nor much later
        assert fast > 0
        assert slow == -1 or 0 < fast <= slow < fast + 100 * 10


def test_nobody_is_rolled_back_who_never_fails_and_all_are_who_always_do() -> None:
    guardrail = ErrorRate(max=0.01)

    well = lived(guardrail, 1e-9, lives=3, seed=2)
    broken = lived(guardrail, 1.0 - 1e-9, lives=3, seed=3)

    assert well.rolled_back.tolist() == [-1, -1, -1]
    assert well.naive.tolist() == [False, False, False]
    assert broken.rolled_back.tolist() == [10, 10, 10]
    assert broken.naive.tolist() == [True, True, True]
