"""Extractive summaries: what a candidate says beside its title, the most telling first.

A scorer reads a pair's first tokens and the rest is cut away, whatever it says. So the sentences of
a long text are put in the order of what they tell: words that few candidates say and that askers
use, each counted once. Nothing is rewritten, and nothing is left out that would be read.

LinkedIn shortens its candidates by a language model, rewarded for how little its ranker's outputs
change (engineering blog of 21 January 2026). This is the extractive form: no training, no pass.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from tasks.core.text import sanitize, words

# A word that fewer candidates say, and no asker, is a name or a number: nobody learned from it.
LEAST_CANDIDATES = 3
# What fewer askers say stays theirs: worths travel with the model, and tell what was asked for.
LEAST_ASKERS = 3
# A word of one candidate in four hundred tells as much as a rarer one.
MOST_WORTH = 6.0
# What nobody asks for may still be liked or matter to the policy.
UNASKED = 0.3
# Beside its words a sentence costs its joints: of two as dense ones the longer is taken.
_JOINTS = 2
_HEADING = re.compile(r"#{1,6}\s.*|.*[:：]")
# No end are the full stops of "St. Mary", "U.S. Army", "approx. 3 shifts" and "e.g. nights".
_SENTENCE_END = re.compile(
    r"(?<=[!?])\s+|(?<=[。！？])"
    r"|(?<=\.)(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z]{2}\.)"
    r"(?<!\bmin\.)(?<!\bmax\.)(?<!\bca\.)(?<!\bapprox\.)\s+(?![a-z])"
)


def word_worths(candidates: Iterable[str], askers: Iterable[str]) -> dict[str, float]:
    """How much a word tells: ln(candidates / those that say it), less where few askers say it.

    ``askers`` are queries and members' texts. Words that tell nothing are left out.
    """
    said, count = _sayers(candidates)
    asked, _ = _sayers(askers)
    worths = {}
    for word, by in sorted(said.items()):
        is_asked = asked[word] >= LEAST_ASKERS
        if is_asked or by >= LEAST_CANDIDATES:
            worth = min(math.log(count / by), MOST_WORTH) * (1.0 if is_asked else UNASKED)
            worths[word] = round(worth, 3)
    return {word: worth for word, worth in worths.items() if worth > 0}


def _sayers(texts: Iterable[str]) -> tuple[Counter[str], int]:
    """How many of the texts say each word, and of how many."""
    said, count = Counter[str](), 0
    for text in texts:
        said.update(set(words(sanitize(text))))
        count += 1
    return said, count


def sentences(text: str) -> list[str]:
    """A text in pieces, which end with a sentence or a line.

    A heading and the lines under it are one piece: what is asked for stays apart from what is not.
    """
    blocks: list[list[str]] = []
    is_under_heading = False
    for line in map(str.strip, text.splitlines()):
        if _HEADING.fullmatch(line):
            blocks.append([line])
            is_under_heading = True
        elif not line:
            # One empty line may stand between a heading and what it is the heading of.
            is_under_heading = is_under_heading and len(blocks[-1]) == 1
        elif is_under_heading:
            blocks[-1].append(line)
        else:
            blocks.extend([piece] for piece in _SENTENCE_END.split(line) if piece)
    return [" ".join(block) for block in blocks]


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
        count += len(pieces[place].split())
    return taken


def _density(said: Sequence[str], known: set[str], worths: Mapping[str, float]) -> float:
    # In the order of the text: a set's own order would change the last bits of its sum.
    new = sum(worths.get(word, 0.0) for word in dict.fromkeys(said) if word not in known)
    return new / (len(said) + _JOINTS)
