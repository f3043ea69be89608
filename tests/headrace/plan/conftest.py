"""Plans of small flows from the corpus' parts."""

from __future__ import annotations

import pytest

from benchmarks._plan_corpus import parts as p
from headrace import flow, otherwise, when


@flow
def whole(month: int = 1):
    """Label, split, fit; publish or announce; leave one node to nobody."""
    table = p.flights(month=month)
    train, validation, _ = p.parted(p.label(table))
    p.identified(table)
    report = p.checked(table)
    with when(report):
        p.publish(p.identified(p.anything()))
    with otherwise(report):
        p.announce(text="no flights")
    return p.fit(train, validation)


@pytest.fixture
def plan():
    return whole.plan()
