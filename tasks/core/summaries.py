"""Extractive summaries: what a candidate says beside its title, the most telling first.

A scorer reads a pair's first tokens and the rest is cut away, whatever it says. So a candidate's
sentences are put in the order of what they tell: words that few candidates say and that askers use,
each counted once. Nothing is rewritten, and nothing is left out that would be read.

LinkedIn shortens its candidates by a language model, rewarded for how little its ranker's outputs
change (engineering blog of 21 January 2026). This is the extractive form: no training, no pass.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from tasks.core.text import words

# A word that fewer candidates say, and no asker, is a name or a number: nobody learned from it.
LEAST_CANDIDATES = 3
# A word of one candidate in four hundred tells as much as a rarer one.
MOST_WORTH = 6.0
# What nobody asks for may still be liked or matter to the policy.
UNASKED = 0.3
# Beside its words a sentence costs its joints: of two as dense ones the longer is taken.
_JOINTS = 2
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")


def word_worths(candidates: Iterable[str], askers: Iterable[str]) -> dict[str, float]:
    """How much a word tells: ln(candidates / those that say it), less where no asker says it.

    ``askers`` are queries and members' texts. Words that tell nothing are left out.
    """
    said, count = Counter[str](), 0
    for text in candidates:
        said.update(set(words(text)))
        count += 1
    asked = {word for text in askers for word in words(text)}
    worths = {}
    for word, by in sorted(said.items()):
        if word in asked or by >= LEAST_CANDIDATES:
            worth = min(math.log(count / by), MOST_WORTH) * (1.0 if word in asked else UNASKED)
            worths[word] = round(worth, 3)
    return {word: worth for word, worth in worths.items() if worth > 0}


def sentences(text: str) -> list[str]:
    """A text in pieces, which end with a sentence, a semicolon or a line."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece.strip()]


def most_telling_first(
    pieces: Sequence[str], told: str, worths: Mapping[str, float], *, most_words: int
) -> list[str]:
    """The pieces by worth per word, of words that neither ``told`` nor an earlier piece has.

    It ends with the piece that passes ``most_words``; of equal pieces the first comes first.
    """
    said, known = [words(piece) for piece in pieces], set(words(told))
    taken, count = list[str](), 0
    heap = [(-_density(own, known, worths), place) for place, own in enumerate(said)]
    heapify(heap)
    while heap and count < most_words:
        place = heappop(heap)[1]
        now = (-_density(said[place], known, worths), place)
        # What a piece adds only shrinks: one that still leads needs no look at the others.
        if heap and now > heap[0]:
            heappush(heap, now)
            continue
        taken.append(pieces[place])
        known.update(said[place])
        count += len(said[place])
    return taken


def _density(said: Sequence[str], known: set[str], worths: Mapping[str, float]) -> float:
    # In the order of the text: a set's own order would change the last bits of its sum.
    new = sum(worths.get(word, 0.0) for word in dict.fromkeys(said) if word not in known)
    return new / (len(said) + _JOINTS)
