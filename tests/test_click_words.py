"""The step that reads the whole log, and how its words teach."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from flows.profiles import LOGGED_WORDS, laptop
from flows.students import of_one_goal
from tasks.click_words import learn_click_words
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.domain.catalog import DOCUMENTS, MEMBERS
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import columns_of, write_table
from tasks.distill import _stored as stored_opinion
from tasks.distill import _teachers as taught_by
from tasks.exchange import POLICY, PROPENSITIES, TOP_WORDS, TRAINING_LOG, TRANSFER, Domain
from tasks.run import open_run
from tasks.settings import BaseModelSettings, ClickWordsSettings
from tests.core.training.tiny import tiny_scorer
from tests.test_distill import made
from tests.test_people_grades import write_vectors

PROJECT = Path(__file__).resolve().parents[1]
ENCODER = BaseModelSettings(source="random_encoder", name="tiny")
MEMBER_ROWS = [{"member_id": "m0", "text": "surgeon", "attributes": "{}", "groups": "{}"}]


def write_catalog(folder: Path) -> None:
    rows = [
        {"doc_id": f"d{number}", "title": "remote work" if number % 2 else "office work"}
        | {"text": "night shifts", "attributes": "{}", "groups": "{}"}
        for number in range(8)
    ]
    write_table(folder / DOCUMENTS, columns_of(rows))
    write_table(folder / MEMBERS, columns_of(MEMBER_ROWS))


def pair(name: str, query: str, document: str) -> dict[str, Any]:
    """What says which texts make up a pair."""
    return {"pair_id": name, "query_id": query, "query": f"{query} jobs"} | {
        "member_id": "m0",
        "doc_id": document,
    }


def write_log(folder: Path) -> None:
    """Remote work is clicked in 3 of 4 impressions, office work in 1 of 4."""
    log = [
        {"query": f"q{number % 5} jobs", "doc_id": f"d{number % 8}", "weight": 1.0}
        | {"clicked": int((number // 8 % 4 == 0) != bool(number % 2))}
        for number in range(320)
    ]
    write_table(folder / TRAINING_LOG, columns_of(log))
    (folder / PROPENSITIES).write_text(json.dumps({"actions": ["clicked"]}))


def write_transfer(folder: Path) -> None:
    rows = [pair("a", "q0", "d0"), pair("b", "q0", "d1"), pair("c", "q9", "d2")]
    write_table(folder / TRANSFER, columns_of(rows))


def write_policy(folder: Path) -> None:
    (folder / POLICY).write_text((PROJECT / "policy/job_search/policy.md").read_text())


def learned(store: Path, settings: ClickWordsSettings) -> Artifact | None:
    """What the step makes, without Prefect around it."""
    step: Any = learn_click_words
    with open_run(store, "toy"):
        policy, catalog = made("policy", write_policy), made("catalog", write_catalog)
        domain = Domain(policy, catalog, catalog, None, None, None)
        transfer, log = made("transfer_set", write_transfer), made("impressions", write_log)
        vectors = made("document_vectors", write_vectors)
        assert step.fn(domain, transfer, None, vectors, ENCODER, settings) is None
        found: Artifact | None = step.fn(domain, transfer, log, vectors, ENCODER, settings)
    return found


def test_every_pair_to_learn_from_gets_what_the_whole_log_says_of_its_words(tmp_path: Path) -> None:
    found = learned(tmp_path, ClickWordsSettings(l2=1.0))
    assert found is not None
    assert found.counts["rows"] == 320
    logits = read_soft_labels(found.folder, ["c", "b", "a"])
    assert logits.shape == (3, 5 + 1)
    assert np.isnan(logits[:, :5]).all()
    np.testing.assert_allclose(expit(logits[:, 5]), [0.25, 0.75, 0.25], atol=0.03)
    top = found.json(TOP_WORDS)["clicked"]
    assert "remote" in top["more"][0]
    assert "office" in top["less"][0]


def test_without_rows_there_is_no_such_teacher(tmp_path: Path) -> None:
    assert learned(tmp_path, ClickWordsSettings(max_rows=0)) is None


def test_words_alone_teach_a_student_of_clicks_and_nothing_of_relevance(tmp_path: Path) -> None:
    """They have all the weight of the goal; retrieval speaks of relevance and is not asked."""
    rows = [pair(name, "q0", "d0") | {"bm25": 1.0, "cosine": 0.5} for name in ("a", "b")]
    labels = np.array([[np.nan] * 3 + [1.5], [np.nan] * 3 + [-1.5]], dtype=np.float32)
    folder = tmp_path / "words"
    folder.mkdir()
    write_table(folder / "shard-00000.parquet", {"pair_id": ["a", "b"], "logits": list(labels)})
    artifact = Artifact("click_words", str(folder), "0" * 16, "0" * 16, 0.0, reused=False)
    student = tiny_scorer("random_encoder", actions=("clicked",))
    queries = np.zeros(2, dtype=np.int64)
    settings = of_one_goal(laptop().student, alpha=0.0)
    (teacher,) = taught_by(
        rows, queries, student, {"words": stored_opinion(artifact, rows)}, settings
    )
    assert (teacher.kind, teacher.weight) == ("actions", LOGGED_WORDS.weight)
    np.testing.assert_array_equal(teacher.targets, labels[:, 3:])
