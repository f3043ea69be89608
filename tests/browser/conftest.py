"""A real Chromium on the pages of real servers: what users see, and that nothing leaves loopback.

`make test-browser` installs what these tests need; without playwright they are not collected.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from headrace.settings import Settings, settings

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page, Request, Response

FOLDER = Path(__file__).parent
SHOTS = FOLDER / "screenshots"
CHROMIUM = Path("/usr/bin/chromium")
OFFLINE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)
# A page that a busy machine builds from thousands of lines of script; a run with its imports.
PAGE_MS = 60_000
RUN_MS = 240_000
# Answers that the pages of the pinned versions ask for and do well without: icons that they lack,
# and who is logged in where nobody logs in.
MISSING = ("/ico/undefined.svg", "/ico/paused.svg", "/ajax-api/2.0/mlflow/users/current")
# What the timeline of Prefect throws when it is drawn anew, as for a run that goes on.
REDRAWN = "Cannot read properties of null (reading 'position')"

if importlib.util.find_spec("playwright") is None:
    collect_ignore_glob = ["test_*.py"]


def headrace(*words: str, roots: str) -> None:
    """Run the command line as a user does."""
    done = subprocess.run(
        [Path(sys.executable).with_name("headrace"), *words],
        env=os.environ | {"HEADRACE_ROOTS": roots},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def installation() -> Iterator[Settings]:
    """Bring up Prefect, MLflow and the runner with `headrace up`, for our flows and a user's."""
    roots = os.pathsep.join(map(str, [*settings().roots, FOLDER / "orchard"]))
    try:
        headrace("up", "prefect", "mlflow", "runner", roots=roots)
        yield settings()
    finally:
        headrace("down", roots=roots)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Start Debian's Chromium with an empty profile; it asks nobody but the pages' servers."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM.exists(), f"There is no {CHROMIUM}: `make test-browser` installs it."
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=OFFLINE,
            viewport={"width": 1360, "height": 900},
        )
        context.set_default_timeout(PAGE_MS)
        yield context
        context.close()


@dataclass
class Heard:
    """This is what the pages of a test asked for and complained of."""

    requests: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        def answered(response: Response) -> None:
            if response.status >= 400:
                self.refused.append((response.status, urlsplit(response.url).path))

        def asked(request: Request) -> None:
            self.requests.append(request.url)

        page.on("request", asked)
        page.on("response", answered)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @property
    def left_loopback(self) -> list[str]:
        """The requests to other machines."""
        own = {"127.0.0.1", None}  # data: and blob: have no host
        return [url for url in self.requests if urlsplit(url).hostname not in own]

    @property
    def troubles(self) -> list[str]:
        """What went wrong: answers that a page needed, and uncaught errors of its script."""
        missed = [f"{code} {path}" for code, path in self.refused if path not in MISSING]
        return missed + [error for error in self.errors if error != REDRAWN]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(chromium: BrowserContext, heard: Heard) -> Iterator[Page]:
    """A new page; whatever a test does with it, it asks no other machine and has no trouble."""
    page = chromium.new_page()
    heard.listen(page)
    yield page
    page.close()
    assert heard.left_loopback == []
    assert heard.troubles == []


@pytest.fixture
def shot(page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that keeps a picture of the page as it is."""

    def take(name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / f"{request.path.stem.removeprefix('test_')}-{name}.png")

    return take


class PrefectPages:
    """This does on Prefect's pages what a user does, by what a user reads there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open_form(self, flow: str) -> None:
        """Go from the deployments to the form that launches a flow."""
        self.page.goto(f"{self.url}/deployments")
        row = self.page.get_by_role("row").filter(has_text=flow)
        row.get_by_role("link").first.click()
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_text("Custom run").click()
        self.page.get_by_role("button", name="Submit").wait_for()

    def field(self, *path: str) -> Locator:
        """Return the first field of a form whose label is the last of `path`, inside the others."""
        return self._property(*path).locator("input, textarea").first

    def choose(self, *path: str, option: str) -> None:
        """Choose one of the values that a field offers."""
        self.offered(*path)
        self.page.get_by_role("option", name=option, exact=True).click()

    def offered(self, *path: str) -> list[str]:
        """Open the list of a field by its key, as a click may close it; returns its values."""
        self._property(*path).locator(".p-select-button__control").press("ArrowDown")
        options = self.page.get_by_role("option")
        options.first.wait_for()
        return [text.strip() for text in options.all_inner_texts()]

    def _property(self, *path: str) -> Locator:
        found: Any = self.page
        for label in path:
            text = self.page.get_by_text(re.compile(rf"^{label}( \(Optional\))?$"))
            header = self.page.locator(":scope > .p-label__header").filter(has=text)
            found = found.locator(".schema-form-property").filter(has=header).first
        inner: Locator = found
        return inner

    def submit(self) -> str:
        """Launch what the form says and go to the run; returns its id."""
        self.page.get_by_role("button", name="Submit").click()
        # the page draws its message twice, one over the other
        self.page.get_by_role("button", name="View run").last.click()
        self.page.wait_for_url(re.compile(r"/runs/flow-run/"))
        return self.page.url.split("/flow-run/")[1][:36]

    def ask_to_resume(self) -> str:
        """Press Resume, and return what the form that it opens says before its fields."""
        self.page.get_by_role("button", name="Resume", exact=True).click()
        said = self.page.locator(".p-modal .markdown-renderer").first
        said.wait_for()
        return " ".join(said.inner_text().split())

    def answer(self) -> None:
        """Send the form that a run asks with."""
        self.page.locator(".p-modal").get_by_role("button", name="Submit").click()

    def open_run(self, run_id: str) -> None:
        """Go to the page of a run."""
        self.page.goto(f"{self.url}/runs/flow-run/{run_id}")

    def wait_for_state(self, name: str, timeout: float = RUN_MS) -> None:
        """Wait until the heading of the run says its state."""
        heading = self.page.locator(".page-heading-flow-run")
        heading.get_by_text(name, exact=True).wait_for(timeout=timeout)

    def open_tab(self, name: str) -> None:
        """Open a tab of the run's page."""
        self.page.locator(".p-tabs").get_by_text(name, exact=True).click()

    def task_states(self, count: int) -> dict[str, str]:
        """Return what the list of task runs says, once it has `count` entries."""
        self.open_tab("Task Runs")
        rows = self.page.locator(".task-run-list-item")
        rows.nth(count - 1).wait_for()
        return {
            row.get_by_role("link").first.inner_text(): row.locator(".state-badge").inner_text()
            for row in rows.all()
        }

    def log_lines(self, until: str) -> list[str]:
        """Return the lines of the page's log once one of them holds a text."""
        self.page.locator(".log-row").filter(has_text=until).first.wait_for()
        return [" ".join(row.inner_text().split()) for row in self.page.locator(".log-row").all()]


@pytest.fixture
def prefect(installation: Settings, page: Page) -> PrefectPages:
    return PrefectPages(page, installation.prefect_url)


class Asked:
    """This asks the Prefect server what the pages should show."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"{self.url}{path}"
        answer = httpx.get(url) if body is None else httpx.post(url, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def launch(self, flow: str, **parameters: Any) -> str:
        """Launch a run as the form does; returns its id."""
        found = self(f"/deployments/name/{flow}/default")["id"]
        body = {"parameters": {"parameters": parameters}, "state": {"type": "SCHEDULED"}}
        return str(self(f"/deployments/{found}/create_flow_run", body)["id"])

    def count(self, flow: str) -> int:
        """Return how many runs of a flow there are."""
        return int(self("/flow_runs/count", {"flows": {"name": {"any_": [flow]}}}))


@pytest.fixture
def api(installation: Settings) -> Asked:
    return Asked(installation.prefect_api_url)


class MlflowPages:
    """This finds runs and opens MLflow's pages about them."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def runs(self, *prefect_run_ids: str) -> list[dict[str, Any]]:
        """Return the records of Prefect runs, in their order."""
        return [self._search(f"tags.`prefect.flow_run_id` = '{r}'") for r in prefect_run_ids]

    def _search(self, what: str) -> dict[str, Any]:
        api = f"{self.url}/api/2.0/mlflow"
        experiments = httpx.get(f"{api}/experiments/search", params={"max_results": 100}).json()
        ids = [e["experiment_id"] for e in experiments["experiments"]]
        body = {"experiment_ids": ids, "filter": f"{what} and tags.`headrace.role` = 'flow'"}
        [found] = httpx.post(f"{api}/runs/search", json=body).json()["runs"]
        return dict(found)

    def compare(self, runs: list[dict[str, Any]]) -> None:
        """Open the page that puts runs side by side."""
        ids, experiments = ([r["info"][k] for r in runs] for k in ("run_id", "experiment_id"))
        query = f"runs={quote(json.dumps(ids))}&experiments={quote(json.dumps(experiments[:1]))}"
        self.page.goto(f"{self.url}/#/compare-runs?{query}")
        self.page.get_by_text("Run details").wait_for()

    def row(self, name: str) -> list[str]:
        """Return the values of a parameter, metric or tag on the compare page, a run each."""
        row = self.page.get_by_role("row").filter(
            has=self.page.get_by_role("rowheader", name=name, exact=True)
        )
        return [cell.inner_text() for cell in row.first.get_by_role("cell").all()]

    def metric(self, name: str) -> list[str]:
        """Return the values of a metric on the compare page, a run each.

        The page draws names and values as two tables of places: one height is one row.
        """
        link = self.page.get_by_role("link", name=name, exact=True)
        height = link.locator("..").evaluate("cell => cell.style.top")
        both = link.locator("xpath=ancestor::*[@role='grid'][1]/../..")
        cells = both.locator(f"[role='rowgroup'] > div[style*='top: {height};']")
        return [text for text in cells.all_inner_texts() if text != name]


@pytest.fixture
def mlflow(installation: Settings, page: Page) -> MlflowPages:
    return MlflowPages(page, installation.mlflow_url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SHOTS.exists():
        terminalreporter.write_line(f"Screenshots: {SHOTS}")
