"""This module judges all challengers of an endpoint, one act at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from headrace.errors import HeadraceError, ParameterError, ServiceError, UnknownNameError
from serving._endpoint_records import Action
from serving.acting import AliasesBehindError
from serving.change_events import change_event
from serving.endpoints import Endpoints, OvertakenError
from serving.rollout._beforehand import begun_by, known_by, require_past, rule_so_far
from serving.rollout.acts import carry_out, look, required_rule, step_of
from serving.rollout.ruling import Ruling
from serving.rollout.settling import Announce, announce_in_run, recorded, settle
from serving.routing import Rival, Route, RoutingError
from serving.rule import Rule

# what ends an experiment comes first, and what ends all of them before what moves one
_STILL_WATCHED = "It waits: the last promotion is still watched, and comes first."
_ORDER: tuple[Action, ...] = ("rollback", "withdraw", "restart", "promote", "confirm", "ramp")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """This is what became of one look at one challenger.

    Args:
        challenger: The challenger, or the old champion that watches.
        experiment: The comparison that was judged.
        ruling: What the rule says; None where nothing was judged, because the experiment begins
            anew, or was judged with later knowledge.
        did: What was done to the route; None for nothing.
        note: What else is to be said: why nothing was done, or that the experiment began anew.
        error: Why it could not be done, or not told to the end; of the first entry also what the
            registry could not be told of earlier acts.
    """

    challenger: str
    experiment: str
    ruling: Ruling | None
    did: Action | None = None
    note: str = ""
    error: HeadraceError | None = None

    @classmethod
    def of(
        cls,
        ruling: Ruling,
        *,
        did: Action | None = None,
        note: str = "",
        error: HeadraceError | None = None,
    ) -> Self:
        """Return what became of a look that led to a ruling."""
        return cls(
            challenger=ruling.state.challenger,
            experiment=ruling.state.experiment,
            ruling=ruling,
            did=did,
            note=note,
            error=error,
        )

    @property
    def action(self) -> str:
        """What the rule says, or that the comparison began anew; "hold" where nobody judged."""
        if self.ruling is None:
            return "hold" if self.did is None else "restart"
        return self.ruling.action

    @property
    def waits_for_approval(self) -> bool:
        """Whether nothing but a person's word is missing."""
        if self.ruling is None or self.ruling.action != "hold":
            return False
        holding = [c for c in self.ruling.checks if c.action not in ("promote", "ramp")]
        return [c.name for c in holding] == ["approved"] and not holding[0].figures.get("refused")

    def told(self) -> str:
        """Return the ruling as people read it, and what became of it."""
        lines = [] if self.ruling is None else [self.ruling.prose()]
        if self.note:
            lines.append(self.note)
        if self.waits_for_approval and self.ruling is not None:
            lines.append(
                "Nothing but approval is missing: `headrace endpoint approve "
                f"{self.ruling.state.endpoint} {self.challenger}`, by somebody who neither put it "
                "up nor registered it."
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data, without the ruling's trace."""
        return {
            "challenger": self.challenger,
            "experiment": self.experiment,
            "stage": None if self.ruling is None else self.ruling.state.stage,
            "action": self.action,
            "did": self.did,
            "note": self.note,
            "waits_for_approval": self.waits_for_approval,
        }


def judge_all(
    endpoints: Endpoints,
    name: str,
    *,
    as_of: datetime,
    rule: Rule | None = None,
    heard: Announce = announce_in_run,
) -> list[Judged]:
    """Judge every challenger of an endpoint, and act: one after the other, and one promotion.

    Of several that have won, the one with the largest lower bound is promoted; what was found of
    the others is recorded, and ends with the champion that it was found against. While a promotion
    is watched, nobody else is promoted.

    A rule other than the one that an experiment was judged by so far begins that experiment anew;
    where nobody judged it yet, one other than the endpoint's does: it was chosen when evidence was
    there to be seen. What was judged with later knowledge is not judged again with less.

    Args:
        endpoints: Where the endpoint is recorded.
        name: The endpoint.
        as_of: The moment, aware, whose knowledge is used.
        rule: What to judge by; the endpoint's by default.
        heard: Passes events on; by default to the flow run that is running.

    Returns:
        An entry for each challenger, in the order in which they were settled; empty where nothing
        is compared.

    Raises:
        UnknownNameError: There is no such endpoint.
        DefinitionError: There is no rule.
        ParameterError: `as_of` has no zone, or is yet to come; where requests say when they are
            decided, that is not known.
        ServiceError: Nothing is compared, and what was done earlier could not be told to the
            registry.
    """
    if endpoints.spec(name).clock != "replayed":
        require_past(as_of)
    behind: HeadraceError | None = None
    try:
        settle(endpoints, name, heard)
    except (ServiceError, UnknownNameError) as error:  # no reason not to judge
        behind = error
    if endpoints.route(name).rivals:
        rule = required_rule(endpoints, name, rule)
        judged = _judged_by(rule, endpoints, name, as_of=as_of, heard=heard)
        if judged:
            return [replace(judged[0], error=judged[0].error or behind), *judged[1:]]
    if behind is not None:
        raise behind
    return []


def _judged_by(
    rule: Rule, endpoints: Endpoints, name: str, *, as_of: datetime, heard: Announce
) -> list[Judged]:
    route = endpoints.route(name)
    anew = [_begun_anew(endpoints, name, r.model, rule, heard) for r in route.rivals]
    judged = [each for each in anew if each is not None]
    begun = {each.challenger for each in judged}
    known = [_known_later(endpoints, route, r, as_of) for r in route.rivals if r.model not in begun]
    judged += [each for each in known if each is not None]
    settled = {each.challenger for each in judged}
    while True:
        models = [r.model for r in endpoints.route(name).rivals if r.model not in settled]
        rulings = [look(endpoints, name, each, as_of=as_of, rule=rule) for each in models]
        for ruling in _before_confirmed(rulings):
            judged.append(_left(ruling, endpoints, _STILL_WATCHED))
            settled.add(ruling.state.challenger)
            rulings.remove(ruling)
        first = min(rulings, key=_rank, default=None)
        if first is None or step_of(first)[0] is None:  # then the others hold too
            return judged + [_acted(each, endpoints, heard) for each in rulings]
        chosen = _acted(first, endpoints, heard)
        judged.append(chosen)
        settled.add(chosen.challenger)
        why = _ends_all(chosen)
        if why is not None:
            others = [ruling for ruling in rulings if ruling is not first]
            return judged + [_left(each, endpoints, why) for each in others]


def _before_confirmed(rulings: Sequence[Ruling]) -> list[Ruling]:
    """Return the promotions that wait, because an earlier one is still watched.

    They beat a champion of whom it is not known yet whether it stays; and with it the old one would
    go, who alone can tell.
    """
    if all(ruling.state.stage != "watch" for ruling in rulings):
        return []
    return [ruling for ruling in rulings if step_of(ruling)[0] == "promote"]


def _rank(ruling: Ruling) -> tuple[int, float]:
    """Return when a ruling's turn is: by what it does, and then by how sure the gain is."""
    did = step_of(ruling)[0]
    lower = ruling.bounds[-1].lower if ruling.bounds else None
    return (
        len(_ORDER) if did is None else _ORDER.index(did),
        math.inf if lower is None else -lower,
    )


def _acted(ruling: Ruling, endpoints: Endpoints, heard: Announce) -> Judged:
    did = step_of(ruling)[0]
    error: HeadraceError | None = None
    try:
        carry_out(ruling, endpoints, heard=heard)
    except AliasesBehindError as behind:
        error = behind
    except (OvertakenError, RoutingError, ParameterError) as refused:
        did, error = None, refused
    return Judged.of(ruling, did=did, note="" if error is None else error.problem, error=error)


def _ends_all(chosen: Judged) -> str | None:
    """Return why nobody else is acted on after this; None where others may be."""
    if isinstance(chosen.error, OvertakenError):
        return "Somebody else changed the endpoint meanwhile."
    if chosen.did == "promote":
        return f"{chosen.challenger} was promoted, and with that this comparison ended."
    if chosen.did == "rollback":
        return "The promotion was undone, and with that this comparison ended."
    return None


def _left(ruling: Ruling, endpoints: Endpoints, why: str) -> Judged:
    recorded(endpoints, ruling.trace())
    return Judged.of(ruling, note=why)


def _begun_anew(
    endpoints: Endpoints, name: str, model: str, rule: Rule, heard: Announce
) -> Judged | None:
    """Begin an experiment anew that was judged by another rule; None where there is no need."""
    route = endpoints.route(name)
    experiment = str(route.experiment_of(model))
    so_far = rule_so_far(endpoints, name, experiment)
    if so_far is None or so_far.hash == rule.hash:
        return None
    why = (
        f"the rule '{rule.name}' ({rule.hash[:12]}) is another one than '{so_far.name}' "
        f"({so_far.hash[:12]}), by which it {so_far.since}"
    )
    after = endpoints.change(
        name,
        "restart",
        generation=route.generation,
        challenger=model,
        reason=why,
        trace=begun_by(rule),
    )
    heard(change_event("restart", route, after))
    return Judged(
        challenger=model,
        experiment=experiment,
        ruling=None,
        did="restart",
        note=f"The comparison with {model} begins anew: {why}. What was seen counts no more.",
    )


def _known_later(
    endpoints: Endpoints, route: Route, rival: Rival, as_of: datetime
) -> Judged | None:
    """Return that a challenger was judged with later knowledge; None where it was not."""
    later = known_by(endpoints, route.endpoint, rival.experiment)
    if later is None or as_of.utcoffset() is None or later <= as_of:
        return None
    return Judged(
        challenger=rival.model,
        experiment=rival.experiment,
        ruling=None,
        note=f"{rival.model} was judged with what was known at {later.isoformat()}, and is not "
        f"judged again with what was known at {as_of.isoformat()}.",
    )
