"""The queries that students are chosen on: they teach none, and have to tell students apart."""

from pathlib import Path
from typing import Any

import pytest

from tasks.allowed_queries import CHOICE, with_choice
from tasks.core.errors import CookbookError
from tasks.core.tables import columns_of, read_rows, write_table
from tasks.exchange import GOLDEN, PAIRS, Domain
from tasks.people_grades import gather_people_grades
from tasks.run import open_run
from tasks.settings import MixSettings, PeopleSettings, SynthesisSettings
from tasks.synthesize import synthesize
from tests.test_distill import made
from tests.test_people_grades import ENCODER, golden, write_catalog, write_vectors

TRIED = MixSettings(alphas=(0.3,))


def chosen_on(rows: list[dict[str, Any]], mix: MixSettings) -> set[str]:
    marked = with_choice(rows, mix, has_log=True)
    return {row["query_id"] for row in marked if row["split"] == CHOICE}


def test_no_query_that_students_are_chosen_on_is_labeled_or_graded_for_them(
    tmp_path: Path,
) -> None:
    """Their golden pairs are what retrieval finds: a third were labeled, and learned by heart."""
    rows = golden()
    kept = chosen_on(rows, TRIED)
    tune = {row["query_id"] for row in rows if row["split"] == "tune"}
    assert len(kept) == 15
    steps: Any = (synthesize, gather_people_grades)
    with open_run(tmp_path, "toy"):
        grades = made("golden", lambda out: write(out / GOLDEN, rows))
        catalog = made("catalog", write_catalog)
        domain = Domain(grades, grades, catalog, None, grades, None)
        settings = SynthesisSettings(generated_queries=0)
        after, before = (
            read_rows(steps[0].fn(domain, None, ENCODER, settings, mix).file(PAIRS))
            for mix in (TRIED, MixSettings())
        )
        vectors = made("document_vectors", write_vectors)
        people = steps[1].fn(domain, vectors, ENCODER, PeopleSettings(), TRIED)
        graded = {row["query_id"] for row in read_rows(people.file("people_grades.parquet"))}
    labeled = {row["query_id"] for row in after}
    assert not kept & (labeled | graded)
    assert labeled == graded == tune - kept - {"q00"}  # which has the words of a sealed one
    # The others' pairs, and with them their labels, are those of a run that tries nothing.
    assert after == [row for row in before if row["query_id"] not in kept]


def test_copies_of_a_query_are_kept_together_and_one_at_least() -> None:
    rows = [
        {"query_id": f"q{n}", "query": text, "split": "tune"}
        for n, text in enumerate(["night nurse", "Nurse night", "baker", "pilot"])
    ]
    for share in (0.01, 0.3, 0.6, 1.0):
        kept = chosen_on(rows, MixSettings(alphas=(0.3,), tune_share=share))
        assert kept
        assert ("q0" in kept) == ("q1" in kept)
    assert kept == {"q0", "q1", "q2", "q3"}
    assert with_choice(rows, TRIED, has_log=False) == with_choice(rows, MixSettings(), has_log=True)


def test_without_a_relevant_query_left_it_is_told_before_anything_is_labeled(
    tmp_path: Path,
) -> None:
    rows = [
        {"query_id": f"q{n}", "query": f"job {n}", "split": "tune", "grade": 0} for n in range(4)
    ]
    kept = chosen_on(rows, TRIED)
    for row in rows:
        row["grade"] = int(row["query_id"] not in kept)
    step: Any = synthesize
    with open_run(tmp_path, "toy"):
        grades = made("golden", lambda out: write(out / GOLDEN, rows))
        catalog = made("catalog", write_catalog)
        domain = Domain(grades, grades, catalog, None, grades, None)
        with pytest.raises(CookbookError, match="2 such queries have none"):
            step.fn(domain, None, ENCODER, SynthesisSettings(), TRIED)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    write_table(path, columns_of(rows))
