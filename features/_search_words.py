"""This module cuts names and texts into the words that a search compares, and finds words alike.

A word is alike at one edit (a letter left out, added, changed, or two swapped) from four letters
on, and at two from eight on; of three letters where one was left out, as in "tmp". Looking through
all words is quick because nearly all differ too much in length, or in which letters they have at
all, which is a number of bits.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

How = Literal["word", "beginning", "part", "alike"]

_PART = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LEFT_OUT_FROM, _ONE_EDIT_FROM, _TWO_EDITS_FROM, _PART_FROM = 3, 4, 8, 3
_CHARACTERS = 61  # bits of a mask; a prime, so that neighbours in the alphabet are kept apart


def folded(text: str) -> str:
    """Return a text without case and accents."""
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def words_of_text(text: str) -> list[str]:
    """Return the words of a description, each once, in order."""
    return list(dict.fromkeys(_PART.findall(folded(text))))


def parts_of_name(name: str) -> list[str]:
    """Return the words that a name is made of."""
    return _PART.findall(folded(_HUMP.sub("_", name)))


def words_of_name(name: str) -> list[str]:
    """Return the words to find a name by: all of it, with `_` and written together, its parts."""
    parts = parts_of_name(name)
    return list(dict.fromkeys(["_".join(parts), "".join(parts), *parts]))


def edits_allowed(word: str) -> int:
    """Return at how many edits another word is still alike."""
    return 2 if len(word) >= _TWO_EDITS_FROM else 1 if len(word) >= _LEFT_OUT_FROM else 0


def edits_between(one: str, other: str, at_most: int) -> int | None:
    """Return the number of edits between two words; None where it is over the limit.

    Swapping two neighbours is one edit (optimal string alignment).
    """
    if abs(len(one) - len(other)) > at_most:
        return None
    over = at_most + 1
    before: list[int] = []
    above = [min(column, over) for column in range(len(other) + 1)]
    for row, letter in enumerate(one, 1):
        line = [min(row, over)]
        for column, against in enumerate(other, 1):
            same = letter == against
            best = above[column - 1] + (not same)
            if above[column] < best:
                best = above[column] + 1
            if line[column - 1] < best:
                best = line[column - 1] + 1
            swapped = (
                row > 1
                and column > 1
                and letter == other[column - 2]
                and one[row - 2] == against
                and before[column - 2] < best
            )
            line.append(before[column - 2] + 1 if swapped else best)
        if min(line) > at_most and min(above) > at_most:
            return None
        before, above = above, line
    return above[-1] if above[-1] <= at_most else None


class Vocabulary:
    """These are all words that can be found, ready for finding those like a given one.

    Args:
        words: The words.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = set(words)
        self._lines = "\n".join(["", *sorted(self._words), ""])
        self._by_length: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for word in sorted(self._words):
            self._by_length[len(word)].append((_letters(word), word))

    def exactly(self, word: str) -> Iterator[tuple[str, How, int]]:
        """Yield each word that `word` is, begins, or is a part of: it, how, and no edits."""
        lines = self._lines
        # a part in the middle of a word says little when it is short
        sought = word if len(word) >= _PART_FROM else f"\n{word}"
        at = lines.find(sought)
        while at >= 0:
            begin = lines.rfind("\n", 0, at + 1) + 1
            end = lines.index("\n", begin)
            known = lines[begin:end]
            yield known, _met_as(word, known), 0
            at = lines.find(sought, end)
        for other in _other_numbers(word):
            if other in self._words:
                yield other, "word", 0

    def alike(self, word: str) -> Iterator[tuple[str, How, int]]:
        """Yield each word that is like `word` without being or containing it, with the edits."""
        allowed, letters = edits_allowed(word), _letters(word)
        if allowed:
            fewest = len(word) + 1 if len(word) < _ONE_EDIT_FROM else len(word) - allowed
            for length in range(fewest, len(word) + allowed + 1):
                for mask, known in self._by_length.get(length, ()):
                    differing = mask ^ letters
                    if (
                        (differing & mask).bit_count() <= allowed
                        and (differing & letters).bit_count() <= allowed
                        and (edits := edits_between(word, known, allowed))
                    ):
                        yield known, "alike", edits
        for length in range(_ONE_EDIT_FROM, len(word)):  # "temperature" finds "temp"
            if word[:length] in self._words:
                yield word[:length], "alike", 1


def _met_as(word: str, known: str) -> How:
    return "word" if known == word else "beginning" if known.startswith(word) else "part"


def _letters(word: str) -> int:
    mask = 0
    for character in word:
        mask |= 1 << (ord(character) % _CHARACTERS)
    return mask


def _other_numbers(word: str) -> Iterator[str]:
    """Yield the singular of a plural as English usually makes them."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        yield word[:-1]
        if word.endswith("ies"):
            yield f"{word[:-3]}y"
        elif word.endswith("es"):
            yield word[:-2]
