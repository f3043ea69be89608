"""The command line as users call it: a repository of their own, and no server."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any
from xml.etree import ElementTree

import pytest

from flows._command._parameters import read_parameters
from headrace.errors import ParameterError

TEA = dedent(
    '''
    """Flows about tea."""

    from __future__ import annotations

    from datetime import date
    from typing import Annotated, Literal, Protocol

    from pydantic import BaseModel, Field

    from headrace import Col, Report, Schema, Table, flow, operator


    class Pot(BaseModel):
        """How the tea is made."""

        litres: int = 2
        glaze: str = "blue"


    class Cups(Schema, Protocol):
        """Cups of tea."""

        cup: Annotated[int, Col(role="entity")]
        tea: Annotated[float, Col(unit="l")]


    @operator()
    def brew(*, pot: Pot, day: date) -> Report:
        """Brew some tea."""
        return Report.of({"passed": True, "tea": float(pot.litres), "day": day.isoformat()})


    @operator()
    def pour(brewed: Report, *, cups: int) -> Table[Cups]:
        """Pour tea into cups."""
        share = brewed.document["tea"] / cups
        return Table[Cups].of({"cup": list(range(cups)), "tea": [share] * cups})


    @operator(effect=True)
    def serve(cups: Table[Cups]) -> Report:
        """Serve the cups."""
        return Report.of({"passed": True, "served": cups.rows})


    @flow
    def tea(
        *,
        pot: Pot = Pot(),
        cups: Annotated[int, Field(ge=1, le=12)] = 4,
        day: date = date(2013, 1, 1),
        kind: Literal["green", "black"] = "green",
    ) -> Report:
        """Make tea.

        Args:
            pot: What it is made in.
            cups: How many cups to fill.
            day: When it is drunk.
            kind: The sort of leaves.
        """
        return serve(pour(brew(pot=pot, day=day), cups=cups))
    '''
)

TROUBLE = dedent(
    '''
    """Flows with something wrong."""

    from __future__ import annotations

    from typing import Annotated, Protocol

    from headrace import Col, Report, Schema, Table, flow, operator
    from headrace.errors import DataError
    from shop.tea import Cups, Pot, brew, pour

    from datetime import date


    class Bowls(Schema, Protocol):
        """Bowls of soup."""

        tea: Annotated[float, Col(unit="ml")]
        soup: float


    @operator()
    def stir(bowls: Table[Bowls]) -> Report:
        """Stir soup."""
        return Report.of({})


    @operator()
    def spill(cups: Table[Cups]) -> Report:
        """Spill the tea."""
        raise DataError("Cup 3 has a crack.", remedy="Take another cup.")


    @operator()
    def smell(cups: Table[Cups]) -> Report:
        """Smell the tea."""
        return Report.of({"passed": True, "cups": cups.rows})


    @operator()
    def drink(spilt: Report) -> Report:
        """Drink what is left."""
        return spilt


    @flow
    def soup() -> Report:
        """Take tea for soup."""
        cups = pour(brew(pot=Pot(), day=date(2013, 1, 1)), cups=4)
        return stir(cups)


    @flow
    def accident() -> tuple[Report, Report]:
        """Spill some tea."""
        cups = pour(brew(pot=Pot(), day=date(2013, 1, 1)), cups=4)
        return drink(spill(cups)), smell(cups)
    '''
)


class Shop:
    """This is a repository with flows, in which commands are run."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in the repository's folder."""
        return subprocess.run(
            [Path(sys.executable).with_name("headrace"), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, *words: str) -> str:
        """Run a command that succeeds, and return what it prints."""
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Make a repository that knows nothing of this one but what is installed."""
    folder = tmp_path_factory.mktemp("repository")
    package = folder / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tea.py").write_text(TEA, encoding="utf-8")
    (package / "trouble.py").write_text(TROUBLE, encoding="utf-8")
    ours = ("HEADRACE_", "PREFECT_", "MLFLOW_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]  # free again when the commands run, and nobody answers
    (folder / "headrace.toml").write_text(
        f'roots = ["shop"]\nprefect_port = {port}\nactor = "ann"\n', encoding="utf-8"
    )
    return Shop(folder, environment | {"COLUMNS": "100"})


@pytest.fixture(scope="module")
def first(shop: Shop) -> str:
    """Run a flow for the first time, and return what is printed."""
    return shop.done("run", "tea", "--local", "-p", "cups=8", "-p", "pot.litres=4")


@pytest.fixture(scope="module")
def second(first: str, shop: Shop) -> str:
    """Run it again, and return what is printed."""
    return shop.done("run", "tea", "--local", "-p", "cups=8", "-p", 'pot={"litres": 4}')


@pytest.fixture(scope="module")
def run_id(first: str) -> str:
    """Return the short id of the first run."""
    return first.split("run:", 1)[1][:12]


def without_times(text: str) -> str:
    """Return a text with seconds and ids of runs left out, and blanks squeezed."""
    squeezed = re.sub(r" +", " ", text)
    return re.sub(r"\d+\.\d+ s\b", "… s", re.sub(r"(run[: ])[0-9a-f]{8,12}\b", r"\1…", squeezed))


# every installation has it, whatever its roots are
ROLLOUT = """\
rollout: Judge all challengers, and promote, ramp, confirm, withdraw or go back by the rules.
    -p endpoints=…  Names of endpoints; none for all that have a rule and something to judge. \
(default None)
    -p as_of=…  The moment, aware, whose knowledge is used; none for now, and for the last moment \
of the log where requests say when they are decided. (default None)
    starts every hour
    starts when headrace.model.approved
    starts when headrace.model.released
    starts when headrace.outcomes.matured, with endpoints='{{ event.payload.endpoints }}'
    at most 1 at once
"""


def without_labeling(listed: str) -> str:
    """Return a list of flows without those that gather labels in every installation."""
    blocks = re.split(r"^(?=\S)", listed, flags=re.MULTILINE)
    return "".join(block for block in blocks if not block.startswith("label_"))


def test_flows_are_listed_with_parameters_defaults_and_descriptions(shop: Shop) -> None:
    assert without_labeling(shop.done("flows")) == (
        "accident: Spill some tea.\n"
        f"{ROLLOUT}"
        "soup: Take tea for soup.\n"
        "tea: Make tea.\n"
        "    -p pot=…  What it is made in. (default Pot(litres=2, glaze='blue'))\n"
        "    -p cups=…  How many cups to fill. (default 4)\n"
        "    -p day=…  When it is drunk. (default datetime.date(2013, 1, 1))\n"
        "    -p kind=…  The sort of leaves. (default 'green')\n"
    )


def test_flows_as_json_have_the_schema_of_their_parameters(shop: Shop) -> None:
    told = {flow["name"]: flow for flow in json.loads(shop.done("flows", "--json"))}

    assert list(told) == [
        "accident",
        "label_collect",
        "label_rest",
        "label_round",
        "rollout",
        "soup",
        "tea",
    ]
    assert told["tea"]["module"] == "shop.tea"
    fields = told["tea"]["parameters"]["properties"]
    assert fields["cups"] == {
        "default": 4,
        "description": "How many cups to fill.",
        "maximum": 12,
        "minimum": 1,
        "title": "Cups",
        "type": "integer",
    }


def test_a_plan_shows_its_nodes_and_what_would_run_and_makes_no_run(shop: Shop) -> None:
    before = shop.done("runs")

    shown = shop.done("plan", "tea", "-p", "day=2013-02-01")

    lines = [line.split() for line in shown.splitlines()]
    assert ["3", "nodes,", "0", "cached;", "0", "can", "never", "be", "cached", "(0%)."] in lines
    for node, status in (
        ("brew", "will run: "),
        ("pour", "depends on upstream 'brew'"),
        ("serve", "effect, acts every time"),
    ):
        (row,) = (line for line in shown.splitlines() if line.split()[:1] == [node])
        assert status in row
    assert shop.done("runs") == before


def test_progress_and_summary_of_a_run(first: str) -> None:
    run, *nodes = without_times(first).splitlines()

    assert run == "tea: run:…, 3 nodes"
    assert nodes == [
        " ✓ 1/3 … s brew executed: it never ran with this flow",
        " ✓ 2/3 … s pour executed: it never ran with this flow",
        " ✓ 3/3 … s serve executed: an effect; it acts every time",
        "",
        "run:… completed: 3 executed; … s in operators.",
        " Explain: headrace explain run:…",
        " Lineage: headrace lineage run:…/<node> --up",
    ]


def test_a_second_run_executes_no_pure_operator_and_says_so(second: str) -> None:
    assert without_times(second).splitlines()[1:] == [
        " ○ 1/3 … s brew cached: made by run …",
        " ○ 2/3 … s pour cached: made by run …",
        " ✓ 3/3 … s serve executed: an effect; it acts every time",
        "",
        "run:… completed: 1 executed, 2 cached; … s in operators.",
        "No pure operator was executed: everything was known already.",
        " Explain: headrace explain run:…",
        " Lineage: headrace lineage run:…/<node> --up",
    ]


def test_an_outcome_as_json_is_all_that_is_printed(second: str, shop: Shop) -> None:
    told = json.loads(
        shop.done("run", "tea", "--local", "--json", "-p", "cups=8", "-p", "pot.litres=4")
    )

    assert (told["flow"], told["state"], told["pure_executed"]) == ("tea", "completed", 0)
    assert [(node["node"], node["state"]) for node in told["nodes"]] == [
        ("brew", "cached"),
        ("pour", "cached"),
        ("serve", "executed"),
    ]


def test_a_plan_as_json_says_what_is_cached(second: str, run_id: str, shop: Shop) -> None:
    told = json.loads(shop.done("plan", "tea", "--json", "-p", "cups=9", "-p", "pot.litres=4"))

    status = {node["path"]: node["now"] for node in told["nodes"]}
    assert status == {
        "brew": f"cached (run {run_id[:8]})",
        "pour": "will run: parameter 'cups' changed from 8 to 9",
        "serve": "effect, acts every time",
    }
    assert told["share_uncached"] == 0


def test_a_plan_is_drawn_as_svg_and_mermaid(shop: Shop, tmp_path: Path) -> None:
    shop.done("plan", "tea", "--draw", str(tmp_path / "plan.svg"))
    shop.done("plan", "tea", "--draw", str(tmp_path / "plan.mmd"))
    png = shop("plan", "tea", "--draw", "plan.png")

    drawn = ElementTree.parse(tmp_path / "plan.svg").getroot()  # noqa: S314  our own drawing
    assert drawn.tag.endswith("svg")
    assert {"brew", "pour", "serve"} <= {text.strip() for text in drawn.itertext()}
    mermaid = (tmp_path / "plan.mmd").read_text()
    assert mermaid.startswith("flowchart")
    assert png.returncode == 1
    assert png.stderr == (
        "Error: 'plan.png' ends in neither .svg nor .mmd.\n  Fix: Name the file plan.svg.\n"
    )


PROBLEMS = (
    "shop/trouble.py:50: wrong unit: 'pour' → 'stir.bowls': column 'tea' is in 'l' in 'Cups' but "
    "in 'ml' in 'Bowls'.\n",
    "shop/trouble.py:50: missing column: 'pour' → 'stir.bowls': column 'soup' of schema 'Bowls' is "
    "missing from 'Cups'. Known: 'cup', 'tea'.\n",
)


def test_a_plan_with_problems_shows_all_of_them_with_file_and_line(shop: Shop) -> None:
    planned = shop("plan", "soup")
    run = shop("run", "soup", "--local")

    assert (planned.returncode, planned.stderr) == (1, "")
    for problem in PROBLEMS:
        assert problem in planned.stdout
    assert run.returncode == 1
    for problem in PROBLEMS:
        assert problem in run.stderr
    assert run.stderr.startswith("Error: Flow 'soup' ")
    assert "Traceback" not in run.stderr


def test_a_failing_node_is_shown_with_its_remedy_and_the_exit_code_is_1(
    first: str, shop: Shop
) -> None:
    done = shop("run", "accident", "--local")

    assert (done.returncode, done.stderr) == (1, "")
    lines = without_times(done.stdout).splitlines()
    nodes = {line.split(" s ", 1)[1] for line in lines if " s " in line and "/5" in line}
    assert nodes >= {
        "spill failed: Cup 3 has a crack.",
        "smell executed: it never ran with this flow",
        "drink skipped: 'spill' has failed",
    }
    end = next(i for i, line in enumerate(lines) if line.startswith("run:… failed: "))
    assert "1 skipped, 1 failed" in lines[end]
    assert lines[end + 1 : end + 3] == [
        " ✗ spill: Cup 3 has a crack.",
        " Fix: Take another cup.",
    ]


MISTAKES = [
    pytest.param(
        ["run", "tee", "--local"],
        "There is no flow 'tee'. Did you mean 'tea'?\n"
        "  Fix: List the flows with `headrace flows`.\n",
        id="unknown flow",
    ),
    pytest.param(
        ["run", "tea", "--local", "-p", "cup=3"],
        "Flow 'tea' cannot start: there is no parameter 'cup'. Did you mean 'cups'?\n"
        "  Fix: See its parameters with `headrace flows`.\n",
        id="unknown parameter",
    ),
    pytest.param(
        ["plan", "tea", "-p", "cups=13", "-p", "kind=red", "-p", "day=tomorrow", "-p", "pot.l=1"],
        "Flow 'tea' cannot start: \n"
        "  - parameter 'cups' is 13: input should be less than or equal to 12.\n"
        "  - parameter 'day' is 'tomorrow': input should be a valid date or datetime, input is "
        "too short.\n"
        "  - parameter 'kind' is 'red': input should be 'green' or 'black'.\n"
        "  Fix: See its parameters with `headrace flows`.\n",
        id="several at once",
    ),
    pytest.param(
        ["run", "shop/coffee.py", "--local"],
        "There is no file 'shop/coffee.py'.\n  Fix: Give the path of a Python file with a flow.\n",
        id="unknown file",
    ),
    pytest.param(
        ["run", "shop/tea.py:tee", "--local"],
        "There is no flow in 'shop/tea.py' called 'tee'. Did you mean 'tea'?\n"
        "  Fix: Name one, as in 'shop/tea.py:flow'.\n",
        id="unknown flow of a file",
    ),
    pytest.param(
        ["lineage", "latest:tea/pour", "--up", "--down"],
        "Both --up and --down are given.\n  Fix: Choose one of them.\n",
        id="up and down",
    ),
    pytest.param(
        ["explain", "latest:te"],
        "There is no run of the flow 'te'. Did you mean 'tea'?\n"
        "  Fix: name a flow that has run, as in `latest:tea`.\n",
        id="flow that never ran",
    ),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_remedy(
    first: str, shop: Shop, words: list[str], message: str
) -> None:
    done = shop(*words)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {message}"


def test_a_command_that_is_put_wrongly_ends_with_2(shop: Shop) -> None:
    done = shop("run", "tea", "--locally")

    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option: --locally" in done.stderr


def test_without_servers_a_run_is_refused_and_told_what_to_do(shop: Shop) -> None:
    before = shop.done("runs")

    done = shop("run", "tea")

    (port,) = re.findall(r"prefect_port = (\d+)", (shop.folder / "headrace.toml").read_text())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: The Prefect server at http://127.0.0.1:{port}/api does not answer "
        "(ConnectError).\n"
        "  Fix: Start it with `headrace up`, or run without servers: `headrace run --local ...`.\n"
    )
    assert shop.done("runs") == before


def test_runs_are_listed_newest_first(second: str, run_id: str, shop: Shop) -> None:
    heads, *rows = (line.split() for line in shop.done("runs", "--flow", "tea").splitlines())
    (oldest,) = json.loads(shop.done("runs", "--flow", "tea", "--json"))[-1:]

    assert heads == ["run", "flow", "state", "started", "(UTC)", "from", "by"]
    assert rows[-1][:3] == [f"run:{run_id}", "tea", "completed"]
    assert rows[-1][-3:] == ["command", "line", "ann"]
    assert oldest["id"].startswith(run_id)
    assert oldest["parameters"] == {
        "pot": {"litres": 4, "glaze": "blue"},
        "cups": 8,
        "day": "2013-01-01",
        "kind": "green",
    }
    assert (shop.folder / "var" / "headrace.db").is_file()


def test_explain_tells_of_a_run_a_node_and_an_artifact(
    second: str, run_id: str, shop: Shop
) -> None:
    run = shop.done("explain", f"run:{run_id}")
    node = shop.done("explain", f"run:{run_id}/pour")
    told = json.loads(shop.done("explain", f"run:{run_id}/pour", "--json"))
    digest = told["outputs"][0]["digest"]
    artifact = shop.done("explain", f"artifact:{digest[:12]}")

    assert "of 'tea' by ann: completed\n" in run
    assert (
        "parameters: cups=8, day=2013-01-01, kind=green, pot={'glaze': 'blue', 'litres': 4}" in run
    )
    assert [line.split()[:2] for line in run.splitlines()[-3:]] == [
        ["brew", "executed"],
        ["pour", "executed"],
        ["serve", "executed"],
    ]
    assert node.startswith(f"pour in run:{run_id}: executed\n  operator shop.tea.pour, ")
    assert "  takes brewed: Report artifact:" in node
    assert f"  makes result: Table artifact:{digest[:12]}\n" in node
    (parameter,) = (line for line in node.splitlines() if line.split()[:1] == ["parameter"])
    assert parameter.split()[-2:] == ["cups", "8"]
    assert artifact.startswith(f"Table artifact:{digest}, 8 rows, ")
    assert "brew" in artifact


def test_lineage_goes_up_to_causes_and_down_to_consequences(
    second: str, run_id: str, shop: Shop
) -> None:
    def operators(*words: str) -> list[str]:
        nodes = json.loads(shop.done("lineage", f"run:{run_id}/pour", "--json", *words))["nodes"]
        return [n["label"].rsplit(".", 1)[-1] for n in nodes if n["sort"] == "invocation"]

    mermaid = shop.done("lineage", f"run:{run_id}/pour", "--mermaid")
    of_run = shop("lineage", f"run:{run_id}")

    assert operators() == operators("--up") == ["brew", "pour"]
    assert set(operators("--down")) == {"pour", "serve"}
    assert mermaid.startswith("flowchart")
    assert of_run.returncode == 1
    assert of_run.stderr == (
        f"Error: 'run:{run_id}' is a run; lineage follows an artifact or a node.\n"
        f"  Fix: Name a node of it: `headrace lineage run:{run_id}/<node>`.\n"
    )


def test_a_flow_of_a_file_is_run_by_its_path(shop: Shop) -> None:
    done = shop.done("run", "shop/tea.py", "--local", "-p", "cups=2")

    assert done.startswith("tea: run:")
    assert " completed: " in done


@pytest.mark.parametrize(
    ("given", "value"),
    [
        pytest.param("month=2", {"month": 2}, id="a number"),
        pytest.param("share=0.5", {"share": 0.5}, id="a fraction"),
        pytest.param("dry=true", {"dry": True}, id="a truth value"),
        pytest.param("name=null", {"name": None}, id="nothing"),
        pytest.param("name=flight_delay", {"name": "flight_delay"}, id="text"),
        pytest.param("name=", {"name": ""}, id="empty text"),
        pytest.param('name="12"', {"name": "12"}, id="text of digits"),
        pytest.param("since=2013-01-01", {"since": "2013-01-01"}, id="a date"),
        pytest.param("where=a=b", {"where": "a=b"}, id="an equals sign"),
        pytest.param('days=["mon", "tue"]', {"days": ["mon", "tue"]}, id="a list"),
        pytest.param("model.tree.depth=3", {"model": {"tree": {"depth": 3}}}, id="nested"),
        pytest.param('model={"depth": 3}', {"model": {"depth": 3}}, id="nested as JSON"),
    ],
)
def test_a_parameter_is_read_as_json_or_as_text(given: str, value: dict[str, Any]) -> None:
    assert read_parameters([given]) == value


def test_nested_parameters_are_put_together() -> None:
    read = read_parameters(['model={"depth": 3}', "model.rate=0.1", "cups=4"])

    assert read == {"model": {"depth": 3, "rate": 0.1}, "cups": 4}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        pytest.param(
            ["cups"],
            "The parameter 'cups' is not of the form name=value.\n"
            "  Fix: Write it as in `-p month=2`.",
            id="no value",
        ),
        pytest.param(
            ["=4"],
            "The parameter '=4' is not of the form name=value.\n"
            "  Fix: Write it as in `-p month=2`.",
            id="no name",
        ),
        pytest.param(
            ["cups=4", "cups=5"],
            "The parameter 'cups' is given twice.\n  Fix: Give it once.",
            id="twice",
        ),
        pytest.param(
            ["pot=blue", "pot.litres=3"],
            "The parameter 'pot.litres' is given twice.\n  Fix: Give it once.",
            id="a value and a part of it",
        ),
        pytest.param(
            ["pot=3", "pot.lid.glaze=blue"],
            "The parameter 'pot.lid.glaze' is given twice.\n  Fix: Give it once.",
            id="a value and a part of a part of it",
        ),
        pytest.param(
            ["pot.litres=3", "pot=blue"],
            "The parameter 'pot' is given twice.\n  Fix: Give it once.",
            id="a part of it and a value",
        ),
    ],
)
def test_a_pair_that_is_no_parameter_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_parameters(pairs)

    assert str(caught.value) == message
