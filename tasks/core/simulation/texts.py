"""Words of a text, and a small inverted index over documents for lexical candidates."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from tasks.core.simulation.catalog import Floats, Ints
from tasks.core.simulation.sampling import ragged

_WORD = re.compile(r"[a-z0-9+#]+")


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers: words_of("C++ dev, 3 yrs") == ["c++", "dev", "3", "yrs"]."""
    return _WORD.findall(text.lower())


class Vocabulary:
    """Numbers for words, in order of first sight."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def table(self, texts: Iterable[str], width: int) -> Ints:
        """Up to `width` different word numbers per text, padded with -1."""
        rows = []
        for text in texts:
            words = dict.fromkeys(words_of(text))
            rows.append([self._number(word) for word in words][:width])
        return ragged(rows)

    def _number(self, word: str) -> int:
        return self._numbers.setdefault(word, len(self._numbers))


class InvertedIndex:
    """Documents by word; scores a query by the summed idf of the words they share."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        postings: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            for word in dict.fromkeys(words_of(text)):
                postings.setdefault(word, []).append(number)
        self._postings = {word: np.array(rows) for word, rows in postings.items()}

    def scores(self, query: str) -> Floats:
        """One score per document; 0 where no word is shared."""
        total = np.zeros(self._count)
        for word in dict.fromkeys(words_of(query)):
            rows = self._postings.get(word)
            if rows is not None:
                total[rows] += np.log(self._count / len(rows))
        return total
