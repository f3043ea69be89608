"""`headrace label` as people use it: see how far a task is, who may label, and take votes out."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows._command.main import app
from headrace.errors import HeadraceError
from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database
from headrace.settings import using_settings

TASK = LabelTask(
    name="topic",
    title="What is it about?",
    labels=LabelSchema(choices=("business", "sport"), guideline="Read it whole.\n\n- Then say."),
    entity="id",
    show=("text",),
    overlap=2,
    hide_suggestions=0.0,
)
SEEN = datetime(2013, 1, 1, tzinfo=UTC)


class Desk:
    """This is a home with a labeling task, in which commands are run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        database = Database(home / "headrace.db")
        self.queue, self.raters = LabelQueue(database), Raters(database)

    def ask(self, count: int = 3, task: LabelTask = TASK, suggested: str = "sport") -> Batch:
        items = [
            NewItem(entity=f"d{n}", as_of=SEEN, shown={"text": f"=text {n}"}, suggested=suggested)
            for n in range(count)
        ]
        key = sha256(b"a batch").hexdigest()
        with using_settings(home=self.home, actor="ada"):
            return self.queue.request(task, items, key=key)

    def votes(self, rater: str, *answers: str | None) -> None:
        for number, answer in enumerate(answers):
            claim = self.queue.claim("topic", rater)
            assert claim is not None
            request = f"{rater}-{number}"
            if answer is None:
                self.queue.skip(claim.lease, rater, why="unclear", request=request)
            else:
                self.queue.vote(claim.lease, rater, answer, ms=3_000, request=request)

    def done(self, *words: str) -> str:
        with using_settings(home=self.home, actor="ada"):
            done = CliRunner().invoke(app, ["label", *words], catch_exceptions=False)
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    def told(self, *words: str) -> Any:
        return json.loads(self.done(*words, "--json"))

    def refused(self, *words: str) -> str:
        with using_settings(home=self.home, actor="ada"):
            done = CliRunner().invoke(app, ["label", *words])
        assert done.stdout == ""
        assert isinstance(done.exception, HeadraceError), done.exception
        return str(done.exception)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("tasks",),
        ("show",),
        ("batches",),
        ("close",),
        ("sync",),
        ("agreement",),
        ("export",),
        ("raters",),
        ("raters", "list"),
        ("raters", "add"),
        ("raters", "rotate"),
        ("raters", "revoke"),
    ],
)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, ["label", *command, "--help"])

    assert (shown.exit_code, "Example: headrace label" in shown.stdout) == (0, True)


def test_without_a_task_it_is_said_how_one_is_made(desk: Desk) -> None:
    assert desk.done("tasks") == (
        "There is no labeling task yet; a flow that asks for labels makes one, such as "
        "`headrace run label_round -p loop=NAME`.\n"
    )


def test_a_task_shows_how_far_it_is_and_who_did_what(desk: Desk) -> None:
    batch = desk.ask()
    desk.votes("ada", "sport", "business", None)
    desk.votes("bob", "sport")

    listed = desk.done("tasks").splitlines()
    shown = desk.done("show", "topic")

    assert listed[0].split("  ")[0] == "task"
    assert re.split(r"\s{2,}", listed[1]) == [
        "topic", "single", "1", "1", "2", "3", "http://127.0.0.1:8600/label/topic",
    ]  # fmt: skip
    assert shown.startswith(
        "What is it about?  (topic), label at http://127.0.0.1:8600/label/topic\n"
        "  single: business, sport; 2 raters an item\n"
        "  Raters see: text\n"
        f"  Version 1 of the labels: {TASK.labels.version}\n"
        "  | Read it whole.\n"
        "  |\n"
        "  | - Then say.\n"
    )
    rows = [re.split(r"\s{2,}", line) for line in shown.splitlines()]
    assert [batch.id, "topic", "1", "open", "1 of 3", "3 of 6", "1"] in [r[:7] for r in rows]
    assert ["ada", "2", "1", "0.1"] in rows
    assert ["bob", "1", "0", "0.1"] in rows


def test_what_nobody_is_left_to_answer_is_said_with_the_remedy(desk: Desk) -> None:
    batch = desk.ask()
    for rater in ("ada", "bob"):
        desk.raters.add(rater)
    desk.votes("ada", "sport")
    before = desk.done("batches", "topic")

    desk.done("raters", "revoke", "bob")

    said = desk.done("show", "topic")
    assert "waits in vain" not in before
    assert desk.told("batches", "topic")[0]["stranded"]["items"] == 1
    assert (
        f"Batch {batch.id} waits in vain: nobody is left to answer 1 item and 2 items cannot get "
        "all votes.\n  Fix: Add a rater: `headrace label raters add NAME`; or end it as it is: "
        f"`headrace label close {batch.id} --reason ...`.\n"
    ) in said


def test_scripts_get_the_same_as_json(desk: Desk) -> None:
    batch = desk.ask()
    desk.votes("ada", "sport")

    task, batches = desk.told("show", "topic"), desk.told("batches", "topic", "--status", "open")

    assert LabelTask.model_validate(task["declared"]) == TASK
    assert task["batches"] == batches
    assert (batches[0]["id"], batches[0]["votes"], batches[0]["deadline"]) == (batch.id, 1, None)
    assert desk.told("batches", "--status", "closed") == []


def test_a_batch_is_closed_with_a_reason_and_takes_no_vote_after_it(desk: Desk) -> None:
    batch = desk.ask()
    desk.votes("ada", "sport")

    said = desk.done("close", batch.id[:6], "--reason", "enough")

    assert said == f"Batch {batch.id} of 'topic' is closed: 1 of 6 votes, 0 of 3 items done.\n"
    assert "closed: enough" in desk.done("batches", "topic")
    assert desk.queue.claim("topic", "bob") is None


def test_a_rater_gets_a_token_once_and_loses_it(desk: Desk) -> None:
    added = desk.told("raters", "add", "ada", "--adjudicates")
    listed = desk.done("raters", "list")
    desk.done("raters", "rotate", "ada")
    with pytest.raises(HeadraceError):
        desk.raters.sign_in(added["token"])
    desk.done("raters", "revoke", "ada")

    assert (added["rater"], added["url"]) == ("ada", "http://127.0.0.1:8600")
    assert added["token"] not in listed
    assert re.split(r"\s{2,}", listed.splitlines()[1])[2:4] == ["yes", "ada"]
    assert "taken away" in desk.done("raters", "list")


def test_agreement_is_told_with_the_accuracy_on_gold(desk: Desk) -> None:
    desk.ask()
    desk.votes("ada", "sport", "business", "sport")
    desk.votes("bob", "sport", "business", "business")

    document, said = desk.told("agreement", "topic"), desk.done("agreement", "topic")

    assert (document["items"], document["votes"]) == (3, 6)
    # by hand: two of three pairs agree, of 6 answers 3 are sport: 1 - (1/3) / (18/30)
    assert document["alpha"]["value"] == pytest.approx(1 - (1 / 3) / 0.6)
    assert "Krippendorff's alpha 0.444" in said
    assert "ada, bob" in said


def test_agreement_on_numbers_is_how_far_they_are_apart(desk: Desk) -> None:
    kilos = LabelSchema(kind="number", unit="kg", tolerance=0.5)
    desk.ask(2, TASK.model_copy(update={"labels": kilos}), suggested="1.4")
    desk.votes("ada", "1.0", "3.0")
    desk.votes("bob", "1.5", "4.0")

    told = [re.split(r"\s{2,}", line) for line in desk.done("agreement", "topic").splitlines()]

    assert told[2] == ["raters", "items", "agree", "apart"]
    assert told[3] == ["ada, bob", "2", "50%", "0.750"]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_votes_are_exported_whole_and_never_over_a_file(desk: Desk, form: str) -> None:
    desk.ask()
    desk.votes("ada", "sport", None)
    file = f"votes.{form}"

    said = desk.done("export", "topic", file)
    again = desk.refused("export", "topic", file)

    assert said == f"2 votes of 'topic' are in {file}.\n"
    assert again == f"The file '{file}' exists.\n  Fix: Name another one, or say --force."
    assert desk.done("export", "topic", file, "--force") == said
    assert [path.name for path in desk.home.glob("votes*")] == [file]


def test_what_there_is_not_is_refused_with_the_nearest_name(desk: Desk) -> None:
    batch = desk.ask()

    assert "Did you mean 'topic'?" in desk.refused("show", "topics")
    assert desk.refused("batches", "--status", "opened").startswith(
        "There is no status of a batch 'opened'. Did you mean 'open'?"
    )
    assert desk.refused("export", "topic", "votes.xls") == (
        "The file 'votes.xls' has the ending '.xls', which is none of .parquet, .jsonl, .csv.\n"
        "  Fix: Name a file with one of these endings."
    )
    assert "There is no batch" in desk.refused("close", f"{batch.id}x", "--reason", "late")
