"""This package reads a flow before it runs: a typed graph, all problems at once, no data."""

from __future__ import annotations

from headrace.plan.graph import Condition, Edge, Location, Node, Plan, Problem, Ref
from headrace.plan.planner import plan_flow

__all__ = ["Condition", "Edge", "Location", "Node", "Plan", "Problem", "Ref", "plan_flow"]
