"""Texts that say the same: found by MinHash, decided by their exact Jaccard similarity.

MinHash with locality-sensitive hashing (datasketch) finds the candidates without comparing every
two texts; whether two are near-duplicates is then computed, so there is no false positive.
Source: Broder, "On the resemblance and containment of documents" (1997).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from datasketch import MinHash, MinHashLSH

from tasks.core.text import words

Ints = npt.NDArray[np.int64]
_PERMUTATIONS = 64
_SHINGLE_WORDS = 3
# Below the threshold itself, so that few pairs just above it are lost to chance.
_SEARCHED_SHARE = 0.8


def shingles(text: str) -> frozenset[str]:
    """Runs of three words, case folded; shorter texts are one run."""
    spoken = words(text)
    runs = range(max(1, len(spoken) - _SHINGLE_WORDS + 1))
    return frozenset(" ".join(spoken[start : start + _SHINGLE_WORDS]) for start in runs)


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Size of the intersection over size of the union; 1 for two empty sets."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def first_of_their_kind(texts: Sequence[str], *, at_least: float) -> Ints:
    """For each text the position of the first that it nearly repeats, its own if none.

    ``["a b c d", "x y z", "a b c d"]`` gives ``[0, 1, 0]``. Near is a Jaccard similarity of
    three-word runs of ``at_least``, from above 0 to 1.
    """
    index = MinHashLSH(threshold=_SEARCHED_SHARE * at_least, num_perm=_PERMUTATIONS)
    # One text's runs at a time: those of all texts take ten times the room of the texts.
    runs = ([run.encode() for run in shingles(text)] for text in texts)
    hashed = MinHash.generator(runs, num_perm=_PERMUTATIONS)
    first = np.arange(len(texts), dtype=np.int64)
    for place, signature in enumerate(hashed):
        for other in sorted(index.query(signature)):
            if jaccard(shingles(texts[place]), shingles(texts[other])) >= at_least:
                first[place] = other
                break
        else:
            # Copies are not indexed, so every chain of copies ends at its first text.
            index.insert(place, signature)
    return first
