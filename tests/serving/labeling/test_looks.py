"""Colours that can be told apart, computed from the style sheet, and choices that have keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.labels.schema import LabelSchema
from serving.labeling.documents import guideline_blocks
from serving.labeling.keys import choices_with_keys
from serving.labeling.progress import share

FILES = Path(__file__).parents[3] / "serving" / "labeling" / "files"
TEXT = [
    ("text", "ground"), ("text", "card"), ("text", "chosen"), ("text", "alarm"),
    ("quiet", "ground"), ("quiet", "card"), ("on-accent", "accent"), ("accent", "card"),
    ("accent", "ground"), ("bad", "ground"), ("bad", "card"),
]  # fmt: skip
CONTROLS = [("edge", "card"), ("edge", "ground"), ("accent", "rule"), ("accent", "chosen")]


def _schemes() -> dict[str, dict[str, str]]:
    style = (FILES / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return {"light": found[0], "dark": found[1]}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_has_the_contrast_that_the_standard_says():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_four_and_a_half_and_controls_of_three(scheme: str):
    colours = _schemes()[scheme]

    low = {pair: _contrast(*(colours[name] for name in pair)) for pair in TEXT}
    lines = {pair: _contrast(*(colours[name] for name in pair)) for pair in CONTROLS}

    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    assert {pair: ratio for pair, ratio in lines.items() if ratio < 3} == {}


def test_no_document_has_a_script_or_a_style_of_its_own_or_anything_from_elsewhere():
    for page in FILES.glob("*.html"):
        text = page.read_text()
        assert re.findall(r"<script(?![^>]* src=)", text) == [], page.name
        assert re.findall(r"\sstyle=|\son\w+=|<style|https?://|\|\s*safe", text) == [], page.name


def test_no_script_reads_markup():
    for script in FILES.glob("*.js"):
        text = script.read_text()
        assert (
            re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text) == []
        )


def test_choices_have_keys_that_do_nothing_else_and_those_beyond_have_none():
    keyed = choices_with_keys(LabelSchema(choices=tuple(f"choice {n}" for n in range(40))))

    keys = [each["key"] for each in keyed]
    assert keys[:10] == list("1234567890")
    assert not {"s", "u", "?"} & set(keys)
    assert (len(keyed), keys[34:]) == (40, [""] * 6)


def test_a_guideline_has_paragraphs_and_lists():
    text = "First\nline\n\n- one\n- two\nafter\n\n\n- three\n"

    assert guideline_blocks(text) == [
        ("text", ["First", "line"]), ("list", ["one", "two"]), ("text", ["after"]),
        ("list", ["three"]),
    ]  # fmt: skip
    assert guideline_blocks(" ") == []


@pytest.mark.parametrize(
    ("done", "wanted", "percent"), [(0, 0, 0), (0, 9, 0), (999, 1000, 99), (7, 7, 100), (1, 3, 33)]
)
def test_all_is_done_only_when_it_is(done: int, wanted: int, percent: int):
    assert share(done, wanted) == percent
