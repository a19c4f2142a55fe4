"""The policies that ship: every domain parses cleanly, and job_search is what it promises."""

import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.decision_tables import decide
from tasks.core.policies.lint import reachable_rows
from tasks.core.policies.table_syntax import Fact, Value
from tasks.core.policy import Precedent, diff, lint, parse_policy

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "policy").glob("*/policy.md"))
JOB_SEARCH = parse_policy(ROOT / "policy" / "job_search" / "policy.md")
JOB_SEARCH_CLAUSES = {clause.id: clause.dimension for clause in JOB_SEARCH.clauses}
EXAMPLES: dict[str, Any] = yaml.safe_load(
    (ROOT / "tests" / "job_search_precedents.yaml").read_text(encoding="utf-8")
)
LIMITS = {"skills": 6, "seniority": 4, "experience": 12, "place": 300, "recency": 120}


def random_facts(rng: random.Random) -> dict[str, Value]:
    """Any value for any fact, independently: far from likely pairs, near to odd ones."""
    return {fact.name: _random_value(fact, rng) for fact in JOB_SEARCH.facts}


def _random_value(fact: Fact, rng: random.Random) -> Value:
    if fact.kind == "word":
        return rng.choice(fact.values)
    if fact.kind == "flag":
        return rng.random() < 0.5
    if fact.kind == "number":
        return rng.randrange(11) / 10
    limit = LIMITS[fact.name.split(".")[0]]
    return rng.randrange(-limit if "gap" in fact.name else 0, limit)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_a_shipped_policy_has_no_findings(path: Path) -> None:
    policy = parse_policy(path)
    assert lint(policy) == []
    assert policy.name == path.parent.name


def test_job_search_has_the_size_of_a_real_policy() -> None:
    prose = re.sub(r"```.*?```", "", JOB_SEARCH.text.split("---\n", 2)[2], flags=re.DOTALL)
    words = [w for line in prose.splitlines() if not line.startswith("|") for w in line.split()]
    assert len(words) >= 8000
    assert len(JOB_SEARCH.dimensions) >= 12
    assert len(JOB_SEARCH.clauses) >= 65
    assert len(JOB_SEARCH.precedents) >= 45


def test_every_dimension_can_be_executed_and_most_clauses_are() -> None:
    executable = {clause.dimension for clause in JOB_SEARCH.clauses if clause.tables}
    assert executable == {dimension.id for dimension in JOB_SEARCH.dimensions}
    with_tables = [clause for clause in JOB_SEARCH.clauses if clause.tables]
    assert len(with_tables) > 0.8 * len(JOB_SEARCH.clauses)


def test_every_row_of_every_table_speaks_for_some_facts() -> None:
    facts = {fact.name: fact for fact in JOB_SEARCH.facts}
    for clause in JOB_SEARCH.clauses:
        for table in clause.tables:
            assert reachable_rows(table, facts) == set(range(len(table.rows))), clause.id


def test_every_clause_with_a_table_decides_some_pair_in_spite_of_the_clauses_before_it() -> None:
    rng = random.Random(0)
    cited = {
        clause for _ in range(6_000) for clause in decide(JOB_SEARCH, random_facts(rng)).clauses
    }
    assert {clause.id for clause in JOB_SEARCH.clauses if clause.tables} <= cited


def test_every_fact_is_asked_about() -> None:
    asked = {
        name
        for clause in JOB_SEARCH.clauses
        for table in clause.tables
        for name in table.fact_names
    }
    unasked = {fact.name for fact in JOB_SEARCH.facts} - asked
    assert unasked == set()


@pytest.mark.parametrize(
    ("example", "precedent"),
    list(zip(EXAMPLES["precedents"], JOB_SEARCH.precedents, strict=True)),
    ids=[f"{p.query} / {p.pair[:40]}" for p in JOB_SEARCH.precedents],
)
def test_a_precedent_follows_from_its_facts_by_the_tables(
    example: dict[str, Any], precedent: Precedent
) -> None:
    assert (example["query"], example["pair"]) == (precedent.query, precedent.pair)
    decision = decide(JOB_SEARCH, EXAMPLES["ordinary"] | example["facts"])
    assert decision.dimension_grades == precedent.dimension_grades
    assert decision.grade == precedent.grade
    prose_only = {clause.id for clause in JOB_SEARCH.clauses if not clause.tables}
    assert set(precedent.clauses) <= set(decision.clauses) | prose_only


def test_precedents_cover_every_grade_and_the_hard_middle_most() -> None:
    counts = Counter(precedent.grade for precedent in JOB_SEARCH.precedents)
    assert set(counts) == {0, 1, 2, 3, 4}
    assert counts[1] + counts[2] + counts[3] > counts[0] + counts[4]
    cited = {JOB_SEARCH_CLAUSES[name] for p in JOB_SEARCH.precedents for name in p.clauses}
    assert cited == {dimension.id for dimension in JOB_SEARCH.dimensions}


@pytest.mark.parametrize(
    ("facts", "grade"),
    [
        # The pairs that the policy works out in prose.
        ({"place.asked": "city", "place.distance_km": 24, "recency.days": 21}, 4),
        (
            {
                "place.asked": "city",
                "place.distance_km": 42,
                "recency.days": 21,
                "experience.required_years": 8,
                "experience.gap_years": 3,
            },
            3,
        ),
        (
            {
                "query.kind": "skill",
                "query.intent": "none",
                "title.relation": "none",
                "function.relation": "different",
                "skills.asked": 1,
                "skills.asked_met": "missing",
            },
            1,
        ),
        ({"exclusion.stated": True, "exclusion.hit": "explicit"}, 0),
        ({"exclusion.stated": True, "exclusion.hit": "weak"}, 1),
    ],
)
def test_the_worked_pairs_of_the_prose_come_out_as_written(
    facts: dict[str, Value], grade: int
) -> None:
    assert decide(JOB_SEARCH, EXAMPLES["ordinary"] | facts).grade == grade


def test_every_clause_that_the_text_mentions_exists() -> None:
    dimensions = "|".join(dimension.id for dimension in JOB_SEARCH.dimensions)
    mentioned = set(re.findall(rf"\b(?:{dimensions})-[0-9]+\b", JOB_SEARCH.text))
    assert mentioned <= set(JOB_SEARCH_CLAUSES)


CHANGELOG = (ROOT / "policy" / "job_search" / "CHANGELOG.md").read_text(encoding="utf-8")
VERSIONS = {
    "1.0": parse_policy(ROOT / "policy" / "job_search" / "history" / "1.0.md"),
    "1.1": parse_policy(ROOT / "policy" / "job_search" / "history" / "1.1.md"),
    "1.2": JOB_SEARCH,
}


def entry(version: str) -> str:
    """The changelog's section on one version."""
    return CHANGELOG.split(f"\n## {version}\n")[1].split("\n## ")[0]


def listed(version: str, verb: str) -> set[str]:
    """Clause ids on the line `Added: ...` or `Changed: ...` of an entry."""
    found = re.search(rf"^{verb}: (.*)$", entry(version), flags=re.MULTILINE)
    assert found is not None
    return set(found[1].split(", ")) - {"none"}


def test_the_policy_that_ships_is_the_newest_of_the_changelog() -> None:
    versions = re.findall(r"^## (\S+)$", CHANGELOG, flags=re.MULTILINE)
    assert versions == ["1.2", "1.1", "1.0"]
    assert {name: policy.version for name, policy in VERSIONS.items()} == {
        name: name for name in VERSIONS
    }
    assert lint(VERSIONS["1.0"]) == lint(VERSIONS["1.1"]) == []


@pytest.mark.parametrize(("old", "new"), [("1.0", "1.1"), ("1.1", "1.2")])
def test_the_changelog_names_the_clauses_that_differ_and_no_others(old: str, new: str) -> None:
    found = diff(VERSIONS[old], VERSIONS[new])
    assert listed(new, "Added") == set(found.added)
    assert listed(new, "Changed") == set(found.changed)
    assert found.removed == ()


@pytest.mark.parametrize(("old", "new"), [("1.0", "1.1"), ("1.1", "1.2")])
def test_the_pairs_of_the_changelog_are_regraded_as_it_says(old: str, new: str) -> None:
    facts = {
        (e["query"], e["pair"]): EXAMPLES["ordinary"] | e["facts"] for e in EXAMPLES["precedents"]
    }
    rows = re.findall(r"^\| (.+) \| (.+) \| (\d) \| (\d) \|$", entry(new), flags=re.MULTILINE)
    assert len(rows) >= 5
    for query, pair, before, after in rows:
        assert decide(VERSIONS[old], facts[query, pair]).grade == int(before), query
        assert decide(VERSIONS[new], facts[query, pair]).grade == int(after), query
        assert before != after
