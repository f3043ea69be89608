"""What the host did by itself is told by a process, which says whether anything is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks._servers import free_ports
from flows._rollback_told import main
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import notices_folder
from serving.lane.guard_notice import GuardNotice, write_guards
from serving.lane.notices import own_start
from serving.rollout.resident import Resident
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate

RULE = Rule(
    name="works", metric="mae", label_window_hours=8, guardrails=(ErrorRate(max=0.01),)
).document()
SPEC = EndpointSpec(model="minutes", task="estimation", clock="live", space="headrace", rule=RULE)


def test_where_no_rule_changed_anything_there_is_nothing_to_tell(tmp_path: Path):
    with using_settings(home=tmp_path):
        Endpoints().declare("minutes", spec=SPEC, champion="minutes/1", reason="a flow")

        assert main(["minutes"]) == 0


def test_while_the_registry_is_away_the_rollback_stands_and_there_is_something_left_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (port,) = free_ports(1)
    with using_settings(home=tmp_path, mlflow_port=port, actor="serving host"):
        endpoints = Endpoints()
        endpoints.declare(
            "minutes", spec=SPEC, champion="minutes/1", challenger="minutes/2", reason="a flow"
        )
        experiment = str(endpoints.route("minutes").experiment)
        row = {"model": "minutes/2", "experiment": experiment, "trials": 9, "failures": 9}
        notice = GuardNotice(
            endpoint="minutes",
            part="answers",
            writer="w",
            pid=os.getpid(),
            started=own_start(),
            rows=(row | {"calls": 9, "slow": {}},),
        )
        write_guards(notices_folder(settings()), notice)
        (route,) = Resident(endpoints, notices_folder(settings())).look()

        code = main(["minutes"])

    assert route.challenger is None
    assert code == 1
    assert "MLflow" in capsys.readouterr().err
