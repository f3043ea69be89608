"""A plan can be looked at: as a table, as Mermaid, as SVG and as JSON."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from benchmarks._plan_corpus import parts as p
from headrace import flow, map_over
from headrace.plan import Plan


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


def test_the_svg_is_a_document_with_a_box_for_each_node(plan: Plan):
    root = ElementTree.fromstring(plan.svg({"flights": "cached: <same> & sound"}))  # noqa: S314

    boxes = root.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == len(plan.nodes)


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
