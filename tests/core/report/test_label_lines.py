"""How labels came about, in sentences that hold the recorded figures and no others."""

from tasks.core.report.label_lines import label_lines

EDIT = {
    "changed_clauses": ["TITLE-6"],
    "kept": 371,
    "stale": 29,
    "stale_share": 0.0725,
    "missed": {"sampled": 50, "changed": 1},
}
SENT = {
    "to": [{"address": "https://api.example/v1", "model": "m"}] * 2,
    "document": {"sent": ["text", "title"], "withheld": ["email", "groups"]},
    "member": {"sent": [], "withheld": ["groups"]},
}


def test_nothing_recorded_says_nothing() -> None:
    assert label_lines({}) == []


def test_an_edit_says_what_was_stale_and_what_the_check_found() -> None:
    (line,) = label_lines({"policy_edit": {"gpt-x": EDIT}})
    assert "29 of 400 were stale (7.2%)" in line
    assert "of 50 others that were asked again 1 had another grade" in line
    unchecked = EDIT | {"missed": {"sampled": 0, "changed": 0}}
    assert "asked again" not in label_lines({"policy_edit": {"gpt-x": unchecked}})[0]


def test_coverage_counts_what_is_exercised_and_names_the_first_holes() -> None:
    clauses = {f"NEED-{number}": int(number > 9) for number in range(12)}
    coverage = {
        "clauses": clauses,
        "dimensions": {"NEED": 3},
        "grades": {"0": 1, "1": 0},
        "kinds": {"title": 2},
        "holes": [f"clause NEED-{number}" for number in range(10)],
    }
    covered, holes = label_lines({"coverage": coverage})
    assert "2 of 12 clauses, 1 of 1 dimensions, 1 of 2 grades, 1 of 1 kinds" in covered
    assert holes.endswith("clause NEED-7 and 2 more.")
    untold = coverage | {"clauses": None, "dimensions": None, "holes": []}
    assert label_lines({"coverage": untold}) == [
        "The labels exercise 1 of 2 grades, 1 of 1 kinds; this judge cites no clauses."
    ]


def test_a_rung_without_an_agreement_claims_none() -> None:
    rung = {
        "judge": "strong",
        "asked": 40,
        "kept": 40,
        "calls": 45,
        "spent_usd": 0.5,
        "kappa_on_hard": None,
        "kept_audited": 0,
        "same_grade_on_kept": None,
    }
    (line,) = label_lines({"rungs": {"rungs": [rung]}})
    assert "kappa" not in line
    assert "45 calls" in line


def test_what_was_sent_and_withheld_is_said_once() -> None:
    (line,) = label_lines({"sent": SENT})
    assert line.count("https://api.example/v1") == 1
    assert "of documents text, title, of members nothing; withheld: email, groups" in line


def test_a_catalog_of_many_fields_does_not_fill_the_page() -> None:
    nothing = {"sent": [], "withheld": []}
    document = {"sent": [f"field_{number}" for number in range(300)], "withheld": ["ean"]}
    sent = {"to": [{"address": "this machine"}], "document": document, "member": nothing}
    (line,) = label_lines({"sent": sent})
    assert "field_11 and 288 more, of members nothing; withheld: ean." in line
    assert "field_12" not in line


def test_texts_that_address_the_judge_are_counted_and_named() -> None:
    found = {"pairs": 400, "suspicious": 6, "marks": {"instruction": 5, "stuffing": 2}}
    found["first"] = ["p1", "p2", "p3", "p4", "p5", "p6"]
    (line,) = label_lines({"suspicious": found})
    assert "6 of 400 pairs" in line
    assert "instruction 5, stuffing 2" in line
    assert "p1, p2, p3, p4 and 2 more" in line
    assert label_lines({"suspicious": found | {"suspicious": 0}}) == []
