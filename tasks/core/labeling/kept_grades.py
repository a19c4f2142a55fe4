"""Grades that people filled in are their work: no command writes over the only file of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.labeling.golden import KEY_COLUMNS
from tasks.core.labeling.ratings import PairKey, RatedPair, read_adjudication
from tasks.core.labeling.worksheets import read_worksheet


def check_sheet(path: Path) -> None:
    """Pass if a new sheet may take the path.

    Raises:
        CookbookError: a sheet that somebody began to grade lies there.
    """
    if not path.exists():
        return
    rows = [row for _, row in read_worksheet(path, KEY_COLUMNS)]
    graded = sum(any(row[name] for name in row if _is_grade(name)) for row in rows)
    if graded:
        raise CookbookError(
            f"A new sheet is written where no graded one lies; {path} has grades for {graded} of "
            "its pairs. Name another file."
        )


def check_disagreements(path: Path, settled: Mapping[PairKey, int], *, grade_count: int) -> None:
    """Pass if a new list of disagreements may take the path: it holds what was settled.

    Raises:
        CookbookError: the list that lies there has grades beside those.
    """
    if not path.exists():
        return
    others = read_adjudication(path, grade_count=grade_count).items() - settled.items()
    if others:
        raise CookbookError(
            f"The list of disagreements is written to {path}, and {len(others)} grades filled in "
            f"there would be lost. Import again with --settled {path}, or move that file away."
        )


def check_golden(path: Path, pairs: Sequence[RatedPair]) -> None:
    """Pass if golden data of these pairs may take the path.

    Raises:
        CookbookError: golden data with further graded pairs lie there.
    """
    if not path.exists():
        return
    known = {pair.key for pair in pairs if pair.grade is not None}
    there = {
        (row["query_id"], row.get("member_id", ""), row["doc_id"])
        for _, row in read_worksheet(path, ("query_id", "doc_id", "grade"))
        if row["grade"]
    }
    if lost := there - known:
        raise CookbookError(
            f"An import writes golden data whole, and {path} has {len(lost)} graded pairs that "
            "these sheets do not grade; they would be lost. Name another --output, and join the "
            "two files by hand."
        )


def _is_grade(column: str) -> bool:
    return column == "grade" or column.startswith("dim_")
