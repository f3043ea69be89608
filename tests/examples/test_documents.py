"""Documents stay true: their Python runs and prints what stands below it, what they name exists.

A page's Python blocks run in one process, one after the other, as the file `flow.py`. A `text`
block straight after one is what it prints; `…` stands for anything, and line numbers do not count.
Test functions on a page are called at its end.
"""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace import Operator

Run = Callable[..., str]
REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    page for where in ("*.md", "docs/**/*.md", "benchmarks/*.md") for page in REPOSITORY.glob(where)
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BETWEEN = "=== next block ==="
_CALL_TESTS = "[each() for name, each in list(globals().items()) if name.startswith('test_')]"


@dataclass(frozen=True, kw_only=True)
class Block:
    """This is a fenced block of a page."""

    language: str
    text: str


def _blocks(page: Path) -> list[Block]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [Block(language=language, text=text) for language, text in found]


def _with_python() -> list[Path]:
    return [page for page in PAGES if any(b.language == "python" for b in _blocks(page))]


def _name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.slow
@pytest.mark.parametrize("page", _with_python(), ids=_name)
def test_the_python_of_a_page_runs_and_prints_what_the_page_says(page, run: Run, tmp_path: Path):
    blocks = _blocks(page)
    sources = [b.text for b in blocks if b.language == "python"]
    (tmp_path / "flow.py").write_text(_joined(sources), encoding="utf-8")

    printed = run("flow.py", cwd=tmp_path).split(_BETWEEN + "\n")

    for said, shown in zip(_said(blocks), printed, strict=True):
        if said is not None:
            assert _agrees(said, shown), f"the page says\n{said}\nbut it prints\n{shown}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_are_named_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    tops = "headrace|features|operators|serving|flows|tests|examples|docs|benchmarks"
    named = re.findall(rf"`((?:{tops})/[\w./-]+)`", text)

    # what lies in a home, and files that a recipe is about to make, are written with <...>
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_and_targets_that_are_named_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    made = set(re.findall(r"(?:`|^|&& )make ([a-z-]+)", text, re.MULTILINE))
    wrong = [problem for line in _command_lines(text) for problem in _wrong(line)]

    assert wrong == []
    assert made - targets == set()


def test_every_page_of_the_guide_and_every_decision_is_in_its_index():
    docs = REPOSITORY / "docs"
    guide = (docs / "README.md").read_text(encoding="utf-8")
    decisions = (docs / "adr/README.md").read_text(encoding="utf-8")

    unlisted = [page.name for page in docs.glob("guide/*.md") if page.name not in guide]
    unlisted += [page.name for page in docs.glob("adr/0*.md") if page.name not in decisions]

    assert unlisted == []


def test_every_public_operator_is_in_the_guide_with_its_kinds():
    page = (REPOSITORY / "docs/guide/operators.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `")]

    missing = [o.name for o in _public_operators() if not any(f"`{o.name}`" in r for r in table)]

    assert missing == []


def test_every_setting_is_in_the_guide():
    from headrace.settings import Settings

    page = (REPOSITORY / "docs/guide/settings.md").read_text(encoding="utf-8")

    assert [name for name in Settings.model_fields if f"`{name}`" not in page] == []


def _joined(sources: list[str]) -> str:
    # a future import must come first, and an operator is found by its module's name
    lines = ["from __future__ import annotations"]
    for number, source in enumerate(sources):
        lines += [f"print({_BETWEEN!r})"] if number else []
        lines.append(source.replace("from __future__ import annotations\n", ""))
    return "\n".join([*lines, _CALL_TESTS, ""])


def _said(blocks: list[Block]) -> Iterator[str | None]:
    """Yield for each Python block the text block that follows it, None where none does."""
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language == "python":
            yield after.text if after and after.language == "text" else None


def _agrees(said: str, shown: str) -> bool:
    pattern = ".*?".join(re.escape(part) for part in _without_lines(said).split("…"))
    return re.fullmatch(pattern, _without_lines(shown)) is not None


def _without_lines(text: str) -> str:
    return re.sub(r"\bflow\.py:\d+", "flow.py:1", text)


def _command_lines(text: str) -> Iterator[str]:
    yield from re.findall(r"`headrace ([^`]+)`", text)
    for block in re.findall(r"^```(?:console|sh)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^\$ (?:[A-Z_]+=\S+ )*(?:\S*/)?headrace (.+)$", block, re.MULTILINE)


def _wrong(line: str) -> Iterator[str]:
    import typer

    from flows._command.main import app

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    name, *words = shlex.split(line, comments=True)
    if name in known and hasattr(known[name], "commands") and words:
        known = {f"{name} {n}": command for n, command in known[name].commands.items()}
        # a page may name several at once: `headrace endpoint list|show`
        names, *words = words
        for each in names.split("|")[:-1]:
            if f"{name} {each}" not in known:
                yield f"there is no command '{name} {each}'"
        name = f"{name} {names.rpartition('|')[2]}"
    options = {o for p in known[name].params for o in p.opts} if name in known else set()
    if name not in known and not name.startswith("-"):
        yield f"there is no command '{name}'"
    for word in words:
        if name in known and word.startswith("-") and word not in {*options, "--help", "-h"}:
            yield f"`headrace {name}` has no option '{word}'"


def _public_operators() -> Iterator[Operator[..., Any]]:
    for package in ("features", "operators", "serving"):
        for path in sorted((REPOSITORY / package).glob("[a-z]*.py")):
            module = importlib.import_module(f"{package}.{path.stem}")
            for value in vars(module).values():
                if isinstance(value, Operator) and value.module == module.__name__:
                    yield value
