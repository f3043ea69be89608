"""This module compares the features of the newest decisions with those a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.errors import did_you_mean
from serving.rollout._drift_bins import counts_of_numbers, counts_of_texts, stability_index
from serving.rollout._drift_reference import NoReferenceError, reference_of
from serving.rollout._guard_rows import Look, names_in, numbers
from serving.rule_guardrails import FeatureDrift

if TYPE_CHECKING:
    import pyarrow as pa

_WEEK_US = 7 * 86_400_000_000
_MOST = 100_000

# The newest week, so that what changed lately is seen, and every hour and weekday is in it; of more
# than enough decisions those are taken that their ids chose.
_NEWEST = """
WITH ranked AS (
    SELECT id, epoch_us(decided_at) AS at_us, max(epoch_us(decided_at)) OVER () AS newest,
        row_number() OVER (ORDER BY epoch_us(decided_at) DESC, id) AS place
    FROM {copied}
), chosen AS (
    SELECT id FROM ranked WHERE at_us > newest - $week OR place <= $least
    ORDER BY md5(id), id LIMIT $most
)
SELECT {columns} FROM decisions d
WHERE d.id IN (SELECT id FROM chosen) AND {members} AND epoch_us(d.decided_at) <= $as_of
ORDER BY md5(d.id), d.id
"""


def drift_figures(look: Look, guardrail: FeatureDrift) -> dict[str, Any]:
    """Return the population stability index of each feature that a model takes.

    Args:
        look: The look.
        guardrail: Which features, and how many decisions at least.
    """
    model = look.subject
    try:
        reference = reference_of(model)
    except NoReferenceError as error:
        return {"why": str(error)}
    wanted = guardrail.features or tuple(reference)
    for name in wanted:
        if name not in reference:
            hint = did_you_mean(name, reference).rstrip(".")
            return {"why": f"{model} takes no feature '{name}'.{hint}"}
    table = _newest(look, wanted, guardrail)
    silent = [name for at, name in enumerate(wanted) if not _has_any(table, at)]
    if (
        table.num_rows and silent
    ):  # names are looked for only where no value tells that there is one
        known = names_in(look, ("texts", "features"))
        logged = {name for names in known.values() for name in names}
        for name in silent:
            if name not in logged:
                hint = did_you_mean(name, logged).rstrip(".")
                return {"why": f"the log has no feature '{name}'.{hint}"}
    found = [
        {"name": name, "psi": _index(reference[name], table, at)} for at, name in enumerate(wanted)
    ]
    return {"decisions": table.num_rows, "features": found}


def _has_any(table: pa.Table, at: int) -> bool:
    columns = (table.column(f"{kind}{at}") for kind in ("number", "text"))
    return any(column.null_count < len(column) for column in columns)


def _newest(look: Look, wanted: tuple[str, ...], guardrail: FeatureDrift) -> pa.Table:
    columns = ", ".join(
        f"features[$name{at}] AS number{at}, texts[$name{at}] AS text{at}"
        for at in range(len(wanted))
    )
    asked: dict[str, Any] = {f"name{at}": name for at, name in enumerate(wanted)}
    asked |= {"week": _WEEK_US, "least": guardrail.min_decisions, "most": _MOST}
    query = _NEWEST.replace("{columns}", columns).replace("{copied}", look.log.table)
    return look.read(query, whole=True, **asked)


def _index(bins: Mapping[str, Any], table: pa.Table, at: int) -> float:
    then = [*bins["counts"], bins["nulls"]]
    if "groups" not in bins:
        return stability_index(then, counts_of_numbers(bins, numbers(table, f"number{at}")))
    counted = table.column(f"text{at}").value_counts().to_pylist()
    now = {each["values"]: int(each["counts"]) for each in counted}
    return stability_index(then, counts_of_texts(bins, now))
