"""This module reads of decisions only what scoring them again needs, and does not parse the rest.

What a decision says after its features is, up to its score, the same text in one after the other:
which inputs were overridden, the experiments, the model. It is parsed once, and compared then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from headrace.decisions.documents import parsed

Document = dict[str, Any]
_AFTER_FEATURES, _SCORE = b'],"overridden":', b',"score":'
_MOST_KNOWN = 8


class Excerpts:
    """This takes excerpts from payloads of decisions, and remembers what they have in common."""

    def __init__(self) -> None:
        self._known: dict[bytes, Document] = {}

    def of(self, payloads: Sequence[bytes]) -> list[tuple[Document, list[Document]]]:
        """Return decisions in groups, each with what all of it say after their features.

        Args:
            payloads: The decisions.

        Returns:
            For each group `experiment`, `model` and what is beside them; and the documents, which
            have the fields from `id` to `features`, in the order of the payloads.
        """
        known = list(self._known)
        begins: dict[bytes, list[bytes]] = {}
        others: list[bytes] = []
        for payload in payloads:
            after = payload.find(_AFTER_FEATURES)
            for said in known:
                if payload.startswith(said, after):
                    begin = payload[: after + 1]
                    if said in begins:
                        begins[said].append(begin)
                    else:
                        begins[said] = [begin]
                    break
            else:
                others.append(payload)
        try:
            found = [(self._known[said], _closed(each)) for said, each in begins.items()]
        except orjson.JSONDecodeError:  # the features end elsewhere in one of them
            found, others = [], list(payloads)
        if others:
            self._learn(others[-1])
            found += [(document, [document]) for document in parsed(others)]
        return found

    def _learn(self, payload: bytes) -> None:
        """Keep what follows the features, where that is what it looks like."""
        after = payload.find(_AFTER_FEATURES)
        end = payload.find(_SCORE, after)
        if after < 0 or end < 0:
            return
        try:  # both parts are whole, or the text was found inside of something
            _closed([payload[: after + 1]])
            said = orjson.loads(b"{%b}" % payload[after + 2 : end])
        except orjson.JSONDecodeError:
            return
        if "experiment" in said and "model" in said:
            if len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[payload[after : end + len(_SCORE)]] = said


def _closed(begins: Sequence[bytes]) -> list[Document]:
    """Return the documents of which these are the texts up to the end of a field."""
    documents: list[Document] = orjson.loads(b"[%b}]" % b"},".join(begins))
    return documents
