"""A ruling is read: what, why, at which level, what would change it, and when."""

from __future__ import annotations

import dataclasses

import pytest

from serving.rollout.assess import assess

RAMP = {"steps": [0.05, 1]}
STAGES = {
    "shadow": {},
    "traffic": {"stage": "traffic", "share": 0.05, "design": "ramp"},
    "watch": {"stage": "watch"},
}


def test_a_ruling_says_what_why_and_what_would_change_it(made) -> None:
    rule = made.rule()

    ruling = assess(rule, made.gathered(rule, made.gains(25, 0.003)), made.state())

    assert ruling.prose().splitlines() == [
        "Hold delay/4 at flight_delay: delay/3 goes on answering.",
        f"Rule 'delay-v1' ({rule.hash[:12]}), experiment 'e1', as of 2013-07-28T00:00:00+00:00.",
        "  + The evidence is of the experiment 'e1', which runs.",
        "  + All of it was known at 2013-07-28T00:00:00+00:00.",
        "  + Nobody holds the endpoint.",
        "  + The evidence was collected for this rule and adds up: 2,500 decisions in 25 days.",
        "  + delay/3 answered and delay/4 shadowed every time.",
        "  + 0 of 500 shadow scores (0.000%) are errors or no numbers; 0.01 is allowed.",
        "  + Outcomes are known for 2,450 of 2,500 mature decisions (98.00%), 50 of them null.",
        "  + The challenger scored 2,475 of 2,500 mature decisions (99.00%).",
        "  + There are 25 days and 2,375 decisions; 20 and 1,000 are needed.",
        "  + The newest mature decision is 49.0 hours old.",
        "  + No day is shown to resemble the one before it more than is allowed for.",
        ruling.prose().splitlines()[13],
        "request-level n=2375, effective n≈48: counting requests would give z=9.00, days give "
        "z=3.00.",
        "What would change it: more blocks in which the challenger is better.",
        f"Expected: {ruling.expected['sentence']}",
    ]
    compared = ruling.prose().splitlines()[13]
    assert compared.startswith(
        "  - Over days, the challenger's log loss is 0.002266 lower; the 97.5%"
    )
    assert compared.endswith(
        "not above 0. It is judged at 0.025: half of 0.05, as the first challenger of this "
        "champion."
    )


@pytest.mark.parametrize(
    ("stage", "action", "headline"),
    [
        ("shadow", "promote", "Promote delay/4 at flight_delay: it replaces delay/3."),
        (
            "shadow",
            "ramp",
            "Give delay/4 0.05 of the traffic at flight_delay; delay/3 has the rest.",
        ),
        ("shadow", "hold", "Hold delay/4 at flight_delay: delay/3 goes on answering."),
        (
            "shadow",
            "invalidate",
            "Begin anew with delay/4 at flight_delay: its evidence cannot be trusted.",
        ),
        ("shadow", "rollback", "Withdraw delay/4 at flight_delay: delay/3 goes on answering."),
        (
            "traffic",
            "hold",
            "Hold delay/4 at flight_delay: it goes on answering 0.05 of the traffic.",
        ),
        (
            "traffic",
            "rollback",
            "Withdraw delay/4 at flight_delay: delay/3 answers everything again.",
        ),
        ("watch", "promote", "Confirm delay/3 at flight_delay: delay/4 watches it no longer."),
        (
            "watch",
            "hold",
            "Go on watching delay/3 at flight_delay: delay/4 is ready to take over again.",
        ),
        ("watch", "rollback", "Go back to delay/4 at flight_delay: delay/3 is withdrawn."),
    ],
)
def test_the_first_line_says_what_happens(made, stage, action, headline) -> None:
    rule = made.rule(ramp=RAMP, watch={"blocks": 20})
    ruling = assess(rule, made.gathered(rule, made.gains(25)), made.state(**STAGES[stage]))
    share = 0.05 if action == "ramp" else None

    said = dataclasses.replace(ruling, action=action, share=share).prose()

    assert said.splitlines()[0] == headline
