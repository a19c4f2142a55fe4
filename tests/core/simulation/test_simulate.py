"""A world is a pure function of policy, seed and scale, and its files say what it is."""

import csv
import gzip
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tasks.core.decision_tables import decide
from tasks.core.errors import CookbookError
from tasks.core.policy import Policy
from tasks.core.simulation.data_card import rater_kappa
from tasks.core.simulation.domain_files import write_domain
from tasks.core.simulation.simulate import simulate
from tasks.core.simulation.world import World

ROOT = Path(__file__).parents[3]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_domain(world, tmp_path_factory.mktemp("domain"))


def test_same_seed_gives_the_same_bytes(policy: Policy, tmp_path: Path) -> None:
    folders = [
        write_domain(simulate(policy, seed=3, scale=0.05), tmp_path / name) for name in ("a", "b")
    ]
    assert digests(folders[0]) == digests(folders[1])


def test_another_seed_gives_another_world(policy: Policy, world: World) -> None:
    other = simulate(policy, seed=8, scale=0.05)
    assert other.shown_jobs.texts[:100] != world.shown_jobs.texts[:100]


def test_shipped_domain_is_seed_zero(policy: Policy, tmp_path: Path) -> None:
    folder = write_domain(simulate(policy, seed=0), tmp_path)
    shipped = digests(ROOT / "golden_data" / "job_search")
    assert digests(folder) == shipped
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 8_000_000


def test_stored_truth_is_the_policy_executed_on_stored_facts(policy: Policy, written: Path) -> None:
    kinds = {fact.name: fact.kind for fact in policy.facts}
    read = {"word": str, "integer": int, "number": float, "flag": lambda cell: cell == "True"}
    with gzip.open(written / "truth" / "facts.csv.gz", "rt") as facts_file:
        facts = list(csv.DictReader(facts_file))
    with gzip.open(written / "truth" / "grades.csv.gz", "rt") as grades_file:
        grades = list(csv.DictReader(grades_file))
    for fact_row, grade_row in list(zip(facts, grades, strict=True))[::7]:
        values = {name: read[kind](fact_row[name]) for name, kind in kinds.items()}
        decision = decide(policy, values)
        assert decision.grade == int(grade_row["grade"])
        for name, grade in decision.dimension_grades.items():
            assert grade_row[name] == ("" if grade is None else str(grade))


def test_golden_file_has_the_columns_of_the_domain_format(policy: Policy, written: Path) -> None:
    with (written / "golden.csv").open() as file:
        reader = csv.DictReader(file)
        first = next(reader)
    dimensions = [f"dim_{dimension.id}" for dimension in policy.dimensions]
    raters = ["rater_1", "rater_2"]
    keys = ["query_id", "query", "member_id", "doc_id", "grade"]
    assert list(first) == [*keys, *raters, *dimensions, "split"]
    assert first["split"] in ("tune", "gate", "sealed")


def test_impressions_name_documents_and_members_that_exist(world: World, written: Path) -> None:
    with gzip.open(written / "impressions.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == world.log.lists.jobs.size
    assert {row["doc_id"] for row in rows} <= set(world.shown_jobs.ids)
    assert {row["member_id"] for row in rows} <= set(world.shown_members.ids)
    assert [int(row["position"]) for row in rows[:10]] == list(range(1, 11))
    assert re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows[0]["timestamp"])


def test_groups_stand_beside_the_text_and_planted_numbers_in_truth(written: Path) -> None:
    with gzip.open(written / "members.jsonl.gz", "rt") as file:
        member = json.loads(file.readline())
    assert set(member["groups"]) == {"gender", "age_band"}
    planted = json.loads((written / "truth" / "planted.json").read_text())
    assert planted["disparities"]["clicks"] == {"gender": "woman", "logit_shift": -0.3}


def test_truth_of_a_triple_is_its_stored_grade(world: World) -> None:
    golden = world.golden
    for row in range(0, len(golden.job), 211):
        query = golden.query[row]
        ids = (
            world.query_ids[query],
            world.shown_members.ids[world.queries.member[query]],
            world.shown_jobs.ids[golden.job[row]],
        )
        assert world.truth(*ids).grade == golden.truth.grade[row]
    assert (world.grades(golden.query, golden.job) == golden.truth.grade).all()


def test_kappa_of_the_data_card_is_scikit_learns(world: World) -> None:
    ratings = world.golden.ratings
    expected = cohen_kappa_score(ratings.rater_1, ratings.rater_2, weights="quadratic")
    assert rater_kappa(world) == pytest.approx(expected)


def test_unknown_ids_and_strangers_are_refused(world: World) -> None:
    asker = world.shown_members.ids[world.queries.member[0]]
    stranger = next(member for member in world.shown_members.ids if member != asker)
    query, job = world.query_ids[0], world.shown_jobs.ids[0]
    with pytest.raises(CookbookError, match="who asked"):
        world.truth(query, stranger, job)
    with pytest.raises(CookbookError, match="expected a document id of this world"):
        world.truth(query, asker, "d1")
    with pytest.raises(CookbookError, match="expected a query id"):
        world.truth("q00000", asker, job)


def test_scale_must_be_positive(policy: Policy) -> None:
    with pytest.raises(CookbookError, match="expected a scale above 0, got 0"):
        simulate(policy, seed=0, scale=0)


def test_scale_grows_jobs_members_and_log_together(policy: Policy, world: World) -> None:
    double = simulate(policy, seed=7, scale=0.5)
    assert double.jobs.count == 2 * world.jobs.count
    assert double.members.count == 2 * world.members.count
    assert 1.7 < len(double.log.lists.query) / len(world.log.lists.query) < 2.4
    assert np.bincount(double.golden.query).tolist() == [20] * len(double.golden.split)
