"""This module finds the endpoints that the flow `rollout` judges."""

from __future__ import annotations

from collections.abc import Sequence

from serving.endpoints import Endpoints
from serving.rollout.settling import may_lack_word


def endpoints_to_judge(names: Sequence[str] | None) -> list[str]:
    """Return the endpoints to judge, in their order.

    Args:
        names: Those that were asked for; None for all that have a rule and something to judge: a
            challenger, a watch, or an act of which not everybody may have been told.

    Raises:
        UnknownNameError: There is no endpoint of a name that was asked for.
    """
    endpoints = Endpoints()
    if names is not None:
        for name in names:
            endpoints.route(name)
        return list(dict.fromkeys(names))
    return [
        name
        for name in endpoints.names()
        if endpoints.spec(name).rule is not None
        and (endpoints.route(name).rivals or may_lack_word(endpoints, name))
    ]
