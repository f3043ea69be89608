from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.view import Entity, FeatureView
from headrace import Col, Labels, Report, Schema, Table
from headrace.errors import DataError, DefinitionError
from operators._gain_verdict import adjusted
from operators.check_known_times import check_known_times
from operators.compute_features import compute_features
from operators.measure_gain import measure_gain

START = datetime(2024, 1, 1, tzinfo=UTC)
MACHINE = Entity(name="machine", column="machine")
MACHINES, DAYS = 40, 60


class Fault(Schema, Protocol):
    """This is whether a machine failed on the day after a decision."""

    case: Annotated[str, Col(role="entity")]
    machine: str
    decided_at: Annotated[datetime, Col(role="decision_time")]
    label_known_at: Annotated[datetime, Col(role="known_time")]
    load: Annotated[float, Col(role="feature", known_at="decided_at")]
    failed: Annotated[int, Col(role="label")]


class Measured(Schema, Protocol):
    """This is a number about a machine."""

    machine: str
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    value: float | None


class Value(Schema, Protocol):
    """This is that number as a feature."""

    value: float


class Both(Schema, Protocol):
    """These are two features of one view."""

    heat: float
    noise: float


class BothMeasured(Schema, Protocol):
    """These are two numbers about a machine."""

    machine: str
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    heat: float
    noise: float


def as_measured(source: pa.Table) -> pa.Table:
    return source


def mean_of_all_time(source: pa.Table) -> pd.DataFrame:
    frame = source.to_pandas()
    return frame.assign(value=frame.groupby("machine")["value"].transform("mean"))


def view(name: str, compute: Any = as_measured) -> FeatureView:
    return FeatureView(
        name=name,
        entities=(MACHINE,),
        source=Measured,
        features=Value,
        compute=compute,
        owner="plant",
        description="A number about a machine.",
    )


class World:
    """Forty machines that fail more often when worn and hot; each day one decision a machine."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        day = np.repeat(np.arange(DAYS), MACHINES)
        self.machine = np.tile([f"m{i:02}" for i in range(MACHINES)], DAYS)
        self.at = pd.to_datetime([START + timedelta(days=int(d), hours=12) for d in day])
        self.wear = np.tile(self.draw.normal(size=MACHINES), DAYS)
        self.heat = self.draw.normal(size=len(day))
        self.load = self.draw.normal(size=len(day))
        odds = 0.8 * self.wear + 1.1 * self.heat + 0.7 * self.load - 0.5
        self.failed = (self.draw.uniform(size=len(day)) < 1 / (1 + np.exp(-odds))).astype(int)

    def labels(self) -> Labels[Fault]:
        return Labels[Fault].of(
            pd.DataFrame(
                {
                    "case": [f"c{i}" for i in range(len(self.at))],
                    "machine": self.machine,
                    "decided_at": self.at,
                    "label_known_at": self.at + timedelta(days=1),
                    "load": self.load,
                    "failed": self.failed,
                }
            )
        )

    def measured(self, value: Any) -> Table[Measured]:
        """A value of each machine and day, known an hour before the decision."""
        known = self.at - timedelta(hours=1)
        return Table[Measured].of(
            pd.DataFrame(
                {
                    "machine": self.machine,
                    "event_time": known,
                    "known_time": known,
                    "value": value,
                }
            )
        )

    def noise(self) -> Any:
        return self.draw.normal(size=len(self.at))


def rows(name: str, source: Table[Measured], compute: Any = as_measured) -> Table[Any]:
    return compute_features(source, view=view(name, compute))


def verdicts(report: Report) -> dict[str, str]:
    return {c["view"]: c["verdict"] for c in report.document["candidates"]}


def reasons(report: Report) -> dict[str, str]:
    return {c["view"]: c.get("reason", "") for c in report.document["candidates"]}


def test_on_a_planted_catalogue_the_useful_are_found_and_the_leaky_refused_with_the_reason():
    world = World(seed=1)
    everything = [
        rows("heat", world.measured(world.heat)),
        rows("wear", world.measured(world.wear + 0.3 * world.noise())),
        *(rows(f"decoy_{i}", world.measured(world.noise())) for i in range(6)),
        rows("outcome", world.measured(world.failed.astype(float))),
        rows("nearly_outcome", world.measured(world.failed + 0.45 * world.noise())),
        rows("all_time", world.measured(world.failed.astype(float)), mean_of_all_time),
    ]
    source = world.measured(world.failed.astype(float))
    checks = [
        check_known_times(source, view=view("all_time", mean_of_all_time)),
        check_known_times(world.measured(world.heat), view=view("heat")),
    ]

    report = measure_gain(world.labels(), [], everything, checks)

    assert {v for v, verdict in verdicts(report).items() if verdict == "useful"} == {"heat", "wear"}
    assert {v for v, verdict in verdicts(report).items() if verdict == "refused"} == {
        "outcome",
        "nearly_outcome",
        "all_time",
    }
    assert [c["view"] for c in report.document["candidates"][:2]] == ["heat", "wear"]
    found = reasons(report)
    assert found["outcome"] == (
        "There is a leak in the data: feature 'value' of view 'outcome' separates label 'failed' "
        "almost perfectly; it alone tells it with an AUC of 1.000."
    )
    assert found["nearly_outcome"].startswith(
        "Feature 'value' of view 'nearly_outcome' alone tells the label with an AUC of 0.9"
    )
    assert found["nearly_outcome"].endswith("it may have been written after the outcome.")
    assert found["all_time"].startswith(
        "View 'all_time' uses what became known later: 'value' of machine 'm"
    )


def test_what_a_model_has_already_is_part_of_the_baseline_and_a_copy_of_it_adds_nothing():
    world = World(seed=2)
    heat = rows("heat", world.measured(world.heat))
    copy = rows("heat_again", world.measured(world.heat))
    wear = rows("wear", world.measured(world.wear))

    report = measure_gain(world.labels(), [heat], [copy, wear])

    assert report.document["baseline"]["features"] == ["load", "value"]
    assert verdicts(report) == {"wear": "useful", "heat_again": "no gain shown"}


def test_the_columns_of_a_view_say_what_each_of_them_adds():
    world = World(seed=3)

    both = replace(view("both"), features=Both, source=BothMeasured)
    source = pd.DataFrame(
        {
            "machine": world.machine,
            "event_time": world.at,
            "known_time": world.at,
            "heat": world.heat,
            "noise": world.noise(),
        }
    )
    table = compute_features(Table[BothMeasured].of(source), view=both)

    report = measure_gain(world.labels(), [], [table])

    columns = report.document["candidates"][0]["columns"]
    assert list(columns) == ["heat", "noise"]
    assert columns["heat"] > 10 * abs(columns["noise"])


def test_a_trusted_feature_may_tell_the_label():
    world = World(seed=4)
    strong = rows("sensor", world.measured(world.failed + 0.45 * world.noise()))

    refused = measure_gain(world.labels(), [], [strong])
    trusted = measure_gain(world.labels(), [], [strong], trusted=["sensor:value"])

    assert verdicts(refused) == {"sensor": "refused"}
    assert refused.document["candidates"][0]["remedy"].endswith("trusted=['sensor:value'].")
    assert verdicts(trusted) == {"sensor": "useful"}


def test_a_view_that_cannot_be_joined_is_not_applicable():
    world = World(seed=5)
    other = Entity(name="line", column="line")
    table = compute_features(
        Table[Any].of(
            pd.DataFrame(
                {"line": ["a"], "event_time": [START], "known_time": [START], "value": [1.0]}
            )
        ),
        view=FeatureView(
            name="lines",
            entities=(other,),
            source=LineMeasured,
            features=Value,
            compute=as_measured,
            owner="plant",
            description="A number about a line.",
        ),
    )

    report = measure_gain(world.labels(), [], [table])

    assert verdicts(report) == {"lines": "not applicable"}
    assert "'line'" in reasons(report)["lines"]


class LineMeasured(Schema, Protocol):
    """This is a number about a line."""

    line: str
    event_time: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    value: float | None


def test_a_number_is_measured_by_its_squared_error():
    world = World(seed=6)
    frame = world.labels().frame()
    frame["failed"] = 3.0 * world.heat + world.noise()

    class Cost(Fault, Protocol):
        failed: Annotated[float, Col(role="label")]

    report = measure_gain(
        Labels[Cost].of(frame),
        [],
        [rows("heat", world.measured(world.heat)), rows("decoy", world.measured(world.noise()))],
    )

    assert report.document["metric"] == "squared_error"
    assert verdicts(report) == {"heat": "useful", "decoy": "no gain shown"}
    assert report.document["candidates"][0]["share"] > 0.7


SEEDS = range(12)
DECOYS = 10


def found_useful(seed: int, *, careless: bool) -> int:
    world = World(seed=100 + seed)
    decoys = [rows(f"decoy_{i}", world.measured(world.noise())) for i in range(DECOYS)]
    if not careless:
        return list(verdicts(measure_gain(world.labels(), [], decoys)).values()).count("useful")
    # the control: judged on what was learned from, which every new column makes look better
    from operators._gain_folds import Fold
    from operators._gain_model import fitted, loss_of
    from operators._gain_setting import schema_of, setting_of

    labels = world.labels()
    setting = setting_of(labels.arrow(), schema_of(labels), [], [])
    every = np.arange(len(setting.target))
    same = Fold(train=every, judged=every)
    found = 0
    for decoy in decoys:
        values = decoy.frame()["value"].to_numpy()[:, None]
        with_it = np.column_stack([setting.matrix, values])
        before, after = (
            loss_of(setting.target, fitted(m, setting.target, same.train, binary=True)(m),
                    binary=True).mean()
            for m in (setting.matrix, with_it)
        )  # fmt: skip
        found += after < before
    return found


def test_of_many_views_without_worth_none_is_called_useful_and_a_careless_measure_calls_them_all():
    careful = sum(found_useful(seed, careless=False) > 0 for seed in SEEDS)
    careless = found_useful(0, careless=True)

    assert careful <= 2  # of 12 catalogues; at a level of 5 %, three or more have p = 0.02
    assert careless == DECOYS


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.2], [0.2]),
        ([0.9, 0.5], [1.0, 1.0]),
        ([], []),
    ],
)
def test_the_correction_is_holms(given, expected):
    assert adjusted(given) == pytest.approx(expected)


def test_labels_of_the_test_set_are_not_looked_at():
    world = World(seed=9)
    half = START + timedelta(days=30)
    later = np.asarray(world.at >= half)
    value = np.where(later, world.failed, world.noise())  # from here on the view is the outcome

    whole = measure_gain(world.labels(), [], [rows("late_leak", world.measured(value))])
    before = measure_gain(
        world.labels(), [], [rows("late_leak", world.measured(value))], before=half.date()
    )

    assert verdicts(whole) != {"late_leak": "no gain shown"}
    assert verdicts(before) == {"late_leak": "no gain shown"}
    assert before.document["rows"] == 29 * MACHINES  # labels are known a day after their decision
    assert before.document["before"] == "2024-01-31"


def test_too_few_labels_are_refused():
    labels = World(seed=7).labels().arrow().slice(0, 399)

    with pytest.raises(DataError) as error:
        measure_gain(Labels[Fault].of(labels), [], [rows("x", World(7).measured(1.0))])

    assert str(error.value) == (
        "There are 399 labelled rows, too few to measure what a feature adds.\n"
        "  Fix: Give at least 400."
    )


def test_no_candidates_are_refused():
    with pytest.raises(DefinitionError) as error:
        measure_gain(World(seed=8).labels(), [], [])

    assert str(error.value) == (
        "There are no views to try.\n  Fix: Publish views, or name other candidates."
    )
