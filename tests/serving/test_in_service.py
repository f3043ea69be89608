"""Which models may still be asked for, from real records and a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import Evaluation, Model, Report, SelectedModel, flow, operator
from headrace.errors import ServiceError
from headrace.execution import Session, run_plan
from headrace.lineage.database import Database
from headrace.models import ModelCard, ModelFeature
from headrace.settings import using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.in_service import roots_in_service
from serving.register import register
from serving.registry import Registry

Tested = tuple[SelectedModel, Evaluation]

CARD = ModelCard(
    task="classification",
    flavor="sklearn",
    features=(ModelFeature(name="wind", dtype="float"),),
    label="late",
)


@operator()
def train(*, depth: int) -> Model:
    """Make a model."""
    return Model.of({"weights": bytes([depth])}, card=CARD)


@operator(effect=True)
def ship(model: Model) -> Report:
    """Take a model somewhere."""
    return Report.of({"passed": True, "model": model.digest})


@flow
def shipped(*, depth: int = 1) -> Report:
    """Make a model and ship it."""
    return ship(train(depth=depth))


@flow
def kept_at_home(*, depth: int = 2) -> Model:
    """Make a model and keep it."""
    return train(depth=depth)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        yield Session.of_settings()


def spec(name: str) -> EndpointSpec:
    return EndpointSpec(model=name, task="classification", clock="live", space="tea")


def test_without_a_registry_every_model_that_an_effect_took_counts(session: Session):
    ran = run_plan(shipped.plan(), session)
    other = run_plan(kept_at_home.plan(), session)

    roots = roots_in_service(session.lineage.database, None)

    digest = ran.outcomes["train"].outputs["result"].digest
    (effect,) = [i.id for i in session.lineage.invocations(ran.id) if i.effect]
    assert roots == {digest, effect}
    assert other.outcomes["train"].outputs["result"].digest not in roots


def test_a_registry_that_does_not_answer_is_an_error_and_no_empty_one(session: Session):
    with pytest.raises(ServiceError, match="So nobody knows which models are registered"):
        roots_in_service(session.lineage.database, Registry("http://127.0.0.1:9"))


def test_what_the_registry_has_counts_and_what_was_shipped_elsewhere_does_not(
    tested: Tested, name: str, session: Session
):
    ran = run_plan(shipped.plan(), session)
    register(*tested, name=name)

    roots = roots_in_service(session.lineage.database, Registry())

    assert tested[0].digest in roots
    assert ran.outcomes["train"].outputs["result"].digest not in roots


def test_what_answers_counts_by_the_bundle_that_it_is_served_from(
    better: Tested, name: str, tmp_path: Path, session: Session
):
    register(*better, name=name)
    database = Database(tmp_path / "endpoints.db")
    Endpoints(database).declare("tea", spec=spec(name), champion=f"{name}/1", reason="first")

    roots = roots_in_service(database, Registry())

    assert better[0].digest in roots


def test_an_endpoint_whose_version_nobody_knows_keeps_every_model_that_an_effect_took(
    name: str, session: Session
):
    ran = run_plan(shipped.plan(), session)
    database = session.lineage.database
    Endpoints(database).declare("tea", spec=spec(name), champion=f"{name}/1", reason="first")

    roots = roots_in_service(database, Registry())

    assert ran.outcomes["train"].outputs["result"].digest in roots
