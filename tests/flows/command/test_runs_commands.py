"""Past runs from the command line: found, tagged, repeated, forked, and looked into."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.settings import Settings

TEA = dedent(
    '''
    """Flows about tea."""

    from __future__ import annotations

    import uuid
    from typing import Annotated, Protocol

    from pydantic import BaseModel

    from headrace import Col, Evaluation, Report, Schema, Table, flow, operator
    from headrace.errors import DataError


    class Pot(BaseModel):
        """How the tea is made."""

        litres: float = 2.0
        glaze: str = "blue"


    class Cups(Schema, Protocol):
        """Cups of tea."""

        cup: Annotated[int, Col(role="entity")]
        tea: Annotated[float, Col(unit="l")]


    @operator()
    def pour(*, pot: Pot, cups: int) -> Table[Cups]:
        """Pour tea into cups."""
        share = pot.litres / cups
        return Table[Cups].of({"cup": list(range(cups)), "tea": [share] * cups})


    @operator()
    def judge(table: Table[Cups]) -> Evaluation:
        """Judge the tea."""
        mean = float(table.frame().tea.mean())
        return Evaluation.of({"on": "test", "rows": table.rows, "metrics": {"auc": mean}})


    @operator()
    def warm(table: Table[Cups], *, most: int) -> Report:
        """Warm the cups."""
        if table.rows > most:
            raise DataError(f"{table.rows} cups are too many.", remedy="Take fewer.")
        return Report.of({"passed": True, "warm": table.rows})


    @operator()
    def smell(table: Table[Cups]) -> Report:
        """Smell the tea."""
        return Report.of({"smells": uuid.uuid4().hex})


    @operator(effect=True)
    def serve(report: Report) -> Report:
        """Serve the cups."""
        return report


    @flow
    def tea(*, pot: Pot = Pot(), cups: int = 4, most: int = 8) -> tuple[Evaluation, Report]:
        """Make tea."""
        poured = pour(pot=pot, cups=cups)
        return judge(poured), serve(warm(poured, most=most))


    @flow
    def scent(*, cups: int = 2) -> Report:
        """Smell some tea."""
        return smell(pour(pot=Pot(), cups=cups))
    '''
)


class Shop:
    """This is a repository with flows, in which commands are run."""

    def __init__(self, folder: Path, settings: str) -> None:
        (folder / "shop").mkdir()
        (folder / "shop" / "__init__.py").touch()
        (folder / "shop" / "tea.py").write_text(TEA, encoding="utf-8")
        (folder / "headrace.toml").write_text(f'roots = ["shop"]\nactor = "ann"\n{settings}')
        ours = ("HEADRACE_", "PREFECT_", "MLFLOW_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.environment |= {"COLUMNS": "100"}
        self.folder = folder
        self.command = str(Path(sys.executable).with_name("headrace"))

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in the repository's folder."""
        return subprocess.run(
            [self.command, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, *words: str) -> str:
        """Run a command that succeeds, and return what it prints."""
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refused(self, *words: str) -> str:
        """Run a command that is refused, and return why, ids of runs left out."""
        done = self(*words)
        assert (done.returncode, done.stdout) == (1, "")
        return re.sub(r"run:[0-9a-f]{12}", "run:…", done.stderr.removeprefix("Error: "))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Make a repository that knows nothing of this one but what is installed."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]  # free again when the commands run, and nobody answers
    return Shop(tmp_path_factory.mktemp("runs"), f"prefect_port = {port}\n")


@pytest.fixture(scope="module")
def original(shop: Shop) -> str:
    """Run the flow, and return the run's reference."""
    told = json.loads(shop.done("run", "tea", "--local", "--json", "-p", "pot.glaze=green"))
    return str(told["run"])[:16]


@pytest.fixture(scope="module")
def forked(original: str, shop: Shop) -> str:
    """Fork the run, and return what is printed."""
    shop.done("runs", "tag", original, "baseline", "for=autumn")
    return shop.done("runs", "fork", original, "--local", "-p", "pot.litres=3")


@pytest.fixture(scope="module")
def broken(forked: str, shop: Shop) -> str:
    """Run the flow with too many cups, and return the run's reference."""
    done = shop("run", "tea", "--local", "--json", "-p", "cups=10")
    assert done.returncode == 1
    return str(json.loads(done.stdout)["run"])[:16]


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table whose columns are two blanks apart."""
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()]


def test_a_fork_says_what_differs_before_and_after_it_runs(forked: str, original: str) -> None:
    before, _, after = forked.partition("tea: run:")

    assert rows(before) == [["parameter", original, "now"], ["pot.litres", "2.0", "3.0"]]
    beside = after[after.index(f"Beside {original}") :].splitlines()
    assert beside[0] == f"Beside {original}: 2 of 4 nodes give the same."
    assert rows("\n".join(beside[1:4])) == [
        ["node", original, "now", "result"],
        ["pour", "executed", "executed", "different"],
        ["judge", "executed", "executed", "different"],
    ]
    assert rows("\n".join(beside[5:])) == [
        ["evaluation", "metric", original, "now", "difference"],
        ["judge", "auc", "0.5000", "0.7500", "+0.2500"],
    ]


def test_a_fork_keeps_what_it_does_not_change_and_says_where_it_comes_from(
    forked: str, original: str, shop: Shop
) -> None:
    (fork,) = json.loads(shop.done("runs", "search", "--tag", "forked_from", "--json"))

    assert fork["parameters"] == {
        "pot": {"litres": 3.0, "glaze": "green"},
        "cups": 4,
        "most": 8,
    }
    (run,) = json.loads(shop.done("runs", "search", original, "--tag", "baseline", "--json"))
    assert fork["tags"] == {"forked_from": f"run:{run['id']}"}


def test_a_rerun_reuses_what_is_known_and_gives_the_same(broken: str, shop: Shop) -> None:
    done = shop.done("runs", "search", "--tag", "forked_from", "--json")
    fork = f"run:{json.loads(done)[0]['id']}"

    told = json.loads(shop.done("runs", "rerun", fork, "--local", "--json"))

    assert (told["state"], told["pure_executed"]) == ("completed", 0)
    assert told["compared"]["with"] == fork
    assert told["compared"]["parameters"] == {}
    assert {node: each["result"] for node, each in told["compared"]["nodes"].items()} == {
        "pour": "the same",
        "judge": "the same",
        "warm": "the same",
        "serve": "the same",
    }
    assert told["compared"]["evaluations"] == {"judge": {"auc": {"then": 0.75, "now": 0.75}}}
    shown = json.loads(shop.done("runs", "show", told["run"], "--json"))
    assert shown["tags"] == {"rerun_of": fork}


def test_a_fork_that_fails_is_compared_and_exits_with_1(
    broken: str, original: str, shop: Shop
) -> None:
    done = shop("runs", "fork", original, "--local", "--json", "-p", "most=3")

    told = json.loads(done.stdout)["compared"]
    assert done.returncode == 1
    assert told["parameters"] == {"most": {"then": 8, "now": 3}}
    assert told["nodes"]["warm"] == {"then": "executed", "now": "failed", "result": "none now"}
    assert told["nodes"]["judge"]["result"] == "the same"


def test_runs_are_found_by_words_tags_parameters_and_metrics(
    broken: str, original: str, shop: Shop
) -> None:
    def found(*words: str) -> set[str]:
        told = json.loads(shop.done("runs", "search", "--json", *words))
        return {f"run:{run['id'][:12]}" for run in told}

    assert found("AUTUMN") == {original}
    assert found("--tag", "for=autumn", "--param", "pot.glaze=green") == {original}
    assert found("too many", "--state", "failed", "-p", "cups=10") == {broken}
    assert original not in found("--metric", "auc > 0.7", "--flow", "tea") != set()
    assert found("--until", "2013-01-01") == set()
    assert broken in found("--since", "2013-01-01T00:00", "--metric", "judge.auc<0.25")


def test_what_is_found_is_listed_with_metric_and_tags(
    broken: str, original: str, shop: Shop
) -> None:
    shown = shop.done("runs", "search", "--metric", "auc>0.1", "--sort-by", "auc", "--lowest-first")

    heads, first, *_ = rows(shown)
    assert heads == ["run", "flow", "state", "started (UTC)", "from", "by", "judge.auc", "tags"]
    assert (first[0], first[2], first[6]) == (broken, "failed", "0.2000")
    assert [row[-1] for row in rows(shown) if row[0] == original] == ["baseline, for=autumn"]
    assert shop.done("runs", "search", "tea", "-p", "cups=99") == "No run is like that.\n"


def test_the_plain_list_shows_tags_as_well(broken: str, original: str, shop: Shop) -> None:
    heads, *listed = rows(shop.done("runs", "--flow", "tea"))

    assert heads[-1] == "tags"
    assert [row[-1] for row in listed if row[0] == original] == ["baseline, for=autumn"]
    assert ["tags" in run for run in json.loads(shop.done("runs", "-n", "1", "--json"))] == [True]


def test_a_condition_that_cannot_be_read_is_refused_with_an_example(shop: Shop) -> None:
    assert shop.refused("runs", "search", "--metric", "auc>0,7") == (
        "The condition 'auc>0,7' compares with '0,7', which is no number.\n"
        "  Fix: write METRIC or NODE.METRIC, then one of > >= < <= = != and a number, in quotes so "
        'that a shell leaves it alone: --metric "auc>0.75" or --metric "evaluate.auc>=0.75".\n'
    )


def test_a_tag_is_given_changed_and_taken_away(original: str, shop: Shop) -> None:
    given = shop.done("runs", "tag", original, "seen=no", "loved")
    changed = shop.done("runs", "tag", original, "seen=yes")
    taken = shop.done("runs", "untag", original, "loved")
    unknown = shop.refused("runs", "untag", original, "sean")
    shown = json.loads(shop.done("runs", "show", original, "--json"))["tags"]
    shop.done("runs", "untag", original, "seen")

    alone = "Only Headrace knows it: the run is not in MLflow.\n"
    assert given == f"{original} has the tag seen=no. {alone}{original} has the tag loved. {alone}"
    assert changed == f"{original} has the tag seen=yes. {alone}"
    assert taken == f"{original} has the tag loved no more.\n"
    assert "Did you mean 'seen'?" in unknown
    assert shown["seen"] == "yes"
    assert "loved" not in shown


def test_a_run_is_shown_with_parameters_tags_and_metrics(
    forked: str, original: str, shop: Shop
) -> None:
    first, second, *lines = shop.done("runs", "show", original).splitlines()

    assert first == f"{original} of 'tea' by ann"
    assert re.fullmatch(r"  completed; started .* UTC, ended .* from command line", second)
    assert [re.sub(" +", " ", line.strip()) for line in lines] == [
        "nodes: 4 executed; seed 0",
        "tags: baseline, for=autumn",
        "-p cups=4",
        "-p most=8",
        '-p pot={"glaze": "green", "litres": 2.0}',
        "",
        "evaluation metric value",
        "judge auc 0.5000",
        "",
        f"Explain: headrace explain {original}",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            ("fork", "latest:tea"),
            "A fork of run:… without a change is the same run again.\n"
            "  Fix: say what changes, `-p name=value`; or repeat it: `headrace runs rerun "
            "run:…`.\n",
            id="no change",
        ),
        pytest.param(
            ("fork", "latest:tea", "-p", "cup=5"),
            "Flow 'tea' cannot start: there is no parameter 'cup'. Did you mean 'cups'?\n"
            "  Fix: change it with `-p name=value`, leave out what the run had with "
            "`--without name`; `headrace runs show run:…` shows what it had.\n",
            id="an unknown parameter",
        ),
        pytest.param(
            ("fork", "latest:tea", "--without", "mots"),
            "There is no parameter of run:… 'mots'. Did you mean 'most'?\n"
            "  Fix: leave out one it had.\n",
            id="a parameter that it did not have",
        ),
        pytest.param(
            ("rerun", "latest:tea/pour"),
            "'latest:tea/pour' names the node 'pour' of run:…, not a run.\n"
            "  Fix: name the run: run:….\n",
            id="a node",
        ),
        pytest.param(
            ("rerun", "latest:tea", "--flow", "scent"),
            "run:… is a run of 'tea', and 'scent' is the flow 'scent'.\n"
            "  Fix: name the flow 'tea', or the file that it lies in.\n",
            id="another flow",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused_before_a_run_exists(
    words: tuple[str, ...], said: str, broken: str, shop: Shop
) -> None:
    before = shop.done("runs")

    assert shop.refused("runs", *words, "--local") == said
    assert shop.done("runs") == before


def test_code_that_has_changed_is_named_and_can_be_met(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "")
    shop.done("run", "tea", "--local")
    source = shop.folder / "shop" / "tea.py"

    source.write_text(
        TEA.replace("most: int = 8)", "at_most: int = 8)").replace("=most", "=at_most")
    )
    renamed = shop.refused("runs", "rerun", "latest:tea", "--local")
    met = shop.done("runs", "fork", "latest:tea", "--local", "--without", "most", "-p", "at_most=7")
    source.write_text(TEA.replace("def tea(", "def teas("))
    gone = shop.refused("runs", "rerun", "latest:tea", "--local")

    assert renamed == (
        "The parameters of run:… do not fit the flow of today. Flow 'tea' cannot start: there is "
        "no parameter 'most'. Did you mean 'at_most'?\n"
        "  Fix: change them: `headrace runs fork run:… -p name=value --without name`.\n"
    )
    assert [row[0] for row in rows(met.partition("tea: run:")[0])] == [
        "parameter",
        "most",
        "at_most",
    ]
    assert gone == (
        "run:… is a run of 'tea'. There is no flow 'tea'. Did you mean 'teas'?\n"
        "  Fix: name the file that it lies in if that is outside the roots of headrace.toml "
        "(`--flow path/to/file.py`), or run another flow; `headrace flows` lists them.\n"
    )


def test_without_servers_a_rerun_is_refused_and_told_what_to_do(broken: str, shop: Shop) -> None:
    done = shop("runs", "rerun", "latest:tea")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: The Prefect server at ")


def test_a_node_that_failed_is_called_again_and_shows_its_own_traceback(
    broken: str, shop: Shop
) -> None:
    done = shop("run", "--node", broken)  # its only failed node

    said = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert said[0].startswith(f"warm of {broken} ('tea'), failed at ")
    assert said[1] == "  it failed with: 10 cups are too many."
    trace = said[said.index("Traceback (most recent call last):") :]
    assert re.fullmatch(r'  File ".*/shop/tea.py", line \d+, in warm', trace[1])
    assert trace[3:5] == [
        "headrace.errors.DataError: 10 cups are too many.",
        "  Fix: Take fewer.",
    ]
    assert re.fullmatch(r"It fails: DataError\. \d+\.\d s\. Nothing was recorded\.", trace[5])


def test_a_node_called_again_says_whether_it_gives_the_same(original: str, shop: Shop) -> None:
    shop.done("run", "scent", "--local")

    same = json.loads(shop.done("run", "--node", f"{original}/judge", "--json"))
    other = shop.done("run", "scent", "--node", "smell")

    (output,) = same["outputs"].values()
    assert (same["state"], same["same"], same["changes"]) == ("executed", True, [])
    assert output["digest"] == output["recorded"]
    assert same["message"] == f"The same digest as in {original}."
    assert re.search(
        r"\nDifferent from run:[0-9a-f]{12}: result\. Nothing of its key has changed, so the body "
        r"is not deterministic\. \d+\.\d s\. Nothing was recorded\.\n$",
        other,
    )


def test_a_debugger_needs_a_terminal(broken: str, shop: Shop) -> None:
    assert shop.refused("run", "--node", broken, "--debugger") == (
        "`--debugger` needs a terminal to type at, and there is none.\n"
        "  Fix: run it in a terminal, or without `--debugger` to see the traceback.\n"
    )


class Terminal:
    """This is a terminal at which a command is run, and somebody who types."""

    def __init__(self, shop: Shop, *words: str) -> None:
        ours, theirs = pty.openpty()
        self.screen, self._at = "", ours
        self._process = subprocess.Popen(
            [shop.command, *words],
            cwd=shop.folder,
            env=shop.environment | {"TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def reads(self, text: str) -> str:
        """Wait until a text is on the screen, and return what came up to it."""
        ends = time.monotonic() + 120
        while text not in self.screen:
            assert time.monotonic() < ends, f"{text!r} does not come:\n{self.screen}"
            if select.select([self._at], [], [], 1)[0]:
                self.screen += self._some()
        before, self.screen = self.screen.split(text, 1)
        return before + text

    def types(self, line: str) -> None:
        """Type a line."""
        os.write(self._at, f"{line}\n".encode())

    def ends(self) -> int:
        """Return the exit code, once the command has ended."""
        while some := self._some():
            self.screen += some
        return self._process.wait(60)

    def close(self) -> None:
        """Leave no process behind."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._at)

    def _some(self) -> str:
        try:
            return os.read(self._at, 65_536).decode().replace("\r\n", "\n")
        except OSError:  # how a terminal says that nobody is there any more
            return ""


@pytest.fixture
def at_terminal(broken: str, shop: Shop) -> Iterator[Terminal]:
    """Look into the failed node at a terminal."""
    terminal = Terminal(shop, "run", "--node", f"{broken}/warm", "--debugger")
    yield terminal
    terminal.close()


def test_the_debugger_stops_inside_the_body_with_the_real_inputs_and_where_it_fails(
    at_terminal: Terminal,
) -> None:
    stopped = at_terminal.reads("(pdb) ")
    at_terminal.types("p list(table.frame().columns), most")
    printed = at_terminal.reads("(pdb) ")
    at_terminal.types("c")
    failed = at_terminal.reads("(pdb) ")
    at_terminal.types("p table.rows")
    after = at_terminal.reads("(pdb) ")
    at_terminal.types("q")
    code = at_terminal.ends()

    assert "-> if table.rows > most:\n" in stopped
    assert "(['cup', 'tea'], 8)\n" in printed
    assert "DataError: 10 cups are too many.\n" in failed
    assert "-> raise DataError(" in failed
    assert "10\n" in after
    assert (code, at_terminal.screen.strip().splitlines()[-1]) == (
        1,
        "It fails: DataError. Nothing was recorded.",
    )


def test_with_another_value_set_in_the_debugger_the_body_goes_on(at_terminal: Terminal) -> None:
    at_terminal.reads("(pdb) ")
    at_terminal.types("most = 12")
    at_terminal.reads("(pdb) ")
    at_terminal.types("c")
    code = at_terminal.ends()

    assert '"warm": 10' in at_terminal.screen
    assert "It gives a result now; in run:" in at_terminal.screen
    assert code == 0


def test_leaving_the_debugger_ends_the_command(at_terminal: Terminal) -> None:
    at_terminal.reads("(pdb) ")
    at_terminal.types("q")
    code = at_terminal.ends()

    assert "The debugger was left; nothing was recorded." in at_terminal.screen
    assert code == 1


def test_tags_of_a_run_in_mlflow_are_tags_there_and_a_rerun_has_its_own(
    servers: Settings, tmp_path: Path
) -> None:
    shop = Shop(
        tmp_path,
        f"prefect_port = {servers.prefect_port}\nmlflow_port = {servers.mlflow_port}\n",
    )
    (shop.folder / "var").mkdir()  # as `headrace up` does, and here the servers are another home's
    whole = '{"litres": 2.0, "glaze": "blue"}'
    told = json.loads(shop.done("run", "tea", "--json", "-p", f"pot={whole}"))
    run = told["run"]

    given = shop.done("runs", "tag", run, "baseline", "for=autumn")
    first = _mlflow_tags(servers, shop, run)
    shop.done("runs", "untag", run, "baseline")
    again = json.loads(shop.done("runs", "rerun", run, "--json"))
    shown = json.loads(shop.done("runs", "show", run, "--json"))

    assert given == f"{run[:16]} has the tag baseline.\n{run[:16]} has the tag for=autumn.\n"
    assert first == {"headrace.tag.baseline": "", "headrace.tag.for": "autumn"}
    assert _mlflow_tags(servers, shop, run) == {"headrace.tag.for": "autumn"}
    assert {node["node"]: node["state"] for node in again["nodes"]} == {
        "pour": "cached",
        "judge": "cached",
        "warm": "cached",
        "serve": "executed",
    }, again["nodes"]
    assert _mlflow_tags(servers, shop, again["run"]) == {"headrace.tag.rerun_of": run}
    assert shown["links"] == {k: v for k, v in told["links"].items() if k != "MLflow comparison"}


def _mlflow_tags(servers: Settings, shop: Shop, run: str) -> dict[str, str]:
    """Return the tags that people gave, as MLflow has them."""
    import httpx

    run_id = json.loads(shop.done("runs", "show", run, "--json"))["mlflow_run_id"]
    address = f"{servers.mlflow_url}/api/2.0/mlflow/runs/get"
    found = httpx.get(address, params={"run_id": run_id}, trust_env=False).json()["run"]["data"]
    tags = {tag["key"]: tag.get("value", "") for tag in found["tags"]}
    return {key: value for key, value in tags.items() if key.startswith("headrace.tag.")}
