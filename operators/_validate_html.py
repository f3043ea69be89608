"""This module shows a quality report as one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #1c2430;
  background: #fff; padding: 0 1rem; }
h1 { font-size: 1.3rem; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #dde3ea;
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.passed { color: #176639; } .failed { color: #a1261b; font-weight: 600; }
code { font-size: .9em; background: #f2f4f7; padding: 0 .2em; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { color: #e4e9f0; background: #14181e; }
  th, td { border-color: #333c48; } code { background: #232a33; } .passed { color: #6fcf97; }
  .failed { color: #ff8a7d; } }
"""


def quality_page(document: Mapping[str, Any]) -> str:
    """Return the page for a report's document."""
    failed = sum(not check["passed"] for check in document["checks"])
    total = len(document["checks"])
    verdict = (
        f'<span class="passed">passed all {total} checks</span>'
        if document["passed"]
        else f'<span class="failed">failed {failed} of {total} checks</span>'
    )
    title = escape(f"Data quality: {document['suite']}")
    rows = "\n".join(_row(check) for check in document["checks"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{document["rows"]:,} rows {verdict}.</p>
<table>
<thead><tr><th scope="col">Verdict</th><th scope="col">Check</th><th scope="col">Found</th>
<th scope="col">Examples</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{_second_opinion(document)}
</body>
</html>
"""


def _row(check: Mapping[str, Any]) -> str:
    verdict = "passed" if check["passed"] else "failed"
    if "measured" in check:
        found = "none" if check["measured"] is None else f"{check['measured']:,.6g}"
    else:
        found = f"{check['wrong']:,} wrong of {check['of']:,}"
    examples = "<br>".join(
        "<code>" + escape(", ".join(f"{k}: {v}" for k, v in e.items())) + "</code>"
        for e in check["examples"]
    )
    return (
        f'<tr><td class="{verdict}">{verdict}</td><td>{escape(check["says"])}</td>'
        f'<td class="number">{found}</td><td>{examples}</td></tr>'
    )


def _second_opinion(document: Mapping[str, Any]) -> str:
    report = document.get("great_expectations")
    if not report:
        return ""
    if "error" in report:
        return f"<p>great-expectations gave no report: <code>{escape(report['error'])}</code></p>"
    rows = "\n".join(
        f'<tr><td class="{"passed" if r["success"] else "failed"}">'
        f"{'passed' if r['success'] else 'failed'}</td><td><code>{escape(r['expectation'])}</code>"
        f"</td><td><code>{escape(str(r['arguments']))}</code></td>"
        f"<td><code>{escape(r['exception'] or str(r['result']))}</code></td></tr>"
        for r in report["results"]
    )
    return (
        f"<h2>great-expectations {escape(report['version'])}</h2>\n<table>\n<thead><tr>"
        '<th scope="col">Verdict</th><th scope="col">Expectation</th><th scope="col">Arguments'
        f'</th><th scope="col">Result</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>'
    )
