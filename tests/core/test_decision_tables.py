"""Decision tables: their syntax, and what executing them gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.decision_tables import Decision, decide
from tasks.core.errors import CookbookError
from tasks.core.policy import Policy, parse_policy_text

HEAD = """---
policy: jobs
version: "1"
unit: a query and a job
grades:
  - {value: 0, name: Bad, meaning: Wrong.}
  - {value: 1, name: Weak, meaning: Doubtful.}
  - {value: 2, name: Fair, meaning: Possible.}
  - {value: 3, name: Good, meaning: Sound.}
  - {value: 4, name: Ideal, meaning: Right.}
dimensions:
  - {id: TITLE, title: Title, weight: 0.6, question: The same work?}
  - {id: PLACE, title: Place, weight: 0.4, question: The same place?}
aggregation:
  overall: weighted_mean
  caps:
    - {dimension: PLACE, at_most: 0, overall_at_most: 1}
---
"""
FACTS = """
## Facts

| fact | values | meaning |
| --- | --- | --- |
| relation | same, adjacent, other, none | Kinship of the titles. |
| distance | integer | Kilometers. |
| share | number | Share of the skills. |
| helper | true, false | Serves the occupation. |
"""
PAIR: dict[str, str | int | float | bool] = {
    "relation": "same",
    "distance": 5,
    "share": 0.5,
    "helper": False,
}


def table(*rows: str) -> str:
    lines = "\n".join(f"| {row} |" for row in rows)
    return f"\n```decide\n| when | then |\n| --- | --- |\n{lines}\n```\n"


def policy(*title_tables: str) -> Policy:
    """TITLE-1, TITLE-2 ... with the given tables; PLACE-1 is silent beyond 100 km."""
    clauses = "".join(f"### TITLE-{n} Rule\n{t}\n" for n, t in enumerate(title_tables, 1))
    place = "### PLACE-1 Near\n" + table("distance <= 50 | grade 4", "distance <= 100 | grade 0")
    return parse_policy_text(HEAD + clauses + place + FACTS, "policy.md")


def title(given_policy: Policy, **facts: str | int | float | bool) -> tuple[int | None, list[str]]:
    """Grade of TITLE and the TITLE clauses cited."""
    decision = decide(given_policy, PAIR | facts)
    cited = [name for name in decision.clauses if name.startswith("TITLE")]
    return decision.dimension_grades["TITLE"], cited


def test_dimensions_are_decided_apart_and_aggregated_with_weights_and_caps() -> None:
    rules = policy(table("relation = same | grade 4", "relation = adjacent | grade 2"))
    assert decide(rules, PAIR) == Decision({"TITLE": 4, "PLACE": 4}, ("TITLE-1", "PLACE-1"), 4)
    far = decide(rules, PAIR | {"distance": 80})  # 0.6 * 4 = 2.4, capped at 1
    assert far == Decision({"TITLE": 4, "PLACE": 0}, ("TITLE-1", "PLACE-1"), 1)
    unknown = decide(rules, PAIR | {"distance": 101, "relation": "adjacent"})
    assert unknown == Decision({"TITLE": 2, "PLACE": None}, ("TITLE-1",), 2)


def test_within_a_table_only_the_first_matching_row_speaks() -> None:
    rules = policy(table("share >= 0.5 | grade 3", "share >= 0.2 | grade 2", "otherwise | grade 0"))
    assert [title(rules, share=share)[0] for share in (0.5, 0.49, 0.2, 0.1)] == [3, 2, 2, 0]


def test_the_first_clause_that_decides_wins_and_a_silent_one_decides_nothing() -> None:
    rules = policy(table("helper = true | grade 1"), table("otherwise | grade 4"))
    assert title(rules, helper=True) == (1, ["TITLE-1"])
    assert title(rules, helper=False) == (4, ["TITLE-2"])


def test_at_most_lowers_and_is_cited_only_where_it_moves_the_grade() -> None:
    rules = policy(
        table("helper = true | at most 2"),
        table("relation = same | grade 4", "otherwise | grade 1"),
    )
    assert title(rules, helper=True) == (2, ["TITLE-2", "TITLE-1"])
    assert title(rules, helper=True, relation="other") == (1, ["TITLE-2"])


def test_at_least_raises_before_at_most_lowers() -> None:
    rules = policy(
        table("otherwise | at most 2"),
        table("otherwise | at least 3"),
        table("otherwise | grade 1"),
    )
    assert title(rules) == (2, ["TITLE-3", "TITLE-2", "TITLE-1"])


def test_of_several_limits_the_binding_one_is_cited() -> None:
    rules = policy(
        table("otherwise | grade 4"),
        table("otherwise | at most 3"),
        table("otherwise | at most 1"),
        table("otherwise | at most 2"),
    )
    assert title(rules) == (1, ["TITLE-1", "TITLE-3"])


def test_limits_alone_decide_nothing() -> None:
    rules = policy(table("otherwise | at least 3"), table("otherwise | at most 3"))
    assert title(rules) == (None, [])


def test_not_applicable_counts_only_where_nothing_decided_earlier() -> None:
    excuse, rule = table("relation = none | n/a"), table("otherwise | grade 1")
    raised = table("otherwise | at least 2")
    assert title(policy(excuse, rule, raised), relation="none") == (None, ["TITLE-1"])
    assert title(policy(rule, excuse, raised), relation="none") == (2, ["TITLE-1", "TITLE-3"])


@pytest.mark.parametrize(
    ("condition", "facts", "holds"),
    [
        ("relation != same", {"relation": "other"}, True),
        ("relation != same", {"relation": "same"}, False),
        ("relation in {same, adjacent}", {"relation": "adjacent"}, True),
        ("relation in {same, adjacent}", {"relation": "other"}, False),
        ("distance in {-1, 1}", {"distance": -1}, True),
        ("distance < 5", {"distance": 5}, False),
        ("distance <= 5", {"distance": 5}, True),
        ("distance > 5", {"distance": 6}, True),
        ("distance >= -3", {"distance": -4}, False),
        ("share = 0.25", {"share": 0.25}, True),
        ("helper = false", {"helper": False}, True),
        ("relation = same and share < 1 and helper = true", {"helper": True}, True),
        ("relation = same and share < 1 and helper = true", {"helper": False}, False),
    ],
)
def test_a_condition_holds_as_it_reads(
    condition: str, facts: dict[str, str | int | float | bool], holds: bool
) -> None:
    assert title(policy(table(f"{condition} | grade 3")), **facts)[0] == (3 if holds else None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("kinship = same | grade 1", "listed under `## Facts`, got kinship"),
        ("relation = similar | grade 1", "one of same, adjacent, other, none for relation"),
        ("relation in {same, near} | grade 1", "got 'near'"),
        ("relation in {} | grade 1", "got ''"),
        ("relation < same | grade 1", "expected a number for the operator <"),
        ("distance = 1.5 | grade 1", "a whole number for distance, got '1.5'"),
        ("distance = far | grade 1", "a whole number for distance, got 'far'"),
        ("share > most | grade 1", "a number for share, got 'most'"),
        ("helper = yes | grade 1", "true or false for helper, got 'yes'"),
        ("relation is same | grade 1", "got 'relation is same'"),
        ("relation = same or helper = true | grade 1", "rewrite the condition"),
        ("relation = same and | grade 1", "got 'relation = same and'"),
        ("| grade 1", "got ''"),
        ("otherwise and helper = true | grade 1", "got 'otherwise'"),
        ("otherwise | grade 5", "from 0 to 4, got 5"),
        ("otherwise | grade", "got 'grade'"),
        ("otherwise | at most -1", "got 'at most -1'"),
        ("otherwise | 3", "got '3'"),
        ("otherwise | grade 1 | why", "expected 2 cells, got 3"),
    ],
)
def test_a_bad_row_is_named_by_clause_and_number(row: str, message: str) -> None:
    with pytest.raises(CookbookError, match=message) as caught:
        policy(table("helper = true | grade 1", row))
    assert "policy.md, clause TITLE-1, row 2" in str(caught.value)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("\n```decide\n| if | then |\n| --- | --- |\n| a | b |\n```\n", "columns when and then"),
        ("\n```decide\n| when | then |\n| --- | --- |\n```\n", "at least one row"),
        ("\n```decide\nwhen always then 3\n```\n", "a table with a header"),
        ("\n```decide\n```\n", "a table with a header"),
    ],
)
def test_a_block_that_is_no_table_is_refused(block: str, message: str) -> None:
    with pytest.raises(CookbookError, match=message) as caught:
        policy(block)
    assert "clause TITLE-1" in str(caught.value)


@given(st.text(max_size=60), st.text(max_size=20))
def test_arbitrary_cells_parse_or_raise_the_users_error(when: str, then: str) -> None:
    for row in (f"{when} | grade 1", f"otherwise | {then}"):
        try:
            policy(table(row))
        except CookbookError as error:
            told = str(error)
        else:
            continue
        assert "policy.md" in told


def test_a_missing_fact_is_the_callers_mistake() -> None:
    rules = policy(table("relation = same | grade 4"))
    with pytest.raises(CookbookError, match="a value for the fact distance"):
        decide(rules, {"relation": "same"})


def test_two_policies_with_the_same_names_do_not_share_what_was_compiled() -> None:
    strict = policy(table("otherwise | grade 0"))
    mild = policy(table("otherwise | grade 4"))
    assert [title(rules)[0] for rules in (strict, mild, strict)] == [0, 4, 0]


@given(
    st.fixed_dictionaries(
        {
            "relation": st.sampled_from(["same", "adjacent", "other", "none"]),
            "distance": st.integers(-3, 200),
            "share": st.floats(0, 1),
            "helper": st.booleans(),
        }
    )
)
def test_decisions_follow_the_rules_written_out_by_hand(facts: dict[str, str]) -> None:
    """The same policy as plain code: exception first, then the rule, then the two limits."""
    rules = policy(
        table("helper = true and relation != same | grade 1"),
        table("relation = same | grade 4", "relation in {adjacent, other} | grade 2"),
        table("share >= 0.8 | at least 3"),
        table("share < 0.2 | at most 1"),
    )
    if facts["helper"] and facts["relation"] != "same":
        expected: int | None = 1
    else:
        expected = {"same": 4, "adjacent": 2, "other": 2}.get(facts["relation"])
    if expected is not None and float(facts["share"]) >= 0.8:
        expected = max(expected, 3)
    if expected is not None and float(facts["share"]) < 0.2:
        expected = min(expected, 1)
    try:
        assert decide(rules, facts).dimension_grades["TITLE"] == expected
    except CookbookError:
        assert expected is None and int(facts["distance"]) > 100
