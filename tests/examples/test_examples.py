"""Each example prints what its reader is promised, from the shell and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Run = Callable[..., str]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_the_first_flow_tests_one_model_and_computes_nothing_twice_from_wherever_it_is_started(
    run: Run,
):
    figures = dedent(
        """\
        tested on 2,700 parcels of 27 days
        auc: 0.85, between 0.83 and 0.86
        log_loss: 0.43, between 0.40 and 0.45
        """
    )

    first = run("examples/01_first_flow.py")
    second = run("examples/01_first_flow.py")
    command = ("-m", "flows._command.main", "run", "--local", "--json")
    third = json.loads(run(*command, "examples/01_first_flow.py"))

    assert first == figures + "8 nodes executed, 0 cached\n"
    assert second == figures + "0 nodes executed, 8 cached\n"
    assert (third["state"], {node["state"] for node in third["nodes"]}) == ("completed", {"cached"})


def test_point_in_time_shows_what_was_known_and_refuses_the_leak(run: Run):
    printed = run("examples/02_point_in_time.py")

    line = _line_of("examples/02_point_in_time.py", "return build(warnings_that_leak()")
    assert printed == dedent(
        f"""\
        early      decided at 08:05 knowing level nan
        first      decided at 09:00 knowing level 2.0
        corrected  decided at 12:05 knowing level 2.9
        too old    decided at 18:30 knowing level nan

        Flow 'examples_that_leak' has 1 problem:
        examples/02_point_in_time.py:{line}: leak: 'warnings_that_leak' → 'build.labels': \
Feature 'damage' of schema 'Leaking' is known at 'flooded_at', which is not the decision time \
'decided_at'.
          Fix: Declare `Col(role="feature", known_at="decided_at")` if it is known by then; else \
take the role away, or bring it in by a feature view.
          Fix: Correct the flow; nothing has run.
        """
    )


def test_conditions_skip_a_branch_and_partitions_run_one_by_one(run: Run):
    printed = run("examples/03_conditions_and_partitions.py")

    plan, enough, too_few = printed.split("\n\n")
    nodes = [line.split("  ")[0] for line in plan.splitlines()[2:]]
    assert nodes == [
        "sales",
        "enough_amounts",
        "by_month [when enough_amounts]",
        "total for each rows [when enough_amounts]",
        "apology [unless enough_amounts]",
    ]
    assert enough.splitlines() == [
        "at least 80%:",
        "  sales: executed",
        "  enough_amounts: executed",
        "  by_month: executed",
        "  total: executed",
        "  apology: skipped",
        "  2026-01: 30 EUR",
        "  2026-02: 5 EUR",
        "  2026-03: 7 EUR",
    ]
    assert too_few.splitlines() == [
        "at least 90%:",
        "  sales: cached",
        "  enough_amounts: executed",
        "  by_month: skipped",
        "  total: skipped",
        "  apology: executed",
        "  amounts for 80% only",
    ]


def test_every_example_has_a_test_here():
    named = Path(__file__).read_text(encoding="utf-8")

    untested = [path.name for path in EXAMPLES.glob("*.py") if f"examples/{path.name}" not in named]

    assert untested == []


def _line_of(file: str, text: str) -> int:
    lines = (EXAMPLES.parent / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)
