"""This module writes views and features for people: as a list, as hits, and one in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flows._command import _screen
from flows._command._feature_spark import spark

if TYPE_CHECKING:
    from features.search import Found, Hit

_WIDE = 60

NO_VIEWS = """There is no feature view yet.
  Add one: a file in a `features` folder under one of the roots in headrace.toml that holds a
  FeatureView in a global name. features/airport_weather.py of Headrace is a short one to copy, and
  docs/guide/features.md says what belongs in it."""


def write_list(views: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for each view."""
    rows = [
        [
            view["name"],
            view["stage"] if not view["replaced_by"] else f"deprecated, use {view['replaced_by']}",
            _about(view, "name"),
            len(view["columns"]),
            view["owner"],
            "on demand" if view["kind"] == "on demand" else freshness_in_words(view["freshness"]),
            shortened(view["description"]),
        ]
        for view in views
    ]
    heads = ["view", "stage", "about", "features", "owner", "freshness", "description"]
    _screen.write_table(heads, rows)


def write_hits(found: Found) -> None:
    """Write a line for each hit, with why it is one."""
    if not found.hits:
        _screen.write("Nothing matches. `headrace features list` shows all views.")
        return
    rows = [
        [
            hit.reference,
            " ".join(filter(None, [hit.dtype, hit.unit])) or "view",
            hit.owner,
            shortened(hit.description),
            why(hit),
        ]
        for hit in found.hits
    ]
    _screen.write_table(["feature", "type", "owner", "description", "why"], rows)
    if found.total > len(found.hits):
        _screen.write(f"{found.total - len(found.hits):,} more; --limit 0 shows all.")


def why(hit: Hit) -> str:
    """Return in words why something is a hit."""
    said = [
        f"{match.field}: {'like ' if match.how == 'alike' else ''}{match.met}" for match in hit.why
    ]
    if hit.missing:
        said.append(f"without {', '.join(hit.missing)}")
    if hit.stage != "active":
        instead = f", use {hit.replaced_by}" if hit.replaced_by else ""
        said.insert(0, f"{hit.stage}{instead}")
    return "; ".join(said)


def write_view(told: Mapping[str, Any]) -> None:
    """Write all that is known of a view; see `Shown.to_json`."""
    _head(told)
    _screen.write()
    rows = [_row(column) for column in told["columns"]]
    heads = ["feature", "type", "nulls", "over time", "mean", "distribution", "description"]
    _screen.write_table(heads, rows)
    unknown = all(column["profile"] is None for column in told["columns"])
    if unknown and told["kind"] == "view":
        _screen.write("Statistics come with the next publication of its rows.")
    _screen.write()
    write_users(told["usage"])


def write_column(told: Mapping[str, Any]) -> None:
    """Write all that is known of one feature."""
    _head(told)
    [column] = told["columns"]
    kind = " ".join(filter(None, [column["dtype"], column["unit"]]))
    _screen.write()
    _screen.write(f"{told['name']}:{column['name']}  {kind}, {column['sensitivity']}")
    if column["description"]:
        _screen.write(f"  {column['description']}")
    for name, text in _figures(column["profile"] or {}, told["rows"] or {}):
        _screen.write(f"  {name:<13} {text}")
    _screen.write()
    write_users(told["usage"])


def write_users(usage: Mapping[str, Any]) -> None:
    """Write who uses a view or feature; see `Usage.to_json`."""
    if not any(usage[kind] for kind in ("flows", "models", "endpoints")):
        _screen.write("Nobody is known to use it.")
        return
    _screen.write("Used by")
    rows = []
    for flow in usage["flows"]:
        last = f"run:{flow['last_run'][:12]} {flow['last_at'][:16].replace('T', ' ')}"
        count = f"{flow['runs']:,} run{'s' if flow['runs'] != 1 else ''}"
        rows.append(["flow", flow["flow"], f"{count}, last {last}", _chain(flow["operators"])])
    for model in usage["models"]:
        of = f"{len(model['values'])} of {model['features']} features"
        rows.append(["model", model["version"], of, worth(model["values"])])
    for endpoint in usage["endpoints"]:
        does = [f"answers with {endpoint['champion']}"] if endpoint["champion"] else []
        does += [f"compares {endpoint['challenger']}"] if endpoint["challenger"] else []
        read = f"v{endpoint['version']} in {endpoint['space']}"
        rows.append(["endpoint", endpoint["endpoint"], read, ", ".join(does) or "looks it up"])
    for kind, name, what, more in rows:
        width = max(len(row[1]) for row in rows)
        wide = max(len(row[2]) for row in rows)
        _screen.write(f"  {kind:<8}  {name:<{width}}  {what:<{wide}}  {more}".rstrip())


def _chain(operators: Sequence[str]) -> str:
    return shortened(", ".join(operators))


def worth(values: Sequence[Mapping[str, Any]]) -> str:
    """Return what features are worth to a model, in a line."""
    said = []
    for value in values[:4]:
        if value["loss"] is not None:
            ends = ""
            if value["low"] is not None and value["high"] is not None:
                ends = f" [{value['low']:.2g}, {value['high']:.2g}]"
            said.append(f"{value['feature']} {value['loss']:+.2g}{ends} loss without it")
        elif value["share"] is not None:
            said.append(f"{value['feature']} {value['share']:.1%} of importance")
        else:
            said.append(str(value["feature"]))
    more = f" and {len(values) - 4} more" if len(values) > 4 else ""
    return f"{'; '.join(said)}{more}"


def freshness_in_words(told: Mapping[str, Any]) -> str:
    """Return how fresh a view is."""
    state, target = told["state"], told["target_seconds"]
    if state == "no rows":
        return "not published"
    if state == "no target":
        return f"known {duration(told['age_seconds'])} ago"
    if state == "fresh":
        return f"fresh: {duration(told['age_seconds'])} of {duration(target)}"
    return f"stale by {duration(told['late_by_seconds'])}, target {duration(target)}"


def duration(seconds: float) -> str:
    """Return a duration in its greatest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def shortened(text: str) -> str:
    """Return a text that fits a column."""
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def _head(told: Mapping[str, Any]) -> None:
    published = told["published"]
    number = f"  v{published['number']}" if published else ""
    _screen.write(f"{told['name']}  {told['stage']}{number}")
    if told["stage"] == "deprecated":
        instead = f"Use {told['replaced_by']} instead" if told["replaced_by"] else "Do without it"
        _screen.write(f"  {instead}: headrace features show {told['replaced_by'] or 'VIEW'}")
    _screen.write(f"  {told['description']}")
    facts = [("owner", told["owner"]), ("about", _about(told, "name", "column"))]
    facts += [("tags", ", ".join(told["tags"])), ("read by", ", ".join(told["readers"]))]
    if told["kind"] == "view":
        facts += _of_rows(told)
    else:
        facts.append(("needs", ", ".join(told["needs"])))
    if not told["defined"]:
        facts.append(("defined", "not by the files of today"))
    for name, text in facts:
        if text:
            _screen.write(f"  {name:<11}  {text}")


def _of_rows(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts about the rows of a view: published, fresh, online."""
    published, online, cost = told["published"], told["online"], told["cost"]
    ttl = told["ttl_seconds"]
    facts = [("usable for", "ever" if ttl is None else f"{duration(ttl)} after its event")]
    if published and told["rows"]:
        rows = f"{told['rows']['rows']:,} rows of {told['rows']['entities']:,} entities"
        facts.append(("published", f"{rows}, at {_moment(published['published_at'])}"))
    elif published:
        facts.append(("published", f"{published['rows']:,} rows"))
    newest = told["freshness"]["newest_known"]
    known = f"; newest row known at {_moment(newest)}" if newest else ""
    facts.append(("freshness", f"{freshness_in_words(told['freshness'])}{known}"))
    if online and online.get("error"):
        facts.append(("online", online["error"]))
    elif online:
        until = f", until {_moment(online['until'])}" if online["until"] else ""
        facts.append(("online", f"{online['entities']:,} entities{until}"))
    elif published:
        facts.append(("online", f"no; `headrace features materialize {told['name']}`"))
    if cost:
        size = f", {cost['bytes_per_entity']:,} bytes an entity" if cost["bytes_per_entity"] else ""
        facts.append(
            (
                "1,000 reads",
                f"{cost['cpu_ms_per_1000']:g} ms CPU{size} ({cost['store']}, "
                f"measured {_moment(cost['measured_at'])})",
            )
        )
    return facts


def _about(view: Mapping[str, Any], *keys: str) -> str:
    """Return what a view is about, by name or by name and column."""
    if view["kind"] == "on demand":
        return "the request"
    named = [[str(entity[key]) for key in keys] for entity in view["entities"]]
    said = [name + "".join(f" ({each})" for each in rest) for name, *rest in named]
    return ", ".join(said) or "everybody"


def _row(column: Mapping[str, Any]) -> list[object]:
    profile = column["profile"] or {}
    kind = " ".join(filter(None, [column["dtype"], column["unit"]]))
    nulls = profile.get("null_rate")
    over_time = (profile.get("over_time") or {}).get("null_rate", ())
    mean = profile.get("mean", profile.get("share_true"))
    return [
        column["name"],
        kind,
        None if nulls is None else f"{nulls:.1%}",
        spark(over_time, most=1.0) if nulls else "",
        None if mean is None else f"{mean:.4g}",
        profile.get("hidden") or _distribution(profile),
        shortened(column["description"]),
    ]


def _distribution(profile: Mapping[str, Any]) -> str:
    if "top" in profile:
        return ", ".join(f"{t['value']} {t['share']:.0%}" for t in profile["top"][:2])
    bins = profile.get("histogram")
    return spark(bins["counts"]) if bins else ""


def _figures(profile: Mapping[str, Any], rows: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not profile:
        yield "statistics", "come with the next publication of its rows"
        return
    yield "values", f"{profile['count']:,}, {profile['distinct']:,} different"
    if profile["null_rate"] is not None:
        yield "nulls", f"{profile['null_rate']:.2%}"
    if "hidden" in profile:
        yield "hidden", profile["hidden"]
    for name in ("min", "mean", "std", "max", "share_true", "infinite"):
        if profile.get(name) is not None:
            value = profile[name]
            yield name.replace("_", " "), f"{value:g}" if isinstance(value, float) else f"{value}"
    if "quantiles" in profile:
        values = profile["quantiles"].items()
        yield "quantiles", ", ".join(f"{float(q):.0%} {_plain(v)}" for q, v in values)
    if "histogram" in profile:
        bins = profile["histogram"]
        ends = bins.get("edges") or bins["values"]
        yield "distribution", f"{_plain(ends[0])} {spark(bins['counts'])} {_plain(ends[-1])}"
    for top in profile.get("top", ()):
        yield "", f"{top['share']:6.1%}  {top['value']}"
    edges = rows.get("times", {}).get("edges") or ("", "")
    for name, figures in profile["over_time"].items():
        drawn = spark(figures, most=1.0) if name == "null_rate" else spark(figures, zero=False)
        yield f"{name.replace('_', ' ')}", f"{edges[0][:10]} {drawn} {edges[-1][:10]}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
