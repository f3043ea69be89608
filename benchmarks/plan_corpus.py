"""This benchmark says what share of seeded mistakes a plan catches, and how many flows it wrongs.

A mistake counts as caught when the plan names the rule, the line, what is wrong and a remedy, and
reports nothing else. The baseline is what Prefect refuses of the same flows before a run: it
checks the types of a flow's parameters, and of nothing between tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks._plan_corpus import CORRECT, SEEDED, Case, cases, judged


def run() -> Iterator[dict[str, Any]]:
    """Judge every flow of the corpus."""
    seeded, right = cases(SEEDED), cases(CORRECT)
    missed = [case.name for case in seeded if judged(case)]
    refused = [case.name for case in right if judged(case)]
    by_prefect = sum(_refused_by_prefect(case) for case in seeded)
    value = 100.0 * (len(seeded) - len(missed)) / len(seeded)
    baseline = 100.0 * by_prefect / len(seeded)
    yield {
        "name": "plan_corpus",
        "value": value,
        "unit": "% caught",
        "baseline": "refused by Prefect's check of parameters",
        "baseline_value": baseline,
        "ratio": value / baseline if baseline else None,
        "higher_is_better": True,
        "goal": {"at_least": 100.0},
        "detail": {
            "seeded": len(seeded),
            "rules": sorted({case.rule or "flow parameter" for case in seeded}),
            "missed": missed,
            "correct": len(right),
        },
    }
    yield {
        "name": "plan_corpus.false_refusals",
        "value": len(refused),
        "unit": "flows",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": {"correct": len(right), "refused": refused},
    }


def _refused_by_prefect(case: Case) -> bool:
    import prefect
    from prefect.exceptions import ParameterTypeError, SignatureMismatchError
    from prefect.utilities.callables import get_call_parameters

    flow = prefect.flow(case.flow.body)
    try:
        flow.validate_parameters(get_call_parameters(case.flow.body, (), dict(case.arguments)))
    except (ParameterTypeError, SignatureMismatchError, TypeError):
        return True
    return False
