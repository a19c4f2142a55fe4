"""Which pairs people should grade: spread over kinds of queries, more of the close calls."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tasks.core.errors import CookbookError
from tasks.core.labeling.worksheets import PRIVATE, write_csv

KEY_COLUMNS = ("query_id", "query", "member_id", "doc_id")
# What a rater reads of a pair; a domain without members has the second alone.
TEXT_COLUMNS = ("member", "document")


@dataclass(frozen=True)
class Candidate:
    """A pair that could be graded.

    ``kind`` is the kind of its query (existing, aspirational, a title, a company ...).
    ``sureness`` is the model's or judge's highest grade probability, from 0 to 1; None unknown.
    """

    query_id: str
    query: str
    member_id: str
    doc_id: str
    kind: str = ""
    sureness: float | None = None


@dataclass(frozen=True)
class Shown:
    """What a rater reads of a pair: documents by doc_id, members by member_id."""

    documents: Mapping[str, str]
    members: Mapping[str, str] = field(default_factory=dict)


def sample_golden(
    candidates: Iterable[Candidate],
    count: int,
    *,
    close_share: float = 0.4,
    max_per_query: int = 12,
    seed: int = 0,
) -> list[Candidate]:
    """About ``count`` pairs: kinds in equal shares, of each kind ``close_share`` close calls.

    A close call is one of the least sure half of its kind; where nothing tells sureness all are
    drawn alike. No query gives more than ``max_per_query`` pairs, so that none decides alone.

    Raises:
        CookbookError: there is no candidate.
    """
    by_kind: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_kind[candidate.kind].append(candidate)
    if not by_kind:
        raise CookbookError(
            "Expected pairs to sample golden data from, but there are none; add queries and "
            "documents."
        )
    generator = np.random.default_rng(seed)
    chosen: list[Candidate] = []
    # The smallest kind first: what it lacks is left to the larger ones.
    for place, (_, kind) in enumerate(sorted(by_kind.items(), key=lambda item: len(item[1]))):
        quota = (count - len(chosen)) // (len(by_kind) - place)
        chosen += _sample_kind(kind, quota, close_share, max_per_query, generator)
    return sorted(chosen, key=lambda candidate: (candidate.query_id, candidate.doc_id))


def write_worksheet(
    path: Path,
    sample: Sequence[Candidate],
    *,
    dimensions: Sequence[str],
    shown: Shown,
) -> None:
    """One rater's sheet: the pair, its texts, and empty columns to fill in, one a dimension."""
    texts = TEXT_COLUMNS if shown.members else TEXT_COLUMNS[1:]
    columns = [*KEY_COLUMNS, "kind", *texts, *(f"dim_{name}" for name in dimensions), "grade"]
    rows = [
        {
            **{name: getattr(pair, name) for name in (*KEY_COLUMNS, "kind")},
            "member": shown.members.get(pair.member_id, ""),
            "document": shown.documents[pair.doc_id],
        }
        for pair in sample
    ]
    write_csv(path, columns, rows, mode=PRIVATE)


def _sample_kind(
    candidates: Sequence[Candidate],
    quota: int,
    close_share: float,
    max_per_query: int,
    generator: np.random.Generator,
) -> list[Candidate]:
    order = [candidates[number] for number in generator.permutation(len(candidates))]
    known = sorted(c.sureness for c in order if c.sureness is not None)
    middle = known[len(known) // 2] if known else 0.0
    close = [c for c in order if c.sureness is not None and c.sureness < middle]
    n_close = round(quota * close_share)
    drawn = _draw(close, n_close, [], max_per_query)
    # In a new order: the old one would put the same close calls first, and add none.
    again = [order[number] for number in generator.permutation(len(order))]
    return _draw(again, quota, drawn, max_per_query)


def _draw(
    order: Sequence[Candidate], total: int, drawn: Sequence[Candidate], max_per_query: int
) -> list[Candidate]:
    """Go on from ``drawn`` until there are ``total``, in the given order."""
    result = list(drawn)
    taken = set(result)
    per_query: dict[str, int] = defaultdict(int)
    for candidate in result:
        per_query[candidate.query_id] += 1
    for candidate in order:
        if len(result) >= total:
            break
        if candidate not in taken and per_query[candidate.query_id] < max_per_query:
            per_query[candidate.query_id] += 1
            taken.add(candidate)
            result.append(candidate)
    return result
