"""What kind of query it is: which parts of documents it names, and whether it fits the member.

No label and no list of kinds is needed. A query names a title, a place, a company ... where its
words are a value of that field which several documents share; it is existing where the member
who asks has the title's words in the profile, and aspirational where not. Both are guesses by
words: good enough to spread a sample by and to look for conflicts, not to judge a model on.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tasks.core.tables import Row
from tasks.core.text import words

# A value that fewer documents share is a name, and says nothing about the kind.
_LEAST_DOCUMENTS = 3
_LONGEST_VALUE = 4
_LEAST_FIT = 0.5
_MOST_FIELDS = 2


class QueryKinds:
    """Tells kinds by the fields of a catalog's documents."""

    def __init__(self, documents: Iterable[Row]) -> None:
        counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        titles: Counter[str] = Counter()
        for document in documents:
            titles.update(set(words(document["title"])))
            for name, value in json.loads(document["attributes"] or "{}").items():
                for said in value if isinstance(value, list) else [value]:
                    spoken = tuple(words(said)) if isinstance(said, str) else ()
                    if 0 < len(spoken) <= _LONGEST_VALUE and any(w.isalpha() for w in spoken):
                        counts[name][spoken] += 1
        self._title = {word for word, n in titles.items() if n >= _LEAST_DOCUMENTS}
        self._fields = {
            name: {value for value, n in found.items() if n >= _LEAST_DOCUMENTS}
            for name, found in counts.items()
        }

    def kind(self, query: str, member_text: str = "") -> str:
        """Such as ``title+place, aspirational``; ``other`` where it names no known value."""
        spoken = words(query)
        named = [name for name, values in self._fields.items() if _contains(spoken, values)]
        used = {word for name in named for word in _words_of(spoken, self._fields[name])}
        title = [word for word in spoken if word in self._title and word not in used]
        fields = ["title"] * bool(title) + named
        parts = "several" if len(fields) > _MOST_FIELDS else "+".join(fields) or "other"
        return f"{parts}, {_fit(title, member_text)}" if title and member_text else parts


def query_kinds(
    queries: Iterable[Row], documents: Iterable[Row], members: Mapping[str, Row]
) -> dict[str, str]:
    """Kind by query_id, of rows with query_id, query and member_id."""
    kinds = QueryKinds(documents)
    profiles = {key: str(row["text"]) for key, row in members.items()}
    return {
        row["query_id"]: kinds.kind(row["query"], profiles.get(row["member_id"], ""))
        for row in queries
    }


def _fit(title: list[str], member_text: str) -> str:
    """Existing: half of the title's words stand in the profile."""
    profile = set(words(member_text))
    share = sum(word in profile for word in title) / len(title)
    return "existing" if share >= _LEAST_FIT else "aspirational"


def _contains(spoken: list[str], values: set[tuple[str, ...]]) -> bool:
    return next(_words_of(spoken, values), None) is not None


def _words_of(spoken: list[str], values: set[tuple[str, ...]]) -> Iterator[str]:
    """Words of the query that make up a value, wherever it stands."""
    for length in range(1, _LONGEST_VALUE + 1):
        for start in range(len(spoken) - length + 1):
            part = tuple(spoken[start : start + length])
            if part in values:
                yield from part
