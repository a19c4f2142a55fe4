"""The groups of each row, attribute by attribute, and which of them are too small to compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError

IntArray = npt.NDArray[np.int64]
Groups = Sequence[Mapping[str, str]]

# Below this many members or queries an interval from resampling them is not to be trusted.
MINIMUM_CLUSTERS = 20


@dataclass(frozen=True)
class Attribute:
    """One attribute: its groups by name, and each row's group number, -1 where unknown."""

    name: str
    groups: tuple[str, ...]
    codes: IntArray

    def label(self, code: int) -> str:
        """A group as reports name it: `gender: female`."""
        return f"{self.name}: {self.groups[code]}"

    def pair(self, first: int, second: int) -> str:
        """A comparison as reports name it: `gender: female - male`, first minus second."""
        return f"{self.name}: {self.groups[first]} - {self.groups[second]}"


def attributes_of(groups: Groups) -> list[Attribute]:
    """The attributes that any row states, in alphabetical order, groups likewise."""
    names = sorted({name for row in groups for name in row})
    found = []
    for name in names:
        stated = [None if row.get(name) is None else str(row[name]) for row in groups]
        known = tuple(sorted({value for value in stated if value is not None}))
        number: dict[str | None, int] = {value: i for i, value in enumerate(known)}
        codes = np.array([number.get(value, -1) for value in stated], dtype=np.int64)
        found.append(Attribute(name, known, codes))
    return found


def cluster_numbers(clusters: npt.NDArray[np.generic], n_rows: int) -> tuple[IntArray, int]:
    """Members or queries numbered from 0, and how many there are.

    Raises: CookbookError when there is not one cluster for each row.
    """
    if len(clusters) != n_rows or n_rows == 0:
        raise CookbookError(
            f"group metrics need a member or query for each of the {n_rows} rows (at least "
            f"one), got {len(clusters)}: pass one cluster a row"
        )
    values, numbers = np.unique(clusters, return_inverse=True)
    return numbers.astype(np.int64), len(values)


def clusters_by_group(attribute: Attribute, numbers: IntArray) -> IntArray:
    """How many members or queries have rows in each group."""
    known = attribute.codes >= 0
    held = np.unique(np.stack([attribute.codes[known], numbers[known]]), axis=1)
    return np.bincount(held[0], minlength=len(attribute.groups)).astype(np.int64)


def group_sizes(groups: Groups) -> dict[str, int]:
    """Rows of each group, keyed `gender: female`: the `groups` of the report's fairness."""
    sizes: dict[str, int] = {}
    for attribute in attributes_of(groups):
        rows = np.bincount(attribute.codes[attribute.codes >= 0], minlength=len(attribute.groups))
        sizes |= {attribute.label(i): int(n) for i, n in enumerate(rows)}
    return sizes


def small_groups(
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    *,
    minimum_clusters: int = MINIMUM_CLUSTERS,
) -> dict[str, int]:
    """Groups with too few members or queries to compare, and how many they have."""
    numbers, _ = cluster_numbers(clusters, len(groups))
    small: dict[str, int] = {}
    for attribute in attributes_of(groups):
        held = clusters_by_group(attribute, numbers)
        small |= {attribute.label(i): int(n) for i, n in enumerate(held) if n < minimum_clusters}
    return small
