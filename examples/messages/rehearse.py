"""This plays the loop with raters who are made up and wrong now and then, without a server."""

from __future__ import annotations

from messages.labels.message_topic import LOOP
from messages.operators.write_messages import TOPICS, topic_of

from flows.labeling import SimulatedRater, run_loop


def main() -> None:
    """Play the loop and print what each round came to."""
    raters = {
        name: SimulatedRater(
            truth=lambda shown: topic_of(shown["text"]),
            choices=TOPICS,
            right=right,
            seconds=seconds,
            seed=seed,
        )
        for seed, (name, right, seconds) in enumerate(
            [("ada", 0.99, 4.0), ("bob", 0.97, 6.0), ("cyd", 0.95, 3.0)]
        )
    }
    for each in run_loop(LOOP, raters, rounds=4):
        said = "no model yet" if each.accuracy is None else f"accuracy {each.accuracy:.3f}"
        print(f"round {each.number}: {said}; {each.decision}: {each.why}")


if __name__ == "__main__":
    main()
