"""This module holds the small operators that the corpus' flows are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import pandas as pd

from benchmarks._plan_corpus.columns import (
    Counted,
    Decided,
    Dimensionless,
    DistanceAsLabel,
    Flights,
    Identified,
    InSeconds,
    Known,
    KnownEarly,
    LabelAsFeature,
    Late,
    Loose,
    Miles,
    Numbered,
    Tailed,
    UnitedOnly,
    Whole,
    month_file,
    two_flights,
)
from headrace import (
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
    ValidationSet,
    operator,
)
from headrace.calls import Finding, PlannedCall
from headrace.errors import ParameterError
from headrace.grants import External
from headrace.models import ModelCard, ModelFeature
from headrace.schemas import Column

S = TypeVar("S", bound=Schema)


@operator()
def flights(*, month: int = 1) -> Table[Flights]:
    """Make two flights."""
    return Table.of(two_flights().assign(month=month))


@operator(reads=month_file)
def flights_from_file(*, month: int = 1) -> Table[Flights]:
    """Make the flights of a month's file."""
    return Table.of(two_flights().assign(month=month))


@operator()
def anything() -> Table[Any]:
    """Make flights without saying which columns."""
    return Table.of(two_flights())


@operator()
def label(rows: Table[Flights], *, above: float = 15.0) -> Labels[Late]:
    """Label flights whose delay is above a number of minutes."""
    frame = rows.frame()
    return Labels.of(frame.assign(label=(frame["delay"] > above).astype("int64")))


@operator()
def parted(rows: Labels[S]) -> tuple[TrainSet[S], ValidationSet[S], TestSet[S]]:
    """Part rows into three sets."""
    frame = rows.frame()
    return TrainSet.of(frame), ValidationSet.of(frame), TestSet.of(frame)


def _model(task: Literal["classification", "estimation"]) -> Model:
    features = (ModelFeature(name="distance", dtype="float"),)
    card = ModelCard(task=task, flavor="sklearn", features=features, label="label")
    return Model.of({"weights": b"1"}, card=card)


@operator(task="classification")
def fit(train: TrainSet[S], validation: ValidationSet[S] | None = None, *, depth: int = 3) -> Model:
    """Fit a classifier."""
    return _model("classification")


@operator(task="estimation")
def fit_regression(train: TrainSet[S]) -> Model:
    """Fit an estimator."""
    return _model("estimation")


@operator()
def choose(models: list[Model], validation: ValidationSet[S]) -> SelectedModel:
    """Choose the first model."""
    return SelectedModel.chosen(models[0])


@operator()
def test(model: SelectedModel, rows: TestSet[S]) -> Evaluation:
    """Test the chosen model."""
    return Evaluation.of({"task": model.card.task, "rows": rows.rows})


@operator(task="classification")
def test_classifier(model: SelectedModel, rows: TestSet[S]) -> Evaluation:
    """Test the chosen classifier."""
    return Evaluation.of({"task": model.card.task, "rows": rows.rows})


@operator()
def checked(rows: Table[Flights]) -> Report:
    """Report whether there are flights."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def tidied(rows: Table[S]) -> Table[S]:
    """Give back the same rows."""
    return rows


@operator()
def identified(rows: Table[Identified]) -> Report:
    """Count what has an identity."""
    return Report.of({"passed": True, "rows": rows.rows})


@operator()
def whole(rows: Table[Whole]) -> Report:
    """Sum the delays."""
    return Report.of({"passed": True, "sum": float(rows.frame()["delay"].sum())})


@operator()
def by_tail(rows: Table[Tailed]) -> Report:
    """Count aircraft."""
    return Report.of({"passed": True, "tails": rows.frame()["tail_number"].nunique()})


@operator()
def in_seconds(rows: Table[InSeconds]) -> Report:
    """Sum the delays in seconds."""
    return Report.of({"passed": True, "sum": float(rows.frame()["delay"].sum())})


@operator()
def numbered(rows: Table[Numbered]) -> Report:
    """Sum the numbers."""
    return Report.of({"passed": True, "sum": int(rows.frame()["flight_id"].sum())})


@operator()
def decided_at_landing(rows: Table[Known]) -> Report:
    """Take the landing for the decision."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def delay_known_early(rows: Table[KnownEarly]) -> Report:
    """Take the delay for known at the decision."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def peek_at_label(rows: Labels[LabelAsFeature]) -> Report:
    """Take the label for a feature."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def predict_distance(rows: Labels[DistanceAsLabel]) -> Report:
    """Take the distance for the label."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def united(rows: Table[UnitedOnly]) -> Report:
    """Count one carrier."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def loose(rows: Table[Loose]) -> Report:
    """Take seats as floats and carriers as text."""
    return Report.of({"passed": True, "seats": float(rows.frame()["seats"].mean())})


@operator()
def same_rows(one: Table[S], two: Table[S]) -> Report:
    """Compare two tables."""
    return Report.of({"passed": one.rows == two.rows})


@operator()
def stacked(parts: list[Table[S]]) -> Table[S]:
    """Put tables below each other."""
    return Table.of(pd.concat([p.frame() for p in parts]))


@operator()
def either(rows: Table[Flights] | Labels[Flights]) -> Report:
    """Take flights, labelled or not."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def counted(rows: Table[Flights], *, least: int = 0) -> Table[Counted]:
    """Count flights by carrier."""
    found = rows.frame().groupby("carrier", observed=True).size().rename("flights").reset_index()
    return Table.of(found[found["flights"] >= least].astype({"carrier": "str"}))


@operator()
def by_day(rows: Table[S]) -> Partitions[Table[S]]:
    """Part rows by day."""
    days = rows.frame().groupby(rows.frame()["decided_at"].dt.date)
    return Partitions.of({str(day): Table.of(found) for day, found in days})


@operator()
def together(days: Partitions[Table[S]]) -> Table[S]:
    """Put partitions together."""
    return Table.of(pd.concat([table.frame() for table in days.items.values()]))


@operator(effect=True)
def publish(report: Report) -> Report:
    """Publish a report."""
    return report


@operator(effect=True)
def register(model: SelectedModel, *, name: str) -> Report:
    """Register a model."""
    return Report.of({"passed": True, "name": name})


@operator(effect=True)
def announce(*, text: str) -> None:
    """Say something."""


@operator(keeps=("flight_id", "dealy"))
def keeping_misspelt(rows: Table[S]) -> Table[S]:
    """Keep a column that is not there."""
    return Table.of(rows.frame()[["flight_id", "delay"]])


@operator(drops=("tail",))
def dropping_unknown(rows: Table[S]) -> Table[S]:
    """Drop a column that is not there."""
    return rows


@operator(renames={"carier": "airline"})
def renaming_misspelt(rows: Table[S]) -> Table[S]:
    """Rename a column that is not there."""
    return rows


@operator(renames={"carrier": "flight_id"})
def renaming_onto_another(rows: Table[S]) -> Table[S]:
    """Rename a column to a name that is taken."""
    return rows


@operator(drops=("delay",))
def without_delay(rows: Table[S]) -> Table[S]:
    """Drop the delay."""
    return Table.of(rows.frame().drop(columns="delay"))


@operator(keeps=("flight_id", "carrier"))
def only_names(rows: Table[S]) -> Table[S]:
    """Keep the names."""
    return Table.of(rows.frame()[["flight_id", "carrier"]])


@operator(renames={"carrier": "airline"})
def with_airline(rows: Table[S]) -> Table[S]:
    """Call the carrier an airline."""
    return Table.of(rows.frame().rename(columns={"carrier": "airline"}))


@operator(adds=(Column(name="tail_number", dtype="string"),))
def with_tail(rows: Table[S]) -> Table[S]:
    """Add the tail number."""
    return Table.of(rows.frame().assign(tail_number="N1"))


@operator(gpu=64)
def on_gpus(rows: TrainSet[S]) -> Report:
    """Need 64 GPUs."""
    return Report.of({"passed": rows.rows > 0})


@operator(memory="900TB")
def in_memory(rows: TrainSet[S]) -> Report:
    """Need 900 TB."""
    return Report.of({"passed": rows.rows > 0})


@operator(cpu=100_000)
def on_cores(rows: TrainSet[S]) -> Report:
    """Need 100,000 cores."""
    return Report.of({"passed": rows.rows > 0})


def _few(call: PlannedCall) -> list[Finding]:
    schema = call.schema("rows")
    if schema is None or call.parameters["column"] in schema:
        return []
    column = call.parameters["column"]
    return [
        Finding(
            problem=f"There is no column '{column}' to sum.",
            remedy="Name a column of the input.",
            rule="unknown column",
            input="rows",
        )
    ]


@operator(check=_few)
def summed(rows: Table[S], *, column: str) -> Report:
    """Sum a column."""
    return Report.of({"passed": True, "sum": float(rows.frame()[column].sum())})


def _refuses_negative(parameters: Mapping[str, Any]) -> Sequence[External]:
    if parameters["year"] < 2000:
        raise ParameterError("There are no files before 2000.", remedy="Take a later year.")
    return []


@operator(reads=_refuses_negative)
def archive(*, year: int) -> Table[Flights]:
    """Make the flights of a year."""
    return Table.of(two_flights().assign(year=year))


@operator()
def styled(rows: Table[S], *, style: Literal["long", "wide"] = "long") -> Table[S]:
    """Give rows a style."""
    return rows


@operator()
def weighed(rows: Table[S], *, weights: dict[str, float]) -> Report:
    """Weigh rows."""
    return Report.of({"passed": rows.rows > 0, "weights": weights})


@operator(infer=True)
def twice(rows: Table[Flights]) -> Table[Any]:
    """Add twice the distance."""
    frame = rows.frame()
    return Table.of(frame.assign(twice=frame["distance"] * 2))


@operator()
def whole_miles(rows: Table[Miles]) -> Report:
    """Sum whole miles."""
    return Report.of({"passed": True, "sum": int(rows.frame()["distance"].sum())})


@operator()
def dimensionless(rows: Table[Dimensionless]) -> Report:
    """Sum counts."""
    return Report.of({"passed": True, "sum": int(rows.frame()["flights"].sum())})


@operator()
def delay_free(rows: Table[Decided]) -> Report:
    """Need the decision and no delay."""
    return Report.of({"passed": rows.rows > 0})


@operator()
def whole_labels(rows: Labels[Whole]) -> Report:
    """Sum the delays of labelled flights."""
    return Report.of({"passed": True, "sum": float(rows.frame()["delay"].sum())})


@operator(drops=("seats",))
def shortened(rows: Labels[S]) -> Labels[S]:
    """Drop the seats."""
    return Labels.of(rows.frame().drop(columns="seats"))
