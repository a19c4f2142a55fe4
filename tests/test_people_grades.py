"""People's grades as teachers: which queries give theirs, and what a grade of people weighs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.domain.catalog import DOCUMENTS, MEMBERS
from tasks.core.tables import columns_of, read_rows, write_table
from tasks.exchange import (
    ENOUGH_BY_PEOPLE,
    GOLDEN,
    JUDGMENTS,
    PEOPLE,
    VECTORS,
    Domain,
    calibrating_rows,
    graded_rows,
    use_of,
)
from tasks.people_grades import gather_people_grades
from tasks.run import open_run
from tasks.settings import BaseModelSettings, MixSettings, PeopleSettings
from tests.core.training.tiny import WORDS
from tests.test_distill import made

NO_MIX = MixSettings()
ENCODER = BaseModelSettings(source="embedded")
TRADES = ("nurse", "welder", "pilot", "baker", "judge", "florist", "diver", "tailor")
PLACES = ("lima", "oslo", "kyoto", "cairo", "quito")
DOCUMENT_ROWS = [
    {"doc_id": f"d{number}", "title": f"{WORDS[number]} wanted", "text": "night shifts"}
    | {"attributes": "{}", "groups": "{}"}
    for number in range(3)
]
MEMBER_ROWS = [{"member_id": "m0", "text": "surgeon", "attributes": "{}", "groups": "{}"}]
SPLITS = ["tune"] * 30 + ["gate"] * 5 + ["sealed"] * 5


def golden() -> list[dict[str, Any]]:
    """Forty queries of three pairs; tune's first has the very words of a sealed one."""
    texts = [f"{trade} jobs in {place}" for trade in TRADES for place in PLACES]
    texts[0] = f"  {texts[39].upper()} "
    return [
        {"pair_id": f"p{query}-{place}", "query_id": f"q{query:02d}", "query": texts[query]}
        | {"member_id": "m0", "doc_id": f"d{place}", "grade": place, "split": split}
        for query, split in enumerate(SPLITS)
        for place in range(3)
    ]


def gathered(
    store: Path,
    settings: PeopleSettings,
    mix: MixSettings = NO_MIX,
    by_people: list[dict[str, Any]] | None = None,
    *,
    log: bool = True,
) -> list[dict[str, Any]] | None:
    """What the step gives, without Prefect around it."""
    step: Any = gather_people_grades
    with open_run(store, "toy"):
        grades = made("golden", lambda out: write_rows(out / GOLDEN, by_people or golden()))
        catalog = made("catalog", write_catalog)
        domain = Domain(grades, grades, catalog, None, grades if log else None, None)
        vectors = made("document_vectors", write_vectors)
        found = step.fn(domain, vectors, ENCODER, settings, mix)
    return None if found is None else read_rows(found.file(PEOPLE))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    write_table(path, columns_of(rows))


def write_vectors(folder: Path) -> None:
    """Of a document that nobody asks for: the others are embedded where they are needed."""
    write_table(folder / VECTORS, {"doc_id": ["d99"], "vector": [np.zeros(32, np.float32)]})


def write_catalog(folder: Path) -> None:
    write_table(folder / DOCUMENTS, columns_of(DOCUMENT_ROWS))
    write_table(folder / MEMBERS, columns_of(MEMBER_ROWS))


def test_tune_queries_teach_or_calibrate_but_none_that_repeats_a_sealed_one(
    tmp_path: Path,
) -> None:
    rows = gathered(tmp_path, PeopleSettings(weight=2.5))
    assert rows is not None
    tune = {f"q{number:02d}" for number in range(30)}
    assert {row["query_id"] for row in rows} == tune - {"q00"}
    assert {row["use"] for row in rows} == {"train", "calibrate"}
    assert all(row["use"] == use_of(row["query_id"]) for row in rows)
    assert all(row["grade"] == int(row["doc_id"][1]) for row in rows)
    assert {row["weight"] for row in rows} == {2.5}
    assert np.isfinite([[row["bm25"], row["cosine"]] for row in rows]).all()


def test_a_share_is_drawn_by_query_and_none_is_no_artifact(tmp_path: Path) -> None:
    everyone = gathered(tmp_path, PeopleSettings())
    half = gathered(tmp_path, PeopleSettings(tune_share=0.5))
    other = gathered(tmp_path, PeopleSettings(tune_share=0.5, seed=1))
    assert everyone is not None and half is not None and other is not None
    names, all_names = ({row["query_id"] for row in rows} for rows in (half, everyone))
    assert names < all_names
    assert len(half) == 3 * len(names)
    assert len(names) <= 15
    assert names != {row["query_id"] for row in other}
    assert gathered(tmp_path, PeopleSettings(tune_share=0)) is None


def test_a_pair_that_both_graded_has_the_grade_of_people(tmp_path: Path) -> None:
    judged = [
        {"pair_id": name, "grade": 0, "probabilities": [1.0, 0.0, 0.0], "use": use}
        | {"rationale": "no"}
        for name, use in (("a", "train"), ("b", "train"), ("c", "calibrate"))
    ]
    by_people = [{"pair_id": "b", "grade": 2}, {"pair_id": "d", "grade": 1}]
    by_people = [{**row, "weight": 3.0, "use": "train"} for row in by_people]
    with open_run(tmp_path, "toy"):
        labels = made("judgments", lambda out: write_rows(out / JUDGMENTS, judged))
        people = made("people_grades", lambda out: write_rows(out / PEOPLE, by_people))
    rows = graded_rows(labels, people, most=9)
    assert [(row["pair_id"], row["grade"], row["weight"]) for row in rows] == [
        ("a", 0, 1.0),
        ("b", 2, 3.0),
        ("d", 1, 3.0),
    ]
    few = graded_rows(labels, people, most=2)
    assert [row["pair_id"] for row in few] == ["b", "d"], "a cut falls on the judge's rows first"
    assert [row["probabilities"] for row in rows] == [[1.0, 0.0, 0.0], None, None]
    assert [row["pair_id"] for row in graded_rows(labels, None, most=9)] == ["a", "b"]


@pytest.mark.parametrize("many", [ENOUGH_BY_PEOPLE - 1, ENOUGH_BY_PEOPLE])
def test_people_alone_calibrate_where_they_graded_enough(tmp_path: Path, many: int) -> None:
    judged = [{"pair_id": "a", "use": "calibrate"}, {"pair_id": "b", "use": "train"}]
    graded = [{"pair_id": f"p{n}", "use": "calibrate"} for n in range(many)]
    graded.append({"pair_id": "q", "use": "train"})
    with open_run(tmp_path, "toy"):
        labels = made("judgments", lambda out: write_rows(out / JUDGMENTS, judged))
        people = made("people_grades", lambda out: write_rows(out / PEOPLE, graded))
    names = [row["pair_id"] for row in calibrating_rows(labels, people)]
    assert names == ["a"] * (many < ENOUGH_BY_PEOPLE) + [f"p{n}" for n in range(many)]
    assert [row["pair_id"] for row in calibrating_rows(labels, None)] == ["a"]


def test_queries_that_a_mix_is_chosen_on_teach_nothing(tmp_path: Path) -> None:
    """At any share of teaching and choosing: what is kept is never drawn."""
    tried = MixSettings(alphas=(0.3,), tune_share=0.4)
    rows = gathered(tmp_path, PeopleSettings(), tried)
    assert rows is not None
    assert len({row["query_id"] for row in rows}) <= 18 < 30 - 2
    assert gathered(tmp_path, PeopleSettings(), MixSettings(alphas=(0.3,), tune_share=1)) is None


def test_with_reserved_queries_a_first_alpha_changes_no_teachers_grades(tmp_path: Path) -> None:
    """Without, the alpha halves them, and both teachers are trained again."""
    before = gathered(tmp_path, PeopleSettings(), MixSettings(reserve=True))
    after = gathered(tmp_path, PeopleSettings(), MixSettings(alphas=(0.3,), reserve=True))
    assert before is not None and after is not None
    assert before == after
    assert len(list(tmp_path.glob("artifacts/people_grades/*"))) == 1
    assert before != gathered(tmp_path, PeopleSettings(), MixSettings())


def test_without_a_click_log_no_query_is_kept_for_a_choice_that_nobody_makes(
    tmp_path: Path,
) -> None:
    everyone = gathered(tmp_path, PeopleSettings())
    for mix in (MixSettings(alphas=(0.3,)), MixSettings(reserve=True)):
        assert gathered(tmp_path, PeopleSettings(), mix, log=False) == everyone


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_a_query_is_left_to_choose_on_however_small_its_share(tmp_path: Path, share: float) -> None:
    """Without one, choosing fails after all students are taught. Query 0 is left out anyhow."""
    few = [row for row in golden() if row["split"] != "tune" or row["query_id"] in ("q01", "q02")]
    rows = gathered(tmp_path, PeopleSettings(), MixSettings(alphas=(0.3,), tune_share=share), few)
    assert rows is not None
    assert len({row["query_id"] for row in rows}) == 1
    whole = gathered(tmp_path, PeopleSettings(), NO_MIX, few)
    assert whole is not None
    assert len({row["query_id"] for row in whole}) == 2
