"""This module deals an endpoint's traffic to its models: pure, sticky, and with known chances.

A unit, such as an aircraft, falls by a salted hash into one of 10,000 buckets, and buckets belong
to models. A share is a number of buckets; when it changes, every model keeps as many of its own as
it may, and one that grows takes the champion's first. So whoever once met a challenger meets it
again while its share grows, and the chance with which a model was chosen is known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal, Self, get_args

from headrace.errors import ParameterError, did_you_mean

BUCKETS = 10_000
Design = Literal["ab", "canary", "ramp", "thompson"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """These are neighbouring buckets of one challenger.

    Args:
        model: The challenger, as "name/3".
        start: The first of them.
        end: The first that is not one of them.
    """

    model: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Bandit:
    """This is how Thompson sampling deals traffic: the more likely a model is best, the more.

    Shares are worked out anew from the outcomes every so often, and never fall below a floor, so
    that every model goes on being tried and the chances stay usable as weights.

    Args:
        outcome: Name of the outcome that is the reward.
        direction: Whether more of it is better ("up"), or less ("down").
        floor: The least share of each model, the champion's too, above 0.
        every_seconds: How often shares are worked out.
        window_hours: How old a decision has to be until its outcome counts, whether it has come
            or not; 0 counts each when it comes.
    """

    outcome: str = ""
    direction: Literal["up", "down"] = "up"
    floor: float = 0.05
    every_seconds: float = 60.0
    window_hours: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 0.5 or self.every_seconds <= 0 or self.window_hours < 0:
            raise ParameterError(
                f"Thompson sampling cannot have a floor of {self.floor:g}, shares every "
                f"{self.every_seconds:g} seconds and a window of {self.window_hours:g} hours.",
                remedy="Give a floor above 0 and at most 0.5, more than 0 seconds, and no "
                "negative window.",
            )
        if self.direction not in ("up", "down"):
            raise ParameterError(
                f"A reward cannot be better in the direction {self.direction!r}.",
                remedy="Give 'up' where more is better, or 'down'.",
            )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """This says which share of an endpoint's units each challenger answers.

    Args:
        design: "ab" compares, "canary" looks whether it breaks, "ramp" grows by steps, "thompson"
            follows the outcomes.
        unit: Columns of the entity that make a unit, which always meets the same model; none
            deals every decision by itself, by its id.
        salt: What makes this dealing independent of others.
        spans: The challengers' buckets, in order; the champion has the rest.
        patience_ms: How long an answer of a challenger is waited for, in milliseconds; after that
            the champion answers the same request.
        steps: The shares of a ramp, growing; others have none.
        bandit: How shares follow outcomes; only for "thompson".

    Raises:
        ParameterError: The parts do not fit together.
    """

    design: Design
    unit: tuple[str, ...] = ()
    salt: str
    spans: tuple[Span, ...] = ()
    patience_ms: float = 50.0
    steps: tuple[float, ...] = ()
    bandit: Bandit | None = None

    def __post_init__(self) -> None:
        if self.design not in get_args(Design):
            raise ParameterError(
                f"Traffic cannot be dealt by {self.design!r}."
                f"{did_you_mean(self.design, get_args(Design))}",
                remedy="Give 'ab', 'canary', 'ramp' or 'thompson'.",
            )
        if (self.design == "thompson") != (self.bandit is not None):
            raise ParameterError(
                f"Traffic dealt by '{self.design}' was given "
                f"{'no bandit' if self.bandit is None else 'a bandit'}.",
                remedy="Give one for 'thompson', and none for any other design.",
            )
        if not 0 < self.patience_ms <= 10_000:
            raise ParameterError(
                f"A challenger's answer cannot be waited for {self.patience_ms:g} ms.",
                remedy="Give more than 0 and at most 10,000 milliseconds.",
            )
        rising = all(a < b for a, b in zip(self.steps, self.steps[1:], strict=False))
        steps_fit = not self.steps or (
            self.design == "ramp" and rising and self.steps[0] > 0 and self.steps[-1] <= 1
        )
        if not steps_fit:
            raise ParameterError(
                f"The steps {', '.join(f'{s:g}' for s in self.steps)} do not make a ramp of "
                f"traffic dealt by '{self.design}'.",
                remedy="Give growing shares above 0 and at most 1, to a 'ramp' alone.",
            )

    def shares(self) -> dict[str, float]:
        """Return the share of each challenger that has one; the champion has the rest."""
        found: dict[str, int] = {}
        for span in self.spans:
            found[span.model] = found.get(span.model, 0) + span.end - span.start
        return {model: count / BUCKETS for model, count in found.items()}

    def bucket_of(self, unit: str) -> int:
        """Return the bucket of a unit, of which every replica makes the same."""
        digest = blake2b(unit.encode(), digest_size=8, key=self.salt.encode()[:64]).digest()
        return int.from_bytes(digest, "little") % BUCKETS

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "design": self.design,
            "unit": list(self.unit),
            "salt": self.salt,
            "spans": [[span.model, span.start, span.end] for span in self.spans],
            "patience_ms": self.patience_ms,
            "steps": list(self.steps),
            "bandit": None if self.bandit is None else vars(self.bandit).copy(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_json`."""
        bandit = data["bandit"]
        return cls(
            design=data["design"],
            unit=tuple(data["unit"]),
            salt=data["salt"],
            spans=tuple(Span(model=m, start=a, end=b) for m, a, b in data["spans"]),
            patience_ms=data["patience_ms"],
            steps=tuple(data["steps"]),
            bandit=None if bandit is None else Bandit(**bandit),
        )


def unit_of(entity: Mapping[str, Any], columns: Sequence[str]) -> str | None:
    """Return what is hashed for an entity; None where a column is not known, or there is none."""
    if len(columns) == 1:
        value = entity.get(columns[0])
        return None if value is None else str(value)
    values = [entity.get(column) for column in columns]
    if not values or None in values:
        return None
    return "\x1f".join(map(str, values))


def redealt(traffic: Traffic, shares: Mapping[str, float]) -> Traffic:
    """Return the traffic with other shares; a model keeps as many of its buckets as it may.

    Args:
        traffic: As it is dealt now.
        shares: Challenger to its share, 0 to 1; one that is not named has none from now on.

    Raises:
        ParameterError: A share is no share, or all together are more than everything.
    """
    counts = {model: _buckets(model, share) for model, share in shares.items()}
    if sum(counts.values()) > BUCKETS:
        said = ", ".join(f"{model} {share:.2%}" for model, share in shares.items())
        raise ParameterError(
            f"The shares {said} are more than all traffic together.",
            remedy="Give shares whose sum is at most 1; the champion has the rest.",
        )
    owners: list[str | None] = [None] * BUCKETS
    has: dict[str, int] = {}
    for span in traffic.spans:
        for bucket in range(span.start, span.end):
            if has.get(span.model, 0) < counts.get(span.model, 0):
                owners[bucket] = span.model
                has[span.model] = has.get(span.model, 0) + 1
    # the champion's first: a unit that meets one challenger after another belongs to neither
    given_up = {b for span in traffic.spans for b in range(span.start, span.end)}
    free = iter(
        sorted(
            (bucket for bucket in range(BUCKETS) if owners[bucket] is None),
            key=lambda bucket: (bucket in given_up, bucket),
        )
    )
    for model, count in counts.items():
        for _ in range(count - has.get(model, 0)):
            owners[next(free)] = model
    return replace(traffic, spans=_spans(owners))


def _buckets(model: str, share: float) -> int:
    if not 0 <= share <= 1:
        raise ParameterError(
            f"{model} cannot have the share {share:g} of the traffic.",
            remedy="Give a share from 0 to 1, such as 0.05 for 5 %.",
        )
    count = round(share * BUCKETS)
    if share and not count:
        raise ParameterError(
            f"{model} cannot have the share {share:g}: the smallest is 0.0001.",
            remedy="Give a larger share, or none.",
        )
    return count


def _spans(owners: Sequence[str | None]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for bucket, owner in enumerate(owners):
        if owner is None:
            continue
        if spans and spans[-1].model == owner and spans[-1].end == bucket:
            spans[-1] = replace(spans[-1], end=bucket + 1)
        else:
            spans.append(Span(model=owner, start=bucket, end=bucket + 1))
    return tuple(spans)
