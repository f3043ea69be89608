"""What scoring processes ask for fits beside what others have, or is refused at once."""

from __future__ import annotations

import pytest

from headrace.capacity import Capacity
from headrace.errors import ParameterError, ServiceError
from serving.hop_room import require_room
from serving.lane.table import Hop
from serving.placement import Placement

HAS = Capacity(cores=2, memory=4 << 30, gpus=2)


@pytest.mark.parametrize(
    ("hop", "others"),
    [
        (None, []),
        (Hop(gpus=2.0), []),
        (Hop(gpus=0.5, replicas=4), []),
        (Hop(gpus=0.3, replicas=3), [Hop(gpus=1.0)]),
        (Hop(gpus=0.1, replicas=10), [Hop(gpus=0.1, replicas=10)]),
        (Hop(memory_mb=4096), [Hop(gpus=2.0)]),
    ],
)
def test_what_fits_is_let_through(hop, others):
    require_room("late", hop, others, HAS)


@pytest.mark.parametrize(
    ("hop", "others"),
    [
        (Hop(gpus=3.0), []),
        (Hop(gpus=1.0), [Hop(gpus=0.5, replicas=2), Hop(gpus=1.0)]),
        (Hop(gpus=1.0), [Hop(gpus=0.6, replicas=2)]),  # neither has a whole one left
        (Hop(gpus=0.6, replicas=3), []),  # two of them are more than one has
        (Hop(memory_mb=2048, replicas=2), [Hop(memory_mb=1)]),
    ],
)
def test_what_does_not_fit_is_refused(hop, others):
    with pytest.raises(ServiceError):
        require_room("late", hop, others, HAS)


def test_the_refusal_says_what_is_asked_for_and_what_there_is():
    with pytest.raises(ServiceError) as gpus:
        require_room("late", Hop(gpus=2.0, replicas=2), [Hop(gpus=0.5)], HAS)
    with pytest.raises(ServiceError) as none:
        require_room("late", Hop(gpus=0.5), [], Capacity(cores=2, memory=1 << 30, gpus=0))
    with pytest.raises(ServiceError) as memory:
        require_room("late", Hop(memory_mb=3000), [Hop(memory_mb=2000)], HAS)

    assert str(gpus.value) == (
        "Endpoint 'late' asks for 2 times 2 GPUs, but there are 2, and others have 0.5.\n"
        "  Fix: Give its placement fewer `gpus` or `scorers`, or say with the setting `gpus` how "
        "many there are."
    )
    assert none.value.problem == "Endpoint 'late' asks for 0.5 GPU, but there is none."
    assert memory.value.problem == (
        "Endpoint 'late' asks for 3,000 MB of memory for scoring, but there are 4,096 MB, of which "
        "others have 2,000."
    )


def test_more_than_one_gpu_is_whole_ones():
    with pytest.raises(ParameterError, match="`gpus` above 1 is a whole number"):
        Placement(gpus=1.5)
