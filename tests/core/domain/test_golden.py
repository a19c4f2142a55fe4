"""Guards golden data: no row that could mean two things, no query in two splits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.domain.golden import assign_splits, check_grades, read_golden
from tasks.core.errors import CookbookError
from tasks.core.text import normalize_query

HEADER = "query_id,query,doc_id,grade"
GIVEN = ("sealed", "tune", "gate")
ROWS = ("q1,nurse,d1,3", "q2,chef,d1,0", "q3,driver,d2,4")


def _read(folder, *rows, header=HEADER, members=None):
    path = folder / "golden.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return read_golden(path, grade_count=5, doc_ids={"d1", "d2"}, member_ids=members)


def test_rows_come_with_their_pair_id(tmp_path):
    rows = _read(tmp_path, *ROWS)
    assert [row["grade"] for row in rows] == [3, 0, 4]
    # printf 'q1\n\nd1' | sha256sum
    assert rows[0]["pair_id"] == "ef6e405df5cca3d9"


@pytest.mark.parametrize("grade", ["5", "-1", "2.5", "nan", "NaN", "inf", "", "good", "1e400"])
def test_a_grade_off_the_scale_is_refused(tmp_path, grade):
    with pytest.raises(CookbookError) as caught:
        _read(tmp_path, *ROWS, f"q1,nurse,d2,{grade}")
    assert "line 5: a grade is a whole number from 0 to 4" in str(caught.value)
    assert f"came {grade!r}. Correct it" in str(caught.value)


def test_a_whole_grade_may_be_written_with_a_point(tmp_path):
    assert _read(tmp_path, *ROWS, "q1,nurse,d2,2.0")[-1]["grade"] == 2


def test_an_unknown_document_is_named_with_its_line(tmp_path):
    with pytest.raises(CookbookError, match=r"line 5: doc_id must be one.*'d9' is not among them"):
        _read(tmp_path, *ROWS, "q1,nurse,d9,1")


def test_an_unknown_member_is_no_silent_nobody(tmp_path):
    header, rows = HEADER + ",member_id", [f"{row},m1" for row in ROWS]
    assert _read(tmp_path, *rows, header=header, members={"m1"})[0]["member_id"] == "m1"
    with pytest.raises(CookbookError, match=r"line 5: member_id must be .* 'm2'"):
        _read(tmp_path, *rows, "q1,nurse,d2,1,m2", header=header, members={"m1"})
    assert _read(tmp_path, *(f"{row}," for row in ROWS), header=header, members=set())


def test_a_query_id_with_two_texts_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="line 5: a query_id has one query .* 'q1' came with"):
        _read(tmp_path, *ROWS, "q1,night nurse,d2,1")


def test_a_query_may_differ_in_case_and_spaces(tmp_path):
    """As in all files of a domain: grades that were collected from a log come as members type."""
    assert len(_read(tmp_path, *ROWS, "q1,  Nurse,d2,1")) == 4


def test_what_a_spreadsheet_would_compute_comes_back_as_it_was_sent(tmp_path):
    rows = _read(tmp_path, *ROWS, "q4,'-5 degrees outdoor,d1,1", "'+q5,'tis,d1,1")
    assert [(row["query_id"], row["query"]) for row in rows[3:]] == [
        ("q4", "-5 degrees outdoor"),
        ("+q5", "'tis"),
    ]


def test_a_pair_with_two_grades_is_refused(tmp_path):
    with pytest.raises(CookbookError, match=r"line 5: a pair has one grade.*came with 3 and 1"):
        _read(tmp_path, *ROWS, "q1,nurse,d1,1")


def test_a_pair_that_stands_twice_with_one_grade_counts_once(tmp_path):
    assert len(_read(tmp_path, *ROWS, ROWS[0])) == 3


def test_two_members_may_grade_one_document_differently(tmp_path):
    rows = [f"{row},m1" for row in ROWS]
    assert len(_read(tmp_path, *rows, "q1,nurse,d1,0,m2", header=HEADER + ",member_id")) == 4


def test_one_query_in_several_spellings_is_too_few(tmp_path):
    with pytest.raises(CookbookError, match="at least 3 different queries.*came 1. Grade more"):
        _read(tmp_path, "q1,ICU nurse,d1,1", "q2,nurse icu,d2,2", "q3,Nurse  ICU,d1,0")


def test_a_file_with_a_header_alone_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="at least 3 different queries.*came 0"):
        _read(tmp_path)


def test_an_empty_query_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="line 2: query must not be empty"):
        _read(tmp_path, "q1,  ,d1,1", *ROWS)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="split is one of tune, gate, sealed; came 'test'"):
        _read(tmp_path, *(f"{row},test" for row in ROWS), header=HEADER + ",split")


def test_raters_keep_the_order_of_the_columns_and_dimensions_their_names(tmp_path):
    header = HEADER + ",rater_2,dim_TITLE,rater_1,dim_SKILLS"
    rows = _read(tmp_path, *(f"{row},1,2,,4" for row in ROWS), header=header)
    assert rows[0]["raters"] == [1, None]
    assert rows[0]["dimensions"] == [
        {"id": "TITLE", "grade": 2},
        {"id": "SKILLS", "grade": 4},
    ]


def test_a_rater_off_the_scale_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="line 2: a grade is a whole number.*came '9'"):
        _read(tmp_path, *(f"{row},9" for row in ROWS), header=HEADER + ",rater_1")


def _queries(n):
    return [
        {"query_id": f"q{i}", "query": f"query number {i}", "member_id": ""}
        | {"split": "", "grade": grade}
        for i in range(n)
        for grade in (0, 3)
    ]


def _with_splits():
    splits = [split for split in GIVEN for _ in range(2)]
    return [row | {"split": split} for row, split in zip(_queries(3), splits, strict=True)]


def _counts(rows):
    queries = {row["query"]: row["split"] for row in rows}
    return {name: list(queries.values()).count(name) for name in ("tune", "gate", "sealed")}


def test_shares_are_of_queries():
    rows = assign_splits(_queries(100), tune_share=0.5, gate_share=0.2)
    assert _counts(rows) == {"tune": 50, "gate": 20, "sealed": 30}


@pytest.mark.parametrize("n", [3, 4, 5, 7])
def test_a_handful_of_queries_fills_every_split(n):
    assert min(_counts(assign_splits(_queries(n), tune_share=0.5, gate_share=0.2)).values()) > 0


def test_the_same_words_in_another_order_fall_to_one_split():
    rows = _queries(40)
    rows += [row | {"query": " ".join(row["query"].upper().split()[::-1])} for row in rows]
    found = assign_splits(rows, tune_share=0.5, gate_share=0.2)
    assert [row["split"] for row in found[:80]] == [row["split"] for row in found[80:]]


def test_the_order_of_the_file_does_not_matter():
    there = assign_splits(_queries(30), tune_share=0.5, gate_share=0.2)
    back = assign_splits(_queries(30)[::-1], tune_share=0.5, gate_share=0.2)
    assert there == back[::-1]


def test_a_new_query_moves_few_of_the_old_ones():
    before = assign_splits(_queries(100), tune_share=0.5, gate_share=0.2)
    after = assign_splits(_queries(101), tune_share=0.5, gate_share=0.2)
    assert sum(a != b for a, b in zip(before, after, strict=False)) <= 4


def test_the_split_column_wins():
    found = assign_splits(_with_splits(), tune_share=0.5, gate_share=0.2)
    assert [row["split"] for row in found[::2]] == list(GIVEN)


def test_rows_without_a_split_beside_rows_with_one_are_divided_by_share():
    rows = [row | {"split": "sealed"} for row in _queries(10)] + _queries(60)[20:]
    found = assign_splits(rows, tune_share=0.5, gate_share=0.2)
    assert {row["split"] for row in found[:20]} == {"sealed"}
    assert {row["split"] for row in found[20:]} == {"tune", "gate", "sealed"}


def test_one_empty_split_cell_takes_the_split_of_its_query():
    rows = _with_splits()
    rows[1] = rows[1] | {"split": ""}
    assert assign_splits(rows, tune_share=0.5, gate_share=0.2)[1]["split"] == "sealed"


def test_one_query_in_two_splits_is_refused():
    leak = {"query": "NUMBER query 0", "split": "tune", "grade": 1}
    with pytest.raises(CookbookError, match="lies in sealed and tune. Give all its rows the same"):
        assign_splits([*_with_splits(), leak], tune_share=0.5, gate_share=0.2)


def test_an_empty_split_is_refused():
    rows = [row | {"split": "tune"} for row in _queries(5)]
    with pytest.raises(CookbookError, match="gate, sealed has none"):
        assign_splits(rows, tune_share=0.5, gate_share=0.2)


def test_a_split_whose_pairs_all_have_one_grade_is_refused():
    """Kappa has no value there, and no classifier of grades can be fitted."""
    rows = [row | {"grade": 2} if row["split"] == "gate" else row for row in _with_splits()]
    with pytest.raises(CookbookError, match="two different grades; all of gate have 2. Grade more"):
        check_grades(rows)
    check_grades(_with_splits())


@pytest.mark.parametrize("split", ["gate", "sealed"])
@pytest.mark.parametrize("apart", ["query_id", "member_id"])
def test_a_split_that_no_ranker_could_put_into_a_wrong_order_is_refused(split, apart):
    """One graded document a list, or equal grades in each: NDCG is 1, and chance is no worse."""
    rows = _with_splits()
    alone = [row for row in rows if row["split"] == split]
    alone[0][apart] = "another"
    with pytest.raises(CookbookError, match=f"every query of {split} has one grade for all its"):
        check_grades(rows)
    check_grades([*rows, alone[0] | {"grade": 1}])


@settings(max_examples=150)
@given(
    rows=st.lists(
        st.lists(st.text(max_size=6) | st.sampled_from(["d1", "1", "tune"]), max_size=6),
        max_size=6,
    )
)
def test_any_rows_are_golden_data_or_a_clear_error(tmp_path, rows):
    path = tmp_path / "golden.csv"
    text = "\n".join([HEADER + ",split", *(",".join(row) for row in rows)])
    path.write_text(text, newline="")
    try:
        read = read_golden(path, grade_count=5, doc_ids={"d1"})
    except CookbookError:
        return
    assert len({normalize_query(row["query"]) for row in read}) >= 3
