"""Behind a proxy the page is found, and writes are taken, at the address that settings name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from flows._services.definitions import services
from headrace._settings_labeling import OWN_PATHS
from headrace.labels.addresses import hook_url, labels_url, task_url
from headrace.settings import using_settings
from serving.labeling.app import labeling_app
from tests.serving.labeling.conftest import NEWS, Labeling, Served, items

PUBLIC = "https://labels.example.org/head/race"
HOST = "labels.example.org"

Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(labeling: Labeling, served: Served) -> Iterator[Ask]:
    """Asks the page as a proxy does that shows it at `PUBLIC`, with the cookies of a browser."""
    with using_settings(home=labeling.of.home, labels_url=PUBLIC) as of:
        served.app = labeling_app(of, queue=labeling.queue, raters=labeling.raters)
        with httpx.Client(base_url=labeling.url, verify=False) as client:  # noqa: S501 (plain http)

            def ask(method: str, path: str, host: str = HOST, **more: object) -> httpx.Response:
                headers = {"host": host} | dict(more.pop("headers", {}))  # type: ignore[call-overload]
                return client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]

            yield ask


def test_links_for_people_lead_to_the_public_address_and_health_is_asked_on_the_spot(labeling):
    with using_settings(labels_url=PUBLIC, labels_port=8611) as of:
        page = next(each for each in services(of) if each.name == "labels")

        assert labels_url(of) == PUBLIC
        assert task_url(of, "news", 7) == f"{PUBLIC}/label/news?item=7"
        assert hook_url(of, "b1") == f"{PUBLIC}/hooks/label-studio/b1"
        assert (page.url, page.health_url) == (PUBLIC, "http://127.0.0.1:8611/health")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (HOST, 200),
        ("LABELS.example.org:443", 200),
        ("127.0.0.1:8600", 200),
        ("localhost", 200),
        ("example.org", 403),
        ("evil.labels.example.org", 403),
        ("labels.example.org.evil.example", 403),
        ("192.168.1.7:8600", 403),
        ("0.0.0.0:8600", 403),
    ],
)
def test_the_public_name_is_the_only_one_beside_loopback(ask, host: str, status: int):
    assert ask("GET", "/health", host).status_code == status


@pytest.mark.parametrize(
    ("host", "origin", "problem"),
    [
        pytest.param(HOST, "https://labels.example.org", None, id="by the proxy"),
        pytest.param(f"{HOST}:443", "https://labels.example.org", None, id="by one with a port"),
        pytest.param("127.0.0.1:8600", "http://127.0.0.1:8600", None, id="beside the proxy"),
        pytest.param(
            HOST, "http://labels.example.org",
            "The labeling page is written to at https://labels.example.org only.",
            id="without TLS",
        ),
        pytest.param(
            "127.0.0.1:8600", "https://labels.example.org",
            "The proxy before the labeling page does not pass on the name in Host.",
            id="by a proxy that says its own name",
        ),
        pytest.param(
            HOST, "https://labels.example.org:8443",
            "A page of another site may not write here.", id="another port",
        ),
        pytest.param(
            HOST, "http://127.0.0.1:8600", "A page of another site may not write here.",
            id="from loopback",
        ),
        pytest.param(HOST, "null", "A page of another site may not write here.", id="a sandbox"),
    ],
)  # fmt: skip
def test_writes_are_taken_from_the_public_origin_alone(ask, host, origin, problem):
    answer = ask("POST", "/api/votes", host, headers={"origin": origin})

    if problem is None:
        assert (answer.status_code, answer.json()["reason"]) == (401, "signed_out")
    else:
        assert (answer.status_code, answer.json()["problem"]) == (403, problem)


@pytest.mark.parametrize("root", ["", "/head/race"], ids=["taken off", "left on"])
def test_below_a_path_every_link_and_redirect_leads_there_whether_the_proxy_takes_it_off(
    ask, labeling, root: str
):
    labeling.ask_for(NEWS, items(1))
    token = labeling.raters.add("ada", adjudicates=True)

    led = ask("GET", f"{root}/label/news?item=4")
    form = ask("GET", f"{root}/sign-in?next=/label/news")
    fields = dict(re.findall(r'name="(form|next)" value="([^"]*)"', form.text)) | {"token": token}
    cookie = form.headers["set-cookie"].split(";")[0]
    signed = ask(
        "POST", f"{root}/sign-in", data=fields,
        headers={"origin": "https://labels.example.org", "cookie": cookie},
    )  # fmt: skip
    cookies = signed.headers.get_list("set-cookie")
    kept = {"cookie": next(c for c in cookies if c.startswith("headrace_labels=")).split(";")[0]}
    pages = [
        ask("GET", f"{root}{p}", headers=kept) for p in ("/", "/label/news", "/agreement/news")
    ]

    assert led.headers["location"] == "/head/race/sign-in?next=/label/news?item=4"
    assert (signed.status_code, signed.headers["location"]) == (303, "/head/race/label/news")
    for page in (form, *pages):
        assert page.status_code == 200
        inward = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
        assert inward
        assert [each for each in inward if not each.startswith("/head/race/")] == []
        assert 'data-root="/head/race"' in page.text
        for each in inward:
            if each.startswith("/head/race/files/"):
                assert ask("GET", each).status_code == 200


def test_a_slash_too_many_leads_nobody_past_the_proxy(ask):
    answers = [ask("GET", f"/head/race{path}") for path in ("/sign-in/", "/label/news/", "//x/")]

    assert [(each.status_code, each.headers.get("location")) for each in answers] == 3 * [
        (404, None)
    ]


def test_cookies_that_came_by_https_go_back_by_https_alone(ask):
    by_proxy = ask("GET", "/sign-in").headers["set-cookie"]
    beside = ask("GET", "/sign-in", "127.0.0.1:8600").headers["set-cookie"]

    assert by_proxy.endswith("; HttpOnly; Path=/; SameSite=strict; Secure")
    assert beside.endswith("; HttpOnly; Path=/; SameSite=strict")


def test_no_path_of_a_proxy_can_be_taken_for_one_of_the_page(labeling, served):
    app = labeling_app(labeling.of, queue=labeling.queue, raters=labeling.raters, heard=print)

    paths = [route.path for route in app._app.routes]  # type: ignore[attr-defined]

    assert {path.split("/")[1] for path in paths} - {""} == OWN_PATHS
