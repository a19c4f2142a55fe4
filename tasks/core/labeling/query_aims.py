"""What queries are written for: every clause in turn, or those that a first round left unexercised.

A clause speaks where a query, a member and a document meet in a certain way, which neither its
words' likeness to documents nor rare combinations of attributes find (DECISIONS.md). So whoever
can read is asked for it by name.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle, islice

import numpy as np

from tasks.core.personalization.entities import hash_ids

Aim = tuple[str, str]  # the text of a clause, a kind of query
# Of each id on the ring of draws: the more, the more even are the ids' chances.
_POINTS = 16


def aims_in_turn(
    clauses: Sequence[str], kinds: Sequence[str], count: int, generator: np.random.Generator
) -> list[Aim]:
    """Clause after clause, each with a kind by chance."""
    drawn = (kinds[int(generator.integers(len(kinds)))] for _ in range(count))
    return list(zip(cycle(clauses), drawn, strict=False))


def aims_at_holes(
    clauses: Mapping[str, str], kinds: Sequence[str], holes: Sequence[str], count: int
) -> list[Aim]:
    """Each clause and each kind that ``holes`` name, together while both last.

    ``holes`` are as ``Coverage.holes`` has them. A dimension that nobody graded is among them by
    its clauses; a grade is nothing that a query could ask for.
    """
    texts = [text for name, text in clauses.items() if f"clause {name}" in holes]
    lacking = [kind for kind in kinds if f"query kind {kind}" in holes]
    wanted = max(len(texts), len(lacking))
    pairs = zip(cycle(texts or clauses.values()), cycle(lacking or kinds), strict=False)
    return list(islice(pairs, min(wanted, count)))


def lasting_draws(ids: Sequence[str], count: int, entropy: Sequence[int]) -> list[str]:
    """Some of ``ids``, by chance, with replacement; ``entropy`` are the generator's seeds.

    An id that comes takes its share of the draws and leaves the others as they were, and one that
    goes frees its own alone: what was asked and paid for about the rest is not asked again.

    Source: consistent hashing, Karger and others, STOC 1997: each id at several points of a ring,
    a draw at one, and the next id's it is.
    """
    seats = np.random.SeedSequence([*entropy, 0]).generate_state(_POINTS, np.uint64)
    points = np.concatenate([hash_ids(ids, int(seat)) for seat in seats])
    order = np.argsort(points, kind="stable")
    drawn = np.random.SeedSequence([*entropy, 1]).generate_state(count, np.uint64)
    nearest = np.searchsorted(points[order], drawn) % len(points)
    return [ids[int(place)] for place in order[nearest] % len(ids)]
