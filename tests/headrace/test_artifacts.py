"""Artifacts are frozen handles; while a flow is planned they have no data, and say so."""

from __future__ import annotations

import copy
import pickle
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest

from headrace import (
    Col,
    Evaluation,
    Labels,
    Model,
    Partitions,
    Report,
    Schema,
    SelectedModel,
    Table,
    TestSet,
    TrainSet,
)
from headrace.artifacts import Artifact, kind_named
from headrace.content import document_digest
from headrace.errors import BoundaryError, DefinitionError, UnknownNameError
from headrace.models import ModelCard, ModelFeature
from headrace.symbols import DataTouched, Symbol, shown_in


class Delays(Schema, Protocol):
    """A flight and its delay."""

    flight: Annotated[str, Col(role="entity")]
    delay: Annotated[float | None, Col(unit="min")]


CARD = ModelCard(
    task="classification",
    flavor="xgboost",
    features=(ModelFeature(name="carrier", dtype="category", categories=("AA", "UA")),),
    label="late",
    classes=("on time", "late"),
    slices=({"column": "carrier", "value": "AA"},),
    metrics={"auc": 0.7},
)


def symbolic(kind: type[Artifact] = Table, **more: Any) -> Any:
    return kind.symbolic(Symbol(node="sub/made#2", slot="result", kind=kind.__name__, **more))


def test_a_table_is_held_to_the_schema_it_is_made_with():
    table = Table[Delays].of(pd.DataFrame({"delay": [1, 2], "more": [0, 0], "flight": ["a", "b"]}))

    assert table.frame().to_dict("list") == {"flight": ["a", "b"], "delay": [1.0, 2.0]}
    assert table.rows == 2
    assert table.schema is not None
    assert table.schema.column("delay").unit == "min"
    with pytest.raises(BoundaryError) as refused:
        Table[Delays].of({"flight": ["a"]})
    assert refused.value.problem == (
        "Data for schema 'Delays' does not fit schema 'Delays': column 'delay' is missing. "
        "Known: 'flight'."
    )


def test_a_digest_depends_on_what_a_table_holds_and_not_on_its_kind_or_maker():
    frame = pd.DataFrame({"flight": ["a"], "delay": [1.0]})

    digests = {
        Table.of(frame).digest,
        TrainSet.of(frame.to_dict("list")).digest,
        Labels.of(frame.iloc[::-1].reset_index(drop=True)).digest,
    }

    assert len(digests) == 1
    assert Table.of(frame.assign(delay=2.0)).digest not in digests


def test_kinds_are_siblings_so_that_none_passes_for_another():
    assert not issubclass(TestSet, TrainSet)
    assert issubclass(SelectedModel, Model)
    assert kind_named("TestSet") is TestSet
    with pytest.raises(UnknownNameError, match=r"There is no artifact kind 'Tabel'\. Did you mean"):
        kind_named("Tabel")


def test_a_model_has_its_card_among_its_files():
    model = Model.of({"model.ubj": b"\x00"}, card=CARD, notes={"fit_seconds": 1.5})

    chosen = SelectedModel.chosen(model)

    assert model.card == CARD
    assert model.read("model.ubj") == b"\x00"
    assert model.notes == {"fit_seconds": 1.5}
    assert (chosen.kind, chosen.digest) == ("SelectedModel", model.digest)
    assert Model.of({"model.ubj": b"\x00"}, card=CARD).digest == model.digest
    with pytest.raises(UnknownNameError) as refused:
        model.read("model.ub")
    assert refused.value.problem == (
        "There is no file of the model 'model.ub'. Did you mean 'model.ubj' or 'model.json'?"
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"model.json": b""}, "File 'model.json' of a model has the name of its card."),
        ({"model.ubj": "text"}, "File 'model.ubj' of a model is str."),
    ],
)
def test_a_models_files_are_bytes_beside_its_card(files: Any, said: str):
    with pytest.raises(DefinitionError) as refused:
        Model.of(files, card=CARD)

    assert refused.value.problem == said


def test_a_document_is_json_and_its_notes_are_no_part_of_it():
    report = Report.of({"passed": True, "rows": 3}, notes={"seconds": 2})

    assert report.passed
    assert not Report.of({"passed": "yes"}).passed
    assert not Report.of({}).passed
    assert report.digest == Report.of({"rows": 3, "passed": True}).digest


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param({"auc": np.float32(0.5)}, "The document cannot be written as JSON: Object of "
                     "type float32 is not JSON serializable.", id="a numpy number"),
        pytest.param({1: 2}, "The document has keys that are no text: ['1'].", id="a number as "
                     "key"),
        pytest.param([1], "The document cannot be written as JSON: ", id="a list"),
    ],
)  # fmt: skip
def test_what_json_cannot_hold_is_refused(document: Any, said: str):
    with pytest.raises(DefinitionError) as refused:
        Evaluation.of(document)

    assert refused.value.problem.startswith(said)


def test_partitions_have_names_and_a_digest_of_all():
    tables = {"b": Table.of({"x": [1]}), "a": Table.of({"x": [2]})}

    partitions = Partitions.of(tables)

    assert list(partitions.items) == ["b", "a"]
    assert partitions.digest == document_digest({k: t.digest for k, t in tables.items()})
    assert repr(partitions) == f"<Partitions {partitions.digest[:12]}>"
    with pytest.raises(DefinitionError) as refused:
        Partitions.of({"a": 3})  # type: ignore[type-var]
    assert refused.value.problem == "Partition 'a' is of type int; names are text, items artifacts."


def test_a_handle_is_frozen_so_a_copy_is_itself():
    for handle in (Table.of({"x": [1]}), symbolic()):
        assert copy.copy(handle) is handle
        assert copy.deepcopy(handle) is handle


def test_real_artifacts_compare_by_identity_and_are_no_containers():
    one, two = Table.of({"x": [1]}), Table.of({"x": [1]})

    assert one == one  # noqa: PLR0124
    assert one != two
    assert len({one, two}) == 2
    assert bool(one)
    for use in (len, iter, lambda t: t["x"], lambda t: 3 in t, lambda t: t < 3):
        with pytest.raises(TypeError):
            use(one)
    with pytest.raises(AttributeError, match="'Table' object has no attribute 'shape'"):
        _ = one.shape  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "use", "what"),
    [
        (Table, lambda a: a.frame(), "frame()"),
        (Table, lambda a: a.arrow(), "arrow()"),
        (Table, lambda a: a.rows, "rows"),
        (Table, lambda a: a.digest, "digest"),
        (Table, lambda a: a.uri, "uri"),
        (Table, len, "len()"),
        (Table, list, "iteration"),
        (Table, lambda a: a["x"], "[...]"),
        (Table, lambda a: "x" in a, "in"),
        (Table, lambda a: a == symbolic(), "=="),
        (Table, lambda a: a == 3, "=="),
        (Table, lambda a: a != 3, "=="),
        (Table, lambda a: a <= 3, "<="),
        (Table, lambda a: sorted([a, symbolic()]), "<"),
        (Table, pickle.dumps, "pickle"),
        (Table, lambda a: a.shape, "shape"),
        (Model, lambda a: a.card, "card"),
        (Model, lambda a: a.read("x"), "read()"),
        (Model, lambda a: a.directory(), "directory()"),
        (Model, SelectedModel.chosen, "selection"),
        (Evaluation, lambda a: a.document["auc"], "document"),
        (Evaluation, lambda a: a.auc, "auc"),
    ],
)
def test_whoever_looks_into_a_planned_artifact_is_told_what_to_do(kind: Any, use: Any, what: str):
    with pytest.raises(DataTouched) as touched:
        use(symbolic(kind))

    assert str(touched.value).startswith(
        f"The flow body uses `{what}` of the {kind.__name__} from 'sub/made#2', which has no data "
        "while the flow is planned.\n  Fix: "
    )
    assert not isinstance(touched.value, Exception)


@pytest.mark.parametrize("use", [bool, lambda r: r.passed, lambda r: r and 1, lambda r: not r])
def test_whoever_branches_on_a_planned_report_is_pointed_to_when(use: Any):
    with pytest.raises(DataTouched) as touched:
        use(symbolic(Report))

    assert str(touched.value) == (
        "The flow body branches on the Report from 'sub/made#2', whose value does not exist while "
        "the flow is planned.\n"
        "  Fix: Write `with when(made): ...`, giving `when` the Report that decides."
    )


def test_a_planned_artifact_may_be_named_kept_and_asked_for():
    table, other = symbolic(), symbolic()

    assert table != None  # noqa: E711  an answer that is known
    assert {table: 1, other: 2}[other] == 2
    assert table in {table}
    assert repr(table) == str(table) == "<Table to be made by sub/made#2>"
    assert shown_in(f"see {table}!") == "<Table to be made by sub/made#2>"
    assert not hasattr(table, "_repr_html_")
