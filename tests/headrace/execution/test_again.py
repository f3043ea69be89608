"""A node of a past run is called again on the inputs that it had, and nothing is recorded."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import pytest

from headrace import Col, Partitions, Report, Schema, Table, flow, map_over, operator
from headrace.artifacts import Artifact
from headrace.errors import DataError, HeadraceError
from headrace.execution import Session, run_plan
from headrace.execution.again import CalledAgain, call_again, frames_of_body, prepare_again
from headrace.execution.recorded import recorded_node

STRONG = 3.0


class Cup(Schema, Protocol):
    cup: Annotated[int, Col(role="entity")]
    tea: Annotated[float, Col(unit="l")]
    sort: str


class Amount(Schema, Protocol):
    tea: Annotated[float, Col(unit="l")]


@operator()
def brew(*, cups: int = 4) -> Table[Cup]:
    """Brew some tea."""
    sorts = ["green" if i % 2 else "black" for i in range(cups)]
    return Table[Cup].of({"cup": list(range(cups)), "tea": [0.5] * cups, "sort": sorts})


@operator()
def add_up(cups: Table[Amount], *, least: float = 1.0) -> Report:
    """Add up what is in the cups."""
    total = float(cups.frame().tea.sum())
    return Report.of({"passed": total >= least, "tea": total})


@operator()
def taste(cups: Table[Cup], *, seed: int | None = None) -> Report:
    """Judge the tea."""
    frame = cups.frame()
    if float(frame.tea.sum()) < STRONG:
        raise DataError(f"{len(frame)} cups are too weak.", remedy="Take more leaves.")
    return Report.of({"passed": True, "by": seed})


@operator()
def guess(cups: Table[Cup]) -> Report:
    """Guess what it costs."""
    return Report.of({"costs": uuid.uuid4().hex})


@operator()
def by_sort(cups: Table[Cup]) -> Partitions[Table[Cup]]:
    """Put the cups apart."""
    frame = cups.frame()
    return Partitions.of({str(k): Table[Cup].of(part) for k, part in frame.groupby("sort")})


@operator()
def gather(parts: list[Table[Cup]]) -> Table[Cup]:
    """Put the cups together."""
    import pandas as pd

    return Table[Cup].of(pd.concat([part.frame() for part in parts]))


@operator(timeout=30, retries=2)
def measure(cups: Table[Cup]) -> Report:
    """Measure the cups."""
    return Report.of({"cups": cups.rows})


@operator(effect=True)
def serve(report: Report) -> Report:
    """Serve the cups."""
    return report


@flow
def tea(cups: int = 4, least: float = 1.0) -> tuple[Report, Report]:
    """Make tea."""
    made = brew(cups=cups)
    return serve(add_up(made, least=least)), serve(taste(made))


@flow
def sorted_tea() -> tuple[Table[Cup], Partitions[Report]]:
    """Make tea by sort."""
    made = brew()
    return gather([made, made]), map_over(add_up, by_sort(made))


@flow
def guessed_tea() -> tuple[Report, Report]:
    """Make tea and guess."""
    made = brew()
    return guess(made), measure(made)


def ran(some: Any, session: Session, **arguments: Any) -> str:
    """Run a flow and return the reference of the run."""
    return f"run:{run_plan(some.plan_with(arguments), session).id}"


def called(ref: str, some: Any, session: Session) -> CalledAgain:
    """Call a node again."""
    recorded = recorded_node(session.lineage, ref)
    return call_again(prepare_again(recorded, some, session=session))


def reported(outputs: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return what the report among the outputs says."""
    report = outputs["result"]
    assert isinstance(report, Report)
    return report.document


def refused(ref: str, some: Any, session: Session) -> str:
    """Return why a node cannot be called again, the run's id left out."""
    with pytest.raises(HeadraceError) as caught:
        called(ref, some, session)
    run_id = session.lineage.runs(1)[0].id
    return str(caught.value).replace(run_id, "<id>").replace(run_id[:12], "<id>")


@pytest.mark.parametrize(
    ("some", "node"),
    [
        pytest.param(tea, "brew", id="without inputs"),
        pytest.param(tea, "add_up", id="that sees fewer columns than were made"),
        pytest.param(sorted_tea, "by_sort", id="that makes partitions"),
        pytest.param(sorted_tea, "gather", id="that takes a list"),
        pytest.param(sorted_tea, "add_up[green]", id="of one partition"),
    ],
)
def test_a_node_gives_the_same_digest_and_nothing_is_said_to_have_changed(
    some: Any, node: str, session: Session
) -> None:
    run = ran(some, session)

    again = prepare_again(recorded_node(session.lineage, f"{run}/{node}"), some, session=session)
    made = call_again(again)

    assert again.changes == ()
    assert made.error is None
    assert made.same is True
    assert dict(made.digests) == dict(made.recorded) != {}


def test_a_node_that_was_reused_is_called_again_on_the_inputs_that_it_would_have_had(
    session: Session,
) -> None:
    ran(tea, session, cups=6)
    run = ran(tea, session, cups=6)

    made = called(f"{run}/taste", tea, session)

    assert session.lineage.resolve(f"{run}/taste").state == "cached"  # type: ignore[union-attr]
    assert made.same is True


def test_nothing_is_recorded_and_nothing_is_stored(session: Session) -> None:
    run = ran(guessed_tea, session)
    stored, runs = set(session.store.digests()), session.lineage.runs()

    called(f"{run}/guess", guessed_tea, session)

    assert set(session.store.digests()) == stored
    assert session.lineage.runs() == runs
    assert len(session.lineage.invocations(runs[0].id)) == 3


def test_a_node_that_failed_fails_in_this_process_where_it_failed_then(session: Session) -> None:
    run = ran(tea, session, cups=4)

    recorded = recorded_node(session.lineage, run)  # its only failed node
    again = prepare_again(recorded, tea, session=session)
    made = call_again(again)

    assert recorded.node == "taste"
    assert str(made.error) == recorded.message == "4 cups are too weak.\n  Fix: Take more leaves."
    frames = None if made.error is None else frames_of_body(again, made.error)
    assert frames is not None
    assert frames.tb_frame.f_code is taste.body.__code__
    assert list(frames.tb_frame.f_locals["frame"].columns) == ["cup", "tea", "sort"]
    assert made.same is None


def test_with_corrected_code_it_gives_a_result_and_the_correction_is_named(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ran(tea, session, cups=4)
    monkeypatch.setattr(f"{__name__}.STRONG", 2.0)

    again = prepare_again(recorded_node(session.lineage, run), tea, session=session)
    made = call_again(again)

    assert again.changes == (f"the constant '{__name__}.STRONG' changed from 3.0 to 2.0",)
    assert (made.error, made.same) == (None, None)
    assert reported(made.outputs) == {"passed": True, "by": again.recorded.seed}


def test_the_runs_seed_is_used_not_the_flows(session: Session) -> None:
    finished = run_plan(tea.plan_with({"cups": 8}, seed=11), session)

    again = prepare_again(
        recorded_node(session.lineage, f"run:{finished.id}/taste"), tea, session=session
    )

    assert again.node.seed == reported(finished.outcomes["taste"].outputs)["by"]
    assert call_again(again).same is True


def test_a_body_that_is_not_deterministic_is_found_out(session: Session) -> None:
    run = ran(guessed_tea, session)

    again = prepare_again(
        recorded_node(session.lineage, f"{run}/guess"), guessed_tea, session=session
    )

    assert again.changes == ()
    assert call_again(again).same is False


def test_a_timeout_and_retries_do_not_count_and_it_is_said(session: Session) -> None:
    run = ran(guessed_tea, session)

    recorded = recorded_node(session.lineage, f"{run}/measure")
    again = prepare_again(recorded, guessed_tea, session=session)

    assert call_again(again).same is True
    assert again.remarks == (
        "Its timeout of 30 s does not count here: it runs in this process.",
        "It is called once; its retries do not count here.",
    )


def test_latest_is_the_newest_run_whatever_became_of_the_node(session: Session) -> None:
    ran(tea, session, cups=8)
    failed = ran(tea, session, cups=2)

    by_flow = recorded_node(session.lineage, "taste", flow="tea")
    by_reference = recorded_node(session.lineage, "latest:tea/taste")

    assert by_flow == by_reference
    assert (f"run:{by_flow.run_id}", by_flow.state) == (failed, "failed")


def test_an_input_that_is_gone_is_named_with_the_node_that_makes_it(session: Session) -> None:
    run = ran(tea, session, cups=8)
    (edge,) = recorded_node(session.lineage, f"{run}/taste").inputs
    session.store.discard(edge.digest)

    said = refused(f"{run}/taste", tea, session)

    assert said == (
        f"Input 'cups' of 'taste' (Table artifact:{edge.digest[:12]}; 'brew' made it) is not in "
        "the store any more, or damaged.\n"
        "  Fix: make it again: `headrace runs rerun run:<id>`, then name the node of that run."
    )


def test_an_effect_is_refused_since_it_would_act_again(session: Session) -> None:
    run = ran(tea, session, cups=8)

    said = refused(f"{run}/serve", tea, session)

    assert said == (
        "'serve' of run:<id> is an effect: it acts on the world, and would act unrecorded here.\n"
        "  Fix: go on with the run, `headrace resume run:<id>`, or run the flow again."
    )


def test_a_node_that_was_skipped_had_no_inputs(session: Session) -> None:
    @flow
    def weak() -> tuple[Report, Report]:
        """Make weak tea."""
        tasted = taste(brew(cups=2))
        return add_again(tasted), serve(tasted)

    run = ran(weak, session)

    said = refused(f"{run}/add_again", weak, session)

    assert said == (
        "'add_again' of run:<id> was skipped, so no inputs were recorded. skipped: 'taste' has "
        "failed\n"
        "  Fix: name a node that ran; `headrace explain run:<id>` shows which did."
    )


@operator()
def add_again(report: Report) -> Report:
    """Add to a report."""
    return report


def test_a_run_without_exactly_one_failed_node_asks_for_the_node(session: Session) -> None:
    run = ran(tea, session, cups=8)

    said = refused(run, tea, session)

    assert said == (
        "Which node of run:<id> is meant is not said: none of its 5 nodes has failed.\n"
        "  Fix: name one, as in run:<id>/<node>; `headrace explain run:<id>` lists them."
    )


def test_an_artifact_is_not_a_node(session: Session) -> None:
    run = ran(tea, session, cups=8)
    digest = recorded_node(session.lineage, f"{run}/brew").outputs[0].digest

    said = refused(f"{run}/brew.result", tea, session)

    assert said == (
        f"'{run}/brew.result' names an artifact, not a node.\n"
        "  Fix: name the node that made it, as in run:<id>/<node>; "
        f"`headrace explain artifact:{digest[:12]}` shows it."
    ).replace(run, "run:<id>")


def test_a_node_that_the_flow_has_no_more_is_refused_with_the_nearest(session: Session) -> None:
    run = ran(tea, session, cups=8)

    @operator()
    def tasting(cups: Table[Cup]) -> Report:
        """Judge the tea."""
        return Report.of({"passed": True})

    @flow(grants=())
    def renamed(cups: int = 4, least: float = 1.0) -> Report:
        """Make tea in another way."""
        return tasting(brew(cups=cups))

    said = refused(f"{run}/taste", renamed, session)

    assert said == (
        "There is no node of today's flow 'renamed' called 'taste'. Did you mean 'tasting'?\n"
        "  Fix: name a node that it still has; `headrace plan renamed` lists them."
    )


def test_parameters_that_the_flow_takes_no_more_are_refused_with_the_nearest(
    session: Session,
) -> None:
    run = ran(tea, session, cups=8)

    @flow
    def tea_today(cups: int = 4, at_least: float = 1.0) -> Report:
        """Make tea."""
        return add_up(brew(cups=cups), least=at_least)

    said = refused(f"{run}/add_up", tea_today, session)

    assert said == (
        "The parameters of run:<id> do not fit the flow of today. Flow 'tea_today' cannot start: "
        "there is no parameter 'least'. Did you mean 'at_least'?\n"
        "  Fix: change them: `headrace runs fork run:<id> -p name=value --without name`."
    )


def test_what_was_handed_in_has_no_body(session: Session) -> None:
    @flow
    def given(cups: Table[Cup]) -> Report:
        """Add up given tea."""
        return add_up(cups)

    run = ran(given, session, cups=brew(cups=2))

    assert refused(f"{run}/given", given, session) == (
        "'given' of run:<id> was handed in; there is no body to call.\n"
        "  Fix: name a node that an operator made."
    )
    assert refused(f"{run}/add_up", given, session) == (
        "Flow 'given' takes artifacts ('cups'), which run:<id> recorded without names.\n"
        '  Fix: call it in Python on what was handed in: `load("run:<id>/given")`.'
    )
