"""From raters' worksheets to golden data: agreement, what to talk over, and the agreed grades."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.domain.golden import assign_splits, parse_grade
from tasks.core.errors import CookbookError
from tasks.core.labeling.agreement import human_kappa, weighted_kappa
from tasks.core.labeling.golden import KEY_COLUMNS, TEXT_COLUMNS
from tasks.core.labeling.worksheets import PRIVATE, PUBLIC, read_worksheet, write_csv

PairKey = tuple[str, str, str]  # query_id, member_id, doc_id


@dataclass(frozen=True)
class RatedPair:
    """A pair with each rater's grade, None where one did not grade it, and the agreed grade.

    ``grade`` is None where the raters differ and nobody has settled it yet. ``texts`` are what
    the raters read, by column, where their sheets show it.
    """

    query_id: str
    query: str
    member_id: str
    doc_id: str
    ratings: tuple[int | None, ...]
    dimension_ratings: Mapping[str, tuple[int | None, ...]]
    grade: int | None
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> PairKey:
        return (self.query_id, self.member_id, self.doc_id)


@dataclass(frozen=True)
class RatersAgreement:
    """How the raters agree: human_kappa, each two of them, and per dimension."""

    human_kappa: float | None
    pairwise: dict[tuple[int, int], float]
    dimensions: dict[str, float | None] = field(default_factory=dict)


def import_ratings(
    sheets: Sequence[Path], *, grade_count: int, settled: Mapping[PairKey, int] | None = None
) -> list[RatedPair]:
    """Join the raters' sheets by pair. All alike: that grade; else what ``settled`` says.

    Raises:
        CookbookError: fewer than two sheets, a pair twice in one, or a grade off the scale.
    """
    if len(sheets) < 2:
        raise CookbookError(
            f"Expected the worksheets of two or more raters, got {len(sheets)}; agreement between "
            "people is what a judge is held to."
        )
    tables = [_read_sheet(path, grade_count) for path in sheets]
    pairs: dict[PairKey, dict[str, str]] = {}
    for table in tables:
        for key, (row, _) in table.items():
            pairs[key] = row | pairs.get(key, {})
    # A sheet exported from the page has no texts, one kept by hand perhaps no dimensions.
    empty = {name: "" for row in pairs.values() for name in row}
    return [_join(key, empty | row, tables, settled or {}) for key, row in pairs.items()]


def adjudication_list(pairs: Sequence[RatedPair]) -> list[RatedPair]:
    """Pairs that wait for a decision, the widest disagreement first."""
    waiting = [pair for pair in pairs if pair.grade is None and _known(pair)]
    return sorted(waiting, key=lambda pair: (min(_known(pair)) - max(_known(pair)), pair.key))


def measure_raters(pairs: Sequence[RatedPair], *, grade_count: int) -> RatersAgreement:
    """Agreement over the pairs that raters share; kappas of two raters only where they do."""
    table = _table([pair.ratings for pair in pairs])
    names = pairs[0].dimension_ratings if pairs else {}
    return RatersAgreement(
        human_kappa=human_kappa(table),
        pairwise={
            (first, second): kappa
            for first, second in combinations(range(table.shape[1]), 2)
            if (kappa := _kappa(table[:, first], table[:, second], grade_count)) is not None
        },
        dimensions={
            name: human_kappa(_table([pair.dimension_ratings[name] for pair in pairs]))
            for name in names
        },
    )


def write_adjudication(path: Path, pairs: Sequence[RatedPair]) -> None:
    """A worksheet of the disagreements: texts, all ratings, and an empty grade to fill in.

    Those that are settled stand below with their grades: the sheet may take the place of the one
    that these were filled in.
    """
    settled = [pair for pair in pairs if pair.grade is not None and _agreed(pair.ratings) is None]
    differing = [*adjudication_list(pairs), *settled]
    _write(path, differing, shown=tuple(differing[0].texts) if differing else ())


def read_adjudication(path: Path, *, grade_count: int) -> dict[PairKey, int]:
    """The grades filled in; rows left empty are still open."""
    return {
        (row["query_id"], row["member_id"], row["doc_id"]): parse_grade(
            row["grade"], grade_count, f"{path}, line {number}"
        )
        for number, row in read_worksheet(path, (*KEY_COLUMNS, "grade"))
        if row["grade"]
    }


def write_golden(
    path: Path, pairs: Sequence[RatedPair], *, tune_share: float = 0.5, gate_share: float = 0.2
) -> int:
    """Write golden.csv with the agreed grades, all ratings and a split; returns the rows.

    Raises:
        CookbookError: a pair still waits for a decision, no pair has a grade, or there are too few
            queries to split.
    """
    open_pairs = len(adjudication_list(pairs))
    if open_pairs:
        raise CookbookError(
            f"Expected every pair to have an agreed grade, but {open_pairs} wait for one; fill in "
            "the adjudication list and import again."
        )
    graded = [pair for pair in pairs if pair.grade is not None]
    if not graded:
        raise CookbookError(
            f"Golden data are pairs with a grade; the column grade is empty for all {len(pairs)} "
            "pairs of the sheets. Fill it in, beside the dimensions, and import again."
        )
    rows = assign_splits(
        [{"query": pair.query, "split": ""} for pair in graded],
        tune_share=tune_share,
        gate_share=gate_share,
    )
    _write(path, graded, splits=[row["split"] for row in rows])
    return len(graded)


def _write(
    path: Path,
    pairs: Sequence[RatedPair],
    *,
    splits: Sequence[str] = (),
    shown: Sequence[str] = (),
) -> None:
    raters = [f"rater_{number + 1}" for number in range(len(pairs[0].ratings) if pairs else 0)]
    dimensions = [f"dim_{name}" for name in (pairs[0].dimension_ratings if pairs else {})]
    rows = [
        {
            **{name: getattr(pair, name) for name in (*KEY_COLUMNS, "grade")},
            **dict(zip(raters, pair.ratings, strict=True)),
            **{f"dim_{n}": _agreed(r) for n, r in pair.dimension_ratings.items()},
            "split": splits[number] if splits else None,
            **{name: pair.texts[name] for name in shown},
        }
        for number, pair in enumerate(pairs)
    ]
    columns = [*KEY_COLUMNS, *shown, "grade", *raters, *dimensions]
    columns += ["split"] if splits else []
    write_csv(path, columns, rows, mode=PRIVATE if shown else PUBLIC)


def _read_sheet(
    path: Path, grade_count: int
) -> dict[PairKey, tuple[dict[str, str], dict[str, int | None]]]:
    """Rows and their grades (``grade`` and ``dim_*``) by pair."""
    table: dict[PairKey, tuple[dict[str, str], dict[str, int | None]]] = {}
    for number, row in read_worksheet(path, (*KEY_COLUMNS, "grade")):
        key = (row["query_id"], row["member_id"], row["doc_id"])
        where = f"{path}, line {number}"
        if key in table:
            raise CookbookError(f"{where}: each pair stands once; this one came before. Drop one.")
        grades = {
            name: parse_grade(value, grade_count, where) if value else None
            for name, value in row.items()
            if name == "grade" or name.startswith("dim_")
        }
        table[key] = (row, grades)
    return table


def _join(
    key: PairKey,
    row: Mapping[str, str],
    tables: Sequence[dict[PairKey, tuple[dict[str, str], dict[str, int | None]]]],
    settled: Mapping[PairKey, int],
) -> RatedPair:
    def of(name: str) -> tuple[int | None, ...]:
        return tuple(table[key][1].get(name) if key in table else None for table in tables)

    ratings = of("grade")
    dimensions = [name.removeprefix("dim_") for name in row if name.startswith("dim_")]
    return RatedPair(
        query_id=row["query_id"],
        query=row["query"],
        member_id=row["member_id"],
        doc_id=row["doc_id"],
        ratings=ratings,
        dimension_ratings={name: of(f"dim_{name}") for name in dimensions},
        grade=settled.get(key, _agreed(ratings)),
        texts={name: row[name] for name in TEXT_COLUMNS if name in row},
    )


def _agreed(ratings: Sequence[int | None]) -> int | None:
    """The grade that all who rated gave; None where they differ or nobody did."""
    given = {rating for rating in ratings if rating is not None}
    return given.pop() if len(given) == 1 else None


def _known(pair: RatedPair) -> list[int]:
    return [rating for rating in pair.ratings if rating is not None]


def _table(ratings: Sequence[tuple[int | None, ...]]) -> npt.NDArray[np.float64]:
    return np.array([[np.nan if r is None else r for r in row] for row in ratings], np.float64)


def _kappa(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], grade_count: int
) -> float | None:
    both = ~np.isnan(first) & ~np.isnan(second)
    return weighted_kappa(first[both], second[both], grade_count) if both.any() else None
