"""This package runs plans: in an order the data allows, nothing twice, everything recorded."""

from __future__ import annotations

from headrace.execution.executor import run_plan
from headrace.execution.outcome import FlowRun, NodeOutcome, RunError
from headrace.execution.resuming import resumable_run, resume_run
from headrace.execution.session import Observer, Runner, Session
from headrace.execution.status import plan_status

__all__ = [
    "FlowRun",
    "NodeOutcome",
    "Observer",
    "RunError",
    "Runner",
    "Session",
    "plan_status",
    "resumable_run",
    "resume_run",
    "run_plan",
]
