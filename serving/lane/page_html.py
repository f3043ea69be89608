"""This module writes the page around its sections: one document without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from serving.lane.page_text import Markup, element, joined, text

SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""What keeps a browser from doing anything with the page that was not meant."""


def page(endpoint: str, written: Mapping[str, Markup] | None, *, version: str) -> bytes:
    """Return the page of an endpoint.

    Args:
        endpoint: Its name.
        written: Its sections; None where a key is needed to see them.
        version: Of the script and the style sheet, so that no old ones are used.
    """
    base = f"/v1/{endpoint}"
    head = joined(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            element("title", f"Endpoint {endpoint}"),
            Markup(f'<link rel="stylesheet" href="{text(base)}/page/page.css?v={text(version)}">'),
            Markup(f'<script src="{text(base)}/page/page.js?v={text(version)}" defer></script>'),
        ],
        "\n",
    )
    body = joined(
        [
            element("a", "Skip to the figures", class_="skip", href="#figures"),
            element(
                "header",
                element("p", "Headrace", class_="product"),
                element("h1", endpoint),
                element(
                    "p",
                    "As it was when the page was loaded." if written else "",
                    id="state",
                    role="status",
                    aria_live="polite",
                ),
            ),
            _key_form(hidden=written is not None),
            element("main", *(written or {}).values(), id="figures", tabindex="-1"),
            element("footer", _links(base)),
        ],
        "\n",
    )
    return (
        "<!doctype html>\n"
        + element(
            "html",
            Markup("\n"),
            element("head", head),
            Markup("\n"),
            element("body", body, data_stats=f"{base}/stats"),
            lang="en",
        )
    ).encode()


def _key_form(*, hidden: bool) -> Markup:
    """Return where a key is given; the script shows it when the lane asks for one."""
    field = Markup(
        '<input id="key-value" name="key" type="password" autocomplete="off" required '
        'aria-describedby="key-help">'
    )
    return Markup(
        f'<form id="key"{" hidden" if hidden else ""}>'
        f'<label for="key-value">API key</label>{field}'
        '<button type="submit">Show the figures</button>'
        '<p id="key-help">This endpoint asks for a key that may read. It is kept in this tab only, '
        "until it is closed.</p>"
        "<noscript><p>Without JavaScript the page cannot send a key.</p></noscript></form>"
    )


def _links(base: str) -> Markup:
    links = {
        "What can be asked (OpenAPI)": f"{base}/openapi.json",
        "Metrics (Prometheus)": f"{base}/metrics",
        "These figures (JSON)": f"{base}/stats",
    }
    items = [element("li", element("a", name, href=href)) for name, href in links.items()]
    return element("nav", element("ul", *items), aria_label="Other documents")
