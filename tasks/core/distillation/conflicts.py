"""Where teachers disagree, and what a student is told there.

Teachers are compared by the direction in which they move a candidate within its query: above or
below the query's mean. Grades and clicks have no other common scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.core.distillation.students import Teacher

Rule = Literal["none", "agreement", "vote"]
# How many teachers a rule needs: of two, equal ones always tie and else the heavier always wins.
FEWEST = {"none": 0, "agreement": 2, "vote": 3}
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def settle_conflicts(teachers: Sequence[Teacher], queries: Ints, rule: Rule) -> list[Teacher]:
    """The teachers with the weight of each row that the rule gives them.

    ``agreement`` lets rows count less the further the teachers' orders are apart; ``vote`` leaves
    a teacher out of the rows where the weighted majority points the other way. Fewer than the rule
    needs, such as without a click log, are left as they are; who teaches in two kinds is one, with
    the opinion of the first and the weight of the heavier.
    """
    names = list(dict.fromkeys(teacher.name for teacher in teachers))
    if rule == "none" or len(names) < FEWEST[rule]:
        return list(teachers)
    kinds = [[teacher for teacher in teachers if teacher.name == name] for name in names]
    opinions = np.stack([of_one[0].opinion() for of_one in kinds], axis=1)
    if rule == "agreement":
        weights = np.repeat(agreement(opinions, queries)[:, None], len(names), axis=1)
    else:
        shares = np.array([max(teacher.weight for teacher in of_one) for of_one in kinds])
        weights = majority(opinions, queries, shares).astype(np.float64)
    return [
        replace(teacher, row_weights=weights[:, names.index(teacher.name)].astype(np.float32))
        for teacher in teachers
    ]


def agreement(opinions: Floats, queries: Ints) -> Floats:
    """1 where all teachers rank a row alike in its query, towards 0 where they do not; (rows,).

    One minus the mean distance of the ranks, as shares of the query; ``opinions`` (rows,
    teachers) are scores, NaN where a teacher has none, which is no disagreement.
    """
    ranks = np.stack([_rank_shares(column, queries) for column in opinions.T], axis=1)
    n_teachers = ranks.shape[1]
    gaps = [
        np.abs(ranks[:, one] - ranks[:, other])
        for one in range(n_teachers)
        for other in range(one + 1, n_teachers)
    ]
    found: Floats = 1.0 - np.nan_to_num(np.stack(gaps, axis=1)).mean(axis=1)
    return found


def majority(opinions: Floats, queries: Ints, weights: Floats) -> npt.NDArray[np.bool_]:
    """Whether each teacher points where the weighted majority does; (rows, teachers).

    A teacher without an opinion, a tie, and a row that stands alone keep everybody.

    Source: the direction vote of GOVERN (arXiv 2405.03764), here on directions within a query
    instead of gradients, which for outputs of unlike kinds have no common direction.
    """
    directions = np.stack([_directions(column, queries) for column in opinions.T], axis=1)
    winner = np.sign((directions * weights).sum(axis=1, keepdims=True))
    kept: npt.NDArray[np.bool_] = directions * winner >= 0
    return kept


def discordance(first: Floats, second: Floats, queries: Ints) -> Floats:
    """Share of a row's fellow candidates that the two order oppositely; NaN without any, (rows,).

    Ties of either count as no disagreement.
    """
    found = np.full(len(queries), np.nan)
    for rows in _groups(queries):
        known = rows[np.isfinite(first[rows]) & np.isfinite(second[rows])]
        if len(known) > 1:
            one = np.sign(first[known][:, None] - first[known])
            other = np.sign(second[known][:, None] - second[known])
            found[known] = (one * other < 0).sum(axis=1) / (len(known) - 1)
    return found


def audit(
    disagreement: Floats, columns: Mapping[str, Sequence[Sequence[str]]]
) -> list[dict[str, Any]]:
    """Mean disagreement by each value of each column, the most disputed first.

    ``columns`` gives every row its values: the clauses cited, the query's kind, groups ...
    """
    rows = []
    for column, values in columns.items():
        by_value: dict[str, list[float]] = {}
        for share, own in zip(disagreement, values, strict=True):
            for value in own if np.isfinite(share) else ():
                by_value.setdefault(value, []).append(float(share))
        rows += [
            {"by": column, "value": value, "pairs": len(found), "disagreement": np.mean(found)}
            for value, found in by_value.items()
        ]
    return sorted(rows, key=lambda row: (row["by"], -row["disagreement"], row["value"]))


def _directions(scores: Floats, queries: Ints) -> Floats:
    found = np.zeros(len(scores))
    for rows in _groups(queries):
        known = rows[np.isfinite(scores[rows])]
        if len(known):
            found[known] = np.sign(scores[known] - scores[known].mean())
    return found


def _rank_shares(scores: Floats, queries: Ints) -> Floats:
    """Rank within the query from 0 to 1, NaN where there is no score or nobody to compare."""
    found = np.full(len(scores), np.nan)
    for rows in _groups(queries):
        known = rows[np.isfinite(scores[rows])]
        if len(known) > 1:
            below = (scores[known][:, None] > scores[known]).sum(axis=1)
            ties = (scores[known][:, None] == scores[known]).sum(axis=1) - 1
            found[known] = (below + ties / 2) / (len(known) - 1)
    return found


def _groups(queries: Ints) -> list[Ints]:
    order = np.argsort(queries, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(queries[order])) + 1)
