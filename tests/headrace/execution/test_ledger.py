"""Who may enter: never more than there is, nobody waits for nothing, nobody is overtaken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.calls import Options
from headrace.capacity import Capacity
from headrace.execution.ledger import Demand, Holding, lacking, of_capacity, used
from headrace.execution.queue_text import duration_text, size_text, waiting_text

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HERE = Capacity(cores=4, memory=8_000, gpus=2, limits={"warehouse": 2, "licence": 1})

demands = st.builds(
    Demand,
    gpu=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 2.0]),
    memory=st.sampled_from([None, 1_000, 3_000, 8_000]),
    limits=st.sets(st.sampled_from(["warehouse", "licence"])).map(tuple),
).filter(lambda demand: bool(demand.scarce))


def queued(ticket: int, demand: Demand, *, state: str = "waiting", node: str = "") -> Holding:
    return Holding(
        ticket=ticket,
        state="holding" if state == "holding" else "waiting",
        run_id=f"{ticket:032x}",
        flow="flight_delay",
        node=node or f"node_{ticket}",
        demand=demand,
        since=NOON,
        pid=1,
        process_started=0.0,
    )


def let_in(queue: Sequence[Holding]) -> list[Holding]:
    """Return the queue after everybody who may enter has."""
    lacks = lacking(queue, HERE)
    return [
        replace(h, state="holding") if h.state == "waiting" and not lacks[h.ticket or 0] else h
        for h in queue
    ]


# What happens: somebody comes with a demand, or the one at that place in the queue leaves.
histories = st.lists(st.one_of(demands, st.integers(0, 20)), max_size=25)


def played(history: Sequence[Demand | int]) -> list[list[Holding]]:
    """Return the queue after each event, when everybody who may enter has."""
    queue: list[Holding] = []
    moments = []
    for number, event in enumerate(history, start=1):
        if isinstance(event, Demand):
            queue = [*queue, queued(number, event)]
        elif queue:
            queue = [h for at, h in enumerate(queue) if at != event % len(queue)]
        queue = let_in(queue)
        moments.append(queue)
    return moments


def has_room(holders: Sequence[Holding], demand: Demand, *, besides: Sequence[Holding]) -> bool:
    """Return whether a demand fits beside holders and those who came first."""
    claims = [*holders, *besides]
    return all(
        sum(h.demand.scarce.get(thing, 0) for h in claims) + wanted
        <= of_capacity(thing, HERE) + 1e-6
        for thing, wanted in demand.scarce.items()
    )


@given(histories)
def test_no_more_is_ever_held_than_there_is(history: list[Demand | int]):
    for queue in played(history):
        for thing, amount in used(queue).items():
            assert amount <= of_capacity(thing, HERE) + 1e-6


@given(histories)
def test_nobody_waits_where_there_is_room_beside_those_who_came_first(history: list[Demand | int]):
    for queue in played(history):
        holders = [h for h in queue if h.state == "holding"]
        waiting = [h for h in queue if h.state == "waiting"]
        for at, holding in enumerate(waiting):
            assert not has_room(holders, holding.demand, besides=waiting[:at])


@given(histories)
def test_whoever_enters_leaves_room_for_all_who_came_before_and_want_the_same(
    history: list[Demand | int],
):
    before: set[int | None] = set()
    for queue in played(history):
        entered = [h for h in queue if h.state == "holding" and h.ticket not in before]
        older = [h for h in queue if h.state == "holding" and h.ticket in before]
        for holding in entered:
            first = [h for h in queue if h.state == "waiting" and h.ticket < holding.ticket]
            others = [h for h in entered if h.ticket < holding.ticket]
            assert has_room([*older, *others], holding.demand, besides=first)
        before = {h.ticket for h in queue if h.state == "holding"}


@given(st.lists(demands, min_size=1, max_size=20))
def test_everybody_has_their_turn_when_holders_leave(wanted: list[Demand]):
    queue = let_in([queued(number, demand) for number, demand in enumerate(wanted, start=1)])
    turns = 0

    while queue:
        leaving = next(h for h in queue if h.state == "holding")  # there is always one
        queue = let_in([h for h in queue if h is not leaving])
        turns += 1

    assert turns == len(wanted)


def test_a_big_demand_is_not_overtaken_by_small_ones_that_want_the_same():
    queue = [
        queued(1, Demand(gpu=1), state="holding"),
        queued(2, Demand(gpu=2)),
        queued(3, Demand(gpu=0.5)),
        queued(4, Demand(limits=("licence",))),
    ]

    assert lacking(queue, HERE) == {2: ("gpu",), 3: ("gpu",), 4: ()}


def test_ten_tenths_of_a_gpu_fit_on_one():
    one = replace(HERE, gpus=1)
    queue = [queued(n, Demand(gpu=0.1), state="holding") for n in range(1, 10)]

    assert lacking([*queue, queued(10, Demand(gpu=0.1))], one) == {10: ()}
    assert lacking([*queue, queued(10, Demand(gpu=0.2))], one) == {10: ("gpu",)}


def test_cores_are_never_waited_for():
    assert Demand(cpu=1000).scarce == {}


def test_a_demand_is_what_the_decorator_declares():
    options = Options(cpu=2, gpu=0.5, memory="4GB", limits=("warehouse",))

    assert Demand.of(options) == Demand(cpu=2, gpu=0.5, memory=4_000_000_000, limits=("warehouse",))


def test_what_is_written_down_is_read_back():
    holding = queued(3, Demand(cpu=0.5, gpu=1, memory=10, limits=("warehouse",)))

    assert Holding.from_json(holding.to_json()) == holding


@pytest.mark.parametrize(
    ("demand", "others", "said"),
    [
        pytest.param(
            Demand(gpu=1),
            [queued(1, Demand(gpu=2), state="holding", node="train_torch")],
            "waits for 1 of 2 GPUs, held by run:00000000 'train_torch' (2 min)",
            id="a holder",
        ),
        pytest.param(
            Demand(gpu=1, limits=("licence",)),
            [
                queued(1, Demand(gpu=1, limits=("licence",)), state="holding", node="train_torch"),
                queued(2, Demand(gpu=1, memory=9), state="holding", node="tune"),
                queued(3, Demand(gpu=1)),
            ],
            "waits for the limit 'licence' and 1 of 2 GPUs, held by run:00000000 'train_torch' "
            "(2 min) and run:00000000 'tune' (2 min); 1 node comes first",
            id="two things and a queue",
        ),
        pytest.param(
            Demand(memory=5_000_000),
            [queued(n, Demand(memory=1_500), state="holding", node=f"n{n}") for n in range(1, 6)],
            "waits for 5MB of memory, held by run:00000000 'n1' (2 min), run:00000000 'n2' (2 min)"
            ", run:00000000 'n3' (2 min) and 2 more",
            id="many holders",
        ),
    ],
)
def test_who_waits_is_told_for_what_and_for_whom(demand: Demand, others: list[Holding], said: str):
    node = queued(9, demand)

    assert waiting_text(node, [*others, node], HERE, NOON + timedelta(seconds=130)) == said


def test_the_only_gpu_is_called_the_gpu():
    alone = replace(HERE, gpus=1)
    holder, node = queued(1, Demand(gpu=1), state="holding", node="tune"), queued(2, Demand(gpu=1))

    said = waiting_text(node, [holder, node], alone, NOON)

    assert said == "waits for the GPU, held by run:00000000 'tune' (0 s)"


def test_sizes_and_durations_are_told_in_their_largest_unit():
    assert [size_text(n) for n in (0, 999, 4e9, 1.26e10, 2e12)] == [
        "0B", "999B", "4GB", "12.6GB", "2TB",
    ]  # fmt: skip
    assert [duration_text(s) for s in (-1, 0.4, 59.9, 60, 7300, 90_000)] == [
        "0 s", "0 s", "59 s", "1 min", "2 h", "1 d",
    ]  # fmt: skip
