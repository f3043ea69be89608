"""A plan can be looked at: as a table, as Mermaid, as SVG and as JSON."""

from __future__ import annotations

import itertools
import json
import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._plan_corpus import parts as p
from headrace import flow, map_over
from headrace.plan import Plan
from headrace.plan.graph import Condition, Edge, Location, Node, Ref
from headrace.symbols import Symbol

_SVG = "{http://www.w3.org/2000/svg}"


def test_the_table_says_of_each_node_what_it_takes_and_makes(plan: Plan):
    table = plan.table({"flights": "cached", "fit": "would run: never ran"})

    lines = {line.split("  ")[0]: line for line in table.splitlines()}
    assert lines["flights"].endswith("cached")
    assert lines["fit"].split() == [
        *("fit", "train=parted.train_set;", "Model", "would", "run:", "never", "ran")
    ]
    below = table.splitlines()[table.splitlines().index(lines["fit"]) + 1]
    assert below.split() == ["validation=parted.validation_set"]
    assert "publish [when checked]" in lines
    assert "Unchecked until run:\n  anything → identified#2.rows" in table
    assert "nobody uses what 'identified' makes" in table


def test_problems_stand_below_the_table():
    @flow
    def wrong():
        return p.by_tail(p.flights())

    plan = wrong.plan()

    assert f"Problems (1):\n{plan.problems[0]}" in plan.table()


def test_mermaid_names_every_node_once_and_dashes_what_is_cached(plan: Plan):
    drawn = plan.mermaid({"flights": "cached"})

    assert drawn.startswith("flowchart TD\n")
    assert [drawn.count(f'["{node.path}"]') for node in plan.nodes] == [1] * len(plan.nodes)
    assert "classDef cached stroke-dasharray" in drawn
    assert "-. passed .->" in drawn
    assert "-. not passed .->" in drawn
    assert "-. unchecked .->" in drawn


def test_the_svg_shows_each_name_whole_with_what_a_run_would_do(plan: Plan):
    root = ElementTree.fromstring(plan.svg({"flights": "cached: <same> & sound"}))  # noqa: S314

    boxes = {box.findtext(f"{_SVG}text"): box for box in root.iter(f"{_SVG}g") if _is_node(box)}
    assert list(boxes) == [node.path for node in plan.nodes]
    flights = boxes["flights"]
    assert [text.text for text in flights.iter(f"{_SVG}text")] == [
        *("flights", "Table", "cached: <same> & sound")
    ]
    assert flights.findtext(f"{_SVG}title") == "flights: cached: <same> & sound"
    styles = {path: box.find(f"{_SVG}rect").get("class") for path, box in boxes.items()}
    assert [styles[path] for path in ("flights", "label", "publish")] == [
        "cached",
        "runs",
        "effect",
    ]


def test_the_svg_says_which_output_flows_and_on_which_condition(plan: Plan):
    root = ElementTree.fromstring(plan.svg())  # noqa: S314

    labels = {text.text for text in root.iter(f"{_SVG}text") if text.get("class") == "port"}
    assert labels == {"train_set", "validation_set", "passed", "not passed"}
    dashed = {
        line.findtext(f"{_SVG}title")
        for line in root.iter(f"{_SVG}path")
        if line.get("class") == "edge late" and line.find(f"{_SVG}title") is not None
    }
    assert "anything → identified#2, rows (unchecked until run)" in dashed
    assert "announce unless checked" in dashed


def test_the_svg_has_a_title_and_a_legend_of_what_occurs(plan: Plan):
    root = ElementTree.fromstring(plan.svg({"flights": "cached (run 1a2b3c4d)"}))  # noqa: S314

    headed = [text.text for text in root.findall(f"{_SVG}text")]
    assert headed == [
        "whole",
        "cached",
        "will run",
        "effect: changes something outside",
        "a condition, or unchecked until run",
    ]


def test_a_long_reason_is_cut_in_the_box_and_whole_in_the_tooltip(plan: Plan):
    reason = "will run: " + "the code of the function 'label' has changed since, " * 3
    root = ElementTree.fromstring(plan.svg({"fit": reason}))  # noqa: S314

    [box] = [b for b in root.iter(f"{_SVG}g") if b.findtext(f"{_SVG}text") == "fit"]
    told = [text.text for text in box.iter(f"{_SVG}text")][2:]
    assert told == ["will run: the code of the", "function 'label' has changed …"]
    assert box.findtext(f"{_SVG}title") == f"fit: {reason}"


def test_a_plan_of_nothing_is_drawn_too():
    plan = Plan(flow="nothing", parameters={}, seed=0, nodes=())

    root = ElementTree.fromstring(plan.svg())  # noqa: S314

    assert root.findtext(f"{_SVG}title") == "nothing"


@st.composite
def graphs(draw: st.DrawFn) -> Plan:
    """Plans of any shape: each node takes outputs of nodes before it, some on a condition."""
    here = Location(file="flow.py", line=1)
    nodes: list[Node] = []
    edges: list[Edge] = []
    for number in range(draw(st.integers(min_value=1, max_value=14))):
        path = f"{number}.{draw(st.text(max_size=12))}"
        sources = sorted(draw(st.sets(st.integers(0, number - 1), max_size=4))) if number else []
        slots = st.sampled_from(["result", "train_set", "a<&b"])
        refs = [Ref(node=nodes[source].path, slot=draw(slots)) for source in sources]
        conditions = refs[: draw(st.integers(0, 1))]
        inputs = {f"input{i}": (ref,) for i, ref in enumerate(refs)}
        symbol = Symbol(node=path, slot="result", kind=draw(st.sampled_from(["Table", "Report"])))
        nodes.append(
            Node(
                path=path,
                operator=None,
                inputs=inputs,
                outputs={f"result{i}": symbol for i in range(draw(st.integers(0, 5)))},
                location=here,
                conditions=tuple(Condition(ref=ref, expected=True) for ref in conditions),
            )
        )
        edges += [
            Edge(source=ref, target=path, input=name, checked=draw(st.booleans()))
            for name, (ref,) in inputs.items()
        ]
    return Plan(flow="any", parameters={}, seed=0, nodes=tuple(nodes), edges=tuple(edges))


@settings(max_examples=60, deadline=None)
@given(plan=graphs(), now=st.text(max_size=90))
def test_in_an_svg_no_two_boxes_overlap_and_no_line_runs_through_one(plan: Plan, now: str):
    document = plan.svg(dict.fromkeys((node.path for node in plan.nodes), now))

    root = ElementTree.fromstring(document)  # noqa: S314
    boxes = [_extent(box.find(f"{_SVG}rect")) for box in root.iter(f"{_SVG}g") if _is_node(box)]
    assert len(boxes) == len(plan.nodes)
    assert not [pair for pair in itertools.combinations(boxes, 2) if _overlap(*pair)]
    lines = [_curve(path) for path in root.iter(f"{_SVG}path") if path.get("marker-end")]
    through = [
        (box, piece)
        for line in lines
        for piece in itertools.pairwise(line)
        for box in boxes
        if _overlap(box, _around(*piece))
    ]
    assert not through


@settings(max_examples=60, deadline=None)
@given(plan=graphs())
def test_in_an_svg_each_line_goes_from_the_foot_of_a_box_to_the_head_of_the_next(plan: Plan):
    root = ElementTree.fromstring(plan.svg())  # noqa: S314

    boxes = [_extent(box.find(f"{_SVG}rect")) for box in root.iter(f"{_SVG}g") if _is_node(box)]
    number = {node.path: i for i, node in enumerate(plan.nodes)}
    wanted = {(number[e.source.node], number[e.target]) for e in plan.edges}
    lines = [_curve(path) for path in root.iter(f"{_SVG}path") if path.get("marker-end")]
    assert wanted == {(_at(boxes, line[0], 3), _at(boxes, line[-1], 1)) for line in lines}


@settings(max_examples=20, deadline=None)
@given(plan=graphs())
def test_the_same_plan_is_drawn_the_same(plan: Plan):
    assert plan.svg() == plan.svg()


def test_a_line_past_several_rows_keeps_clear_of_the_boxes_between():
    here = Location(file="flow.py", line=1)
    names = ["first", "second", "third", "fourth"]
    pairs = [*itertools.pairwise(names), ("first", "fourth")]
    nodes = tuple(Node(path=name, operator=None, location=here) for name in names)
    edges = tuple(
        Edge(source=Ref(node=a, slot="result"), target=b, input=a, checked=True) for a, b in pairs
    )
    plan = Plan(flow="chain", parameters={}, seed=0, nodes=nodes, edges=edges)

    root = ElementTree.fromstring(plan.svg())  # noqa: S314

    boxes = [_extent(box.find(f"{_SVG}rect")) for box in root.iter(f"{_SVG}g") if _is_node(box)]
    [past] = [
        p for p in root.iter(f"{_SVG}path") if "first → fourth" in p.findtext(f"{_SVG}title", "")
    ]
    beside = [x for x, y in _curve(past) if boxes[1][1] <= y <= boxes[2][3]]
    assert min(beside) > boxes[1][2] or max(beside) < boxes[1][0]


def _is_node(element: ElementTree.Element) -> bool:
    return element.get("class") == "node"


def _extent(rect: ElementTree.Element) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def _around(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float, float, float]:
    """The extent of a piece of a line; it has none sideways if it is vertical, so it gets a px."""
    return min(a[0], b[0]) - 0.5, min(a[1], b[1]), max(a[0], b[0]) + 0.5, max(a[1], b[1])


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return wide > 0.2 and high > 0.2  # coordinates are written to a tenth of a px


def _curve(path: ElementTree.Element) -> list[tuple[float, float]]:
    """Points along a path of M, L and C, close enough together to see what it touches."""
    points: list[tuple[float, float]] = []
    for command, written in re.findall(r"([MLC])([^MLC]+)", path.get("d", "")):
        numbers = [float(each) for each in written.split()]
        ends = list(zip(numbers[::2], numbers[1::2], strict=True))
        if command != "C":
            points += ends
            continue
        begin = points[-1]
        for step in range(1, 13):
            t = step / 12
            shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            points.append(
                tuple(
                    sum(s * p[i] for s, p in zip(shares, [begin, *ends], strict=True))
                    for i in (0, 1)
                )
            )
    return points


def _at(boxes: list[tuple[float, ...]], end: tuple[float, float], edge: int) -> int:
    """The box whose head (1) or foot (3) a line touches."""
    [box] = [
        i
        for i, box in enumerate(boxes)
        if abs(box[edge] - end[1]) < 0.2 and box[0] <= end[0] <= box[2]
    ]
    return box


def test_partitions_and_maps_are_shown_as_such():
    @flow
    def days():
        return map_over(p.checked, p.by_day(p.flights()))

    table = days.plan().table()

    assert "checked for each rows  rows=by_day   Partitions[Report]" in table
    assert "Partitions[Table] (7 columns)" in table


def test_the_json_can_be_written_and_holds_what_the_table_shows(plan: Plan):
    read = json.loads(json.dumps(plan.to_json({"fit": "cached"})))

    assert [node["path"] for node in read["nodes"]] == [node.path for node in plan.nodes]
    assert read["nodes"][-1]["now"] == "cached"
    assert read["pruned"] == ["identified"]
    assert {"from": "parted.train_set", "to": "fit", "input": "train", "checked": True} in read[
        "edges"
    ]
