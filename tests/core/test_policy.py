"""The policy document: parsing, aggregation, lint, diff."""

import dataclasses
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.core.errors import CookbookError
from tasks.core.policy import Policy, diff, lint, parse_policy, parse_policy_text

TEXT = """---
policy: shop
version: "1.0"
unit: one query and one product
grades:
  - {value: 0, name: Irrelevant, meaning: Not for this need.}
  - {value: 1, name: Related, meaning: The same corner of the shop.}
  - {value: 2, name: Useful, meaning: For some shoppers.}
  - {value: 3, name: Right, meaning: What was asked for.}
dimensions:
  - {id: NEED, title: Need, weight: 0.5, question: Does it serve the need?}
  - {id: KIND, title: Kind, weight: 0.3, question: Is it the thing itself?}
  - {id: SPEC, title: Constraints, weight: 0.2, question: Does it meet what is stated?}
aggregation:
  overall: weighted_mean
  caps:
    - {dimension: NEED, at_most: 0, overall_at_most: 0}
    - {dimension: KIND, at_most: 0, overall_at_most: 1}
---

# Shop policy

## Need

### NEED-1 The usual meaning
A notebook is a computer.

#### Example
A paper notebook gets 0.

### NEED-2 Letters
A match of letters is no match.

```text
### NEED-9 A heading inside a block is no clause
```

## Kind

### KIND-1 Accessories
A sleeve is no laptop.

```decide
| when | then |
| --- | --- |
| relation = accessory and score >= 0.5 | grade 0 |
| otherwise | grade 3 |
```

## Stated constraints

### SPEC-1 Brands
A brand is a constraint.

## Precedents

| query | product | dim_NEED | dim_KIND | dim_SPEC | grade | clauses |
| --- | --- | --- | --- | --- | --- | --- |
| laptop | a sleeve | 1 | 0 | - | 1 | KIND-1 |
| notebook | a computer | 3 | 3 | 3 | 3 | NEED-1, SPEC-1 |

## Facts

| fact | values | meaning |
| --- | --- | --- |
| relation | same, accessory | How the product relates. |
| score | number | How sure that is. |
"""
GRADES = st.one_of(st.none(), st.integers(0, 3))
GRADED = st.fixed_dictionaries({"NEED": GRADES, "KIND": GRADES, "SPEC": GRADES}).filter(
    lambda grades: any(grade is not None for grade in grades.values())
)


def parsed(text: str = TEXT) -> Policy:
    return parse_policy_text(text, "policy.md")


POLICY = parsed()


def edited(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, f"{old!r} must stand exactly once in the text"
    return TEXT.replace(old, new)


def test_every_part_of_the_document_is_read() -> None:
    assert (POLICY.name, POLICY.version, POLICY.grade_count) == ("shop", "1.0", 4)
    assert POLICY.dimensions[0].question == "Does it serve the need?"
    assert [clause.id for clause in POLICY.clauses] == ["NEED-1", "NEED-2", "KIND-1", "SPEC-1"]
    assert [clause.dimension for clause in POLICY.clauses] == ["NEED", "NEED", "KIND", "SPEC"]
    assert POLICY.precedents[0].dimension_grades == {"NEED": 1, "KIND": 0, "SPEC": None}
    assert POLICY.precedents[1].clauses == ("NEED-1", "SPEC-1")
    assert [(fact.name, fact.kind) for fact in POLICY.facts] == [
        ("relation", "word"),
        ("score", "number"),
    ]


def test_a_subheading_without_an_id_belongs_to_its_clause_and_a_section_heading_ends_it() -> None:
    need = POLICY.clauses[0]
    assert "A paper notebook gets 0." in need.text
    assert need.text.startswith("NEED-1 The usual meaning\n\n")
    assert "Stated constraints" not in POLICY.clauses[2].text


@pytest.mark.parametrize(("grade_count", "middle"), [(4, 2), (5, 2), (2, 1)])
def test_the_middle_grade_is_the_first_of_the_upper_half(grade_count: int, middle: int) -> None:
    policy = dataclasses.replace(POLICY, grades=POLICY.grades[:1] * grade_count)
    assert policy.middle_grade == middle


@pytest.mark.parametrize(
    ("grades", "overall"),
    [
        ({"NEED": 3, "KIND": 3, "SPEC": 3}, 3),
        ({"NEED": 2, "KIND": 3, "SPEC": 1}, 2),  # 1.0 + 0.9 + 0.2 = 2.1
        ({"NEED": 1, "KIND": 2, "SPEC": None}, 1),  # 1.1 / 0.8 = 1.375
        ({"NEED": 3, "KIND": 2, "SPEC": 2}, 3),  # 1.5 + 0.6 + 0.4 = 2.5, half goes up
        ({"NEED": 3, "KIND": 0, "SPEC": 3}, 1),  # 2.1, capped by KIND 0
        ({"NEED": 0, "KIND": 3, "SPEC": 3}, 0),  # 1.5, capped by NEED 0
        ({"KIND": 2}, 2),
    ],
)
def test_the_overall_grade_is_the_hand_computed_one(
    grades: dict[str, int | None], overall: int
) -> None:
    assert POLICY.aggregate(grades) == overall


def test_a_mean_of_exactly_one_half_goes_up_where_floating_point_falls_short() -> None:
    """0.35 * 3 + 0.45 * 1 is 1.5; added up in binary fractions it is 1.4999999999999998."""
    text = TEXT.replace("weight: 0.5", "weight: 0.35").replace("weight: 0.3,", "weight: 0.45,")
    assert (0.35 * 3 + 0.45 * 1 + 0.2 * 0) / (0.35 + 0.45 + 0.2) < 1.5
    assert parsed(text).aggregate({"NEED": 3, "KIND": 1, "SPEC": 0}) == 2


@given(GRADED)
def test_aggregation_is_the_rounded_mean_lowered_by_caps_only(
    grades: dict[str, int | None],
) -> None:
    weights = {"NEED": Decimal("0.5"), "KIND": Decimal("0.3"), "SPEC": Decimal("0.2")}
    applying = {name: Decimal(grade) for name, grade in grades.items() if grade is not None}
    mean = sum((weights[n] * g for n, g in applying.items()), Decimal(0)) / sum(
        weights[n] for n in applying
    )
    uncapped = int(mean.quantize(Decimal(1), ROUND_HALF_UP))
    assert dataclasses.replace(POLICY, caps=()).aggregate(grades) == uncapped
    assert POLICY.aggregate(grades) <= uncapped


@given(GRADED, st.sampled_from(["NEED", "KIND", "SPEC"]))
def test_a_better_dimension_grade_never_lowers_the_overall_grade(
    grades: dict[str, int | None], dimension: str
) -> None:
    before = grades[dimension]
    if before is not None and before < 3:
        assert POLICY.aggregate(grades | {dimension: before + 1}) >= POLICY.aggregate(grades)


@pytest.mark.parametrize(
    ("grades", "message"),
    [
        ({"NEED": None}, "at least one dimension that applies"),
        ({}, "at least one dimension that applies"),
        ({"COLOR": 2}, "got COLOR"),
        ({"NEED": 4}, "from 0 to 3 for NEED, got 4"),
    ],
)
def test_grades_without_a_meaning_are_refused(grades: dict[str, int | None], message: str) -> None:
    with pytest.raises(CookbookError, match=message):
        POLICY.aggregate(grades)


def test_a_clause_digest_changes_with_its_text_and_no_other_does() -> None:
    other = parsed(edited("A brand is a constraint.", "A brand or a model is a constraint."))
    changed = [
        old.id
        for old, new in zip(POLICY.clauses, other.clauses, strict=True)
        if old.digest != new.digest
    ]
    assert changed == ["SPEC-1"]
    assert other.digest != POLICY.digest


def test_an_edit_of_a_decision_table_changes_the_clause_digest() -> None:
    assert diff(POLICY, parsed(edited("| otherwise | grade 3 |", "| otherwise | grade 2 |"))) == (
        dataclasses.replace(diff(POLICY, POLICY), changed=("KIND-1",))
    )


@pytest.mark.parametrize("change", ["  \n", "\r\n", "\t\n"])
def test_trailing_spaces_and_line_ends_change_no_digest(change: str) -> None:
    other = parsed(TEXT.replace("\n", change))
    assert other.digest == POLICY.digest
    assert other.clauses == POLICY.clauses


def test_a_byte_order_mark_is_no_part_of_the_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.md"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert parse_policy(path).digest == POLICY.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\xff\xfe", "UTF-8"), (b"a" * (4 * 2**20 + 1), "at most 4194304")],
)
def test_an_unreadable_file_is_the_users_mistake(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "policy.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CookbookError, match=message):
        parse_policy(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\npolicy: shop", "policy: shop", "expected YAML front matter"),
        ("policy: shop\n", "", "expected text for `policy`, got nothing"),
        ('version: "1.0"', "version: 1.0", "expected text for `version`, got 1.0"),
        ("unit: one", "unit: [one", "expected valid YAML"),
        ("unit: one", "unit: a\nunit: one", "each key of the front matter once, got unit 2 times"),
        ("unit: one query and one product", "unit: &u one\nname: *u", "got an alias"),
        ("unit: one query and one product", "unit: 2024-13-45", "month must be"),
        ("unit: one", "unit: " + "[" * 50, "more than 16 levels"),
        ("unit: one", "#" + "x" * 70_000 + "\nunit: one", "at most 65536 characters"),
        ("value: 2,", "value: 5,", r"without a gap, at least two, got \[0, 1, 5, 3\]"),
        ("value: 2,", "value: two,", "grades item 3: expected a whole number for `value`"),
        ("weight: 0.3", "weight: 0", "expected a weight above 0, got 0"),
        ("weight: 0.3", "weight: .nan", "expected a weight above 0, got nan"),
        ("weight: 0.3", "weight: heavy", "expected a weight above 0, got 'heavy'"),
        ("{id: KIND", "{id: NEED", "each dimension once, got NEED 2 times"),
        ("{id: KIND", "{id: Kind", "capital letters"),
        ("overall: weighted_mean", "overall: mean", "overall: weighted_mean"),
        ("  caps:", "  cups:", "only overall and caps under aggregation, got cups"),
        ("{dimension: KIND, at", "{dimension: COLOR, at", "a dimension of this policy"),
        ("at_most: 0, overall_at_most: 1", "at_most: 0, overall_at_most: 9", "from 0 to 3"),
        ("### NEED-2", "### NEED-1", "each clause id once, got NEED-1 twice"),
        ("### SPEC-1", "### COLOR-1", "clause COLOR-1: expected an id that starts with"),
        ("### SPEC-1 Brands", "### Brands", "at least one clause for the dimension SPEC"),
        ("dim_SPEC | grade", "dim_COLOR | grade", "missing: dim_SPEC"),
        ("| query | product |", "| query | query |", "each column of the table once"),
        ("| 1 | 0 | - | 1 |", "| 1 | 0 | - | 7 |", "row 1, grade: expected a grade from 0 to 3"),
        ("| 1 | 0 | - | 1 |", "| x | 0 | - | 1 |", "row 1, dim_NEED: expected a grade"),
        ("| 1 | 0 | - | 1 |", "| - | - | - | 1 |", "at least one dimension with a grade"),
        ("| 1 | 0 | - | 1 |", "| 1 | 0 | 1 |", "row 1: expected 7 cells, got 6"),
        ("| laptop | a sleeve", "|  | a sleeve", "expected a query, a product and at least one"),
        ("| 1 | KIND-1 |", "| 1 |  |", "at least one clause id"),
        ("| score | number |", "| relation | number |", "each fact once, got relation twice"),
        ("| score | number |", "| score | |", "expected a fact name and its values"),
        ("| fact | values |", "| name | values |", "the columns fact, values and meaning"),
    ],
)
def test_each_mistake_is_named_with_its_place(old: str, new: str, message: str) -> None:
    with pytest.raises(CookbookError, match=message) as caught:
        parsed(edited(old, new))
    assert "policy.md" in str(caught.value)


@given(st.text())
@example("---\n---\n")
@example("---\n{}\n---\n")
@example("---\n? [a]\n: b\n---\n")
def test_arbitrary_text_raises_nothing_but_the_users_error(text: str) -> None:
    with pytest.raises(CookbookError):
        parsed(text)
    with pytest.raises(CookbookError):
        parsed(f"---\n{text}\n---\n")


@given(st.integers(0, len(TEXT)), st.integers(0, 40), st.text(max_size=20))
def test_a_damaged_policy_parses_or_raises_the_users_error(
    start: int, length: int, replacement: str
) -> None:
    try:
        policy = parsed(TEXT[:start] + replacement + TEXT[start + length :])
    except CookbookError:
        return
    assert all(finding.where and finding.message for finding in lint(policy))
    assert diff(policy, policy).empty
    assert set(diff(POLICY, policy).added) <= {clause.id for clause in policy.clauses}


def test_a_sound_policy_has_no_findings() -> None:
    assert lint(POLICY) == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("weight: 0.3", "weight: 0.4", "weights"),
        ("score >= 0.5 | grade 0", "score >= 0.5 | grade 2", "cap_unreachable"),
        ("at_most: 0, overall_at_most: 1", "at_most: 0, overall_at_most: 2", "cap_never_lowers"),
        (
            "    - {dimension: KIND",
            "    - {dimension: NEED, at_most: 1, overall_at_most: 0}\n    - {dimension: KIND",
            "cap_covered",
        ),
        ("| 1 | KIND-1 |", "| 1 | KIND-7 |", "unknown_clause"),
        ("| 1 | 0 | - | 1 | KIND-1 |", "| 1 | - | - | 1 | KIND-1 |", "idle_citation"),
        ("| 1 | 0 | - | 1 |", "| 1 | 0 | - | 2 |", "precedent_grade"),
        (
            "| notebook | a computer |",
            "| Laptop | A  sleeve | 2 | 3 | 3 | 3 | NEED-1 |\n| notebook | a computer |",
            "contradiction",
        ),
        ("| otherwise |", "| otherwise | grade 2 |\n| score > 2 |", "unreachable_row"),
        ("and score >= 0.5", "and score >= 0.5 and score < 0.5", "unreachable_row"),
    ],
)
def test_lint_finds_what_nobody_can_have_wanted(old: str, new: str, code: str) -> None:
    assert code in {finding.code for finding in lint(parsed(edited(old, new)))}


def test_two_identical_precedents_contradict_nothing() -> None:
    row = "| laptop | a sleeve | 1 | 0 | - | 1 | KIND-1 |\n"
    assert lint(parsed(edited(row, row * 2))) == []


def test_diff_tells_clauses_front_matter_precedents_and_facts_apart() -> None:
    text = edited("A match of letters is no match.", "A match of letters is never a match.")
    text = text.replace("### SPEC-1 Brands", "### SPEC-2 Brands").replace("SPEC-1 |", "SPEC-2 |")
    text = text.replace("weight: 0.3", "weight: 0.35").replace('"1.0"', '"1.1"')
    text = text.replace("    - {dimension: KIND, at_most: 0, overall_at_most: 1}\n", "")
    text = text.replace("| score | number |", "| score | integer |").replace("0.5 |", "1 |")
    found = diff(POLICY, parsed(text))
    assert (found.added, found.removed) == (("SPEC-2",), ("SPEC-1",))
    assert found.changed == ("NEED-2", "KIND-1")
    assert found.front_matter == (
        "version: 1.0 -> 1.1",
        "KIND weight: 0.3 -> 0.35",
        "cap on KIND at most 0: 1 -> nothing",
    )
    assert found.precedents == ("changed notebook / a computer",)
    assert found.facts == ("changed score",)


def test_a_policy_does_not_differ_from_itself_nor_by_the_order_of_its_clauses() -> None:
    assert diff(POLICY, POLICY).empty
    kind = TEXT[TEXT.index("## Kind") : TEXT.index("## Stated")]
    moved = TEXT.replace(kind, "").replace("## Need\n", kind + "## Need\n")
    assert diff(POLICY, parsed(moved)).empty
