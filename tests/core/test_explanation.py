"""A score is told back to its parts, its label and clauses, its teachers, data and code."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.explanation import explain, scored_line
from tasks.core.inspection import FinishedRun
from tasks.core.policy import parse_policy
from tasks.core.store.artifacts import Artifact, Workbench, artifact_store, materialize
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model
from tasks.core.tables import write_table
from tasks.core.text import pair_id
from tests.core.training.tiny import lively_scorer

POLICY = Path(__file__).resolve().parents[2] / "policy" / "job_search" / "policy.md"
CLAUSE = parse_policy(POLICY).clauses[3]
SEEN, NEW = pair_id("q1", "m1", "d1"), pair_id("q1", "m1", "d2")
PAIR = {"pair_id": [SEEN], "query_id": ["q1"], "query": ["nurse"], "member_id": ["m1"]}
JUDGMENT = {"grade": [2], "clauses": [[CLAUSE.id]], "judge": ["a model"], "prompt_hash": ["ab"]}
GOLDEN = {"grade": [1], "split": ["sealed"]}
CATALOG = Catalog(
    {f"d{n}": {"title": "Nurse", "text": "Nights.", "attributes": "{}"} for n in (1, 2)}, {}
)


def table(name: str, columns: dict[str, list[Any]]) -> Callable[[Workbench], dict[str, int]]:
    def build(bench: Workbench) -> dict[str, int]:
        write_table(bench.out / name, {**PAIR, "doc_id": ["d1"], **columns})
        return {}

    return build


def policy(bench: Workbench) -> dict[str, int]:
    (bench.out / "policy.md").write_bytes(POLICY.read_bytes())
    return {}


def teacher(bench: Workbench) -> dict[str, int]:
    (bench.out / "scorer").mkdir()
    (bench.out / "scorer" / "cookbook.json").write_text('{"actions": ["clicked"]}')
    return {}


def actions(bench: Workbench) -> dict[str, int]:
    (bench.out / "propensities.json").write_text('{"actions": ["clicked"]}')
    return {}


def soft_labels(teacher: Artifact) -> Artifact:
    # Two grades as likely as not, and a click of log(3): three to one.
    build = table("shard-00000.parquet", {"logits": [[0.5, 0.5, float(np.log(3))]]})
    return materialize("soft_labels", build, settings={}, upstream=[teacher])


@pytest.fixture
def run(tmp_path: Path) -> FinishedRun:
    with artifact_store(tmp_path):
        made = [
            materialize("policy", policy, settings={}, outside={"policy": "its hash"}),
            materialize("judgments", table("judgments.parquet", JUDGMENT), settings={}),
            materialize("golden", table("golden.parquet", GOLDEN), settings={}),
            materialize("transfer_set", table("transfer.parquet", {}), settings={}),
            materialize("policy_teacher", teacher, settings={}),
            materialize("click_teacher", teacher, settings={}),
            materialize("further_teacher", teacher, settings={"name": "older"}),
            materialize("impressions", actions, settings={}),
        ]
        made += [soft_labels(one) for one in made[4:7]]
        # Words know nothing of grades, and say log(4): four to one.
        logits = [[float("nan"), float("nan"), float(np.log(4))]]
        words = table("shard-00000.parquet", {"logits": logits})
        made.append(materialize("click_words", words, settings={}, upstream=[made[7]]))
    report = {
        "lineage": [
            {"step": one.kind, "digest": one.digest[:16], "inputs": [i[:16] for i in one.inputs]}
            for one in made
        ],
        "judge": {"name": "a model", "prompt": "plain", "kappa": 0.7},
        "policy_version": "1.2",
        "run_key": "ab",
        "environment": {"commit": "c0ffee"},
    }
    teachers = [{"name": name, "kind": "actions"} for name in ("click", "words")]
    teachers += [{"name": name, "kind": "grades"} for name in ("policy", "older")]
    manifest = {"settings": {"student": {"teachers": teachers}}, "lock": "its lock"}
    return FinishedRun(report, manifest, tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    lively_scorer("random_encoder", actions=("clicked",)).save(tmp_path / "scorer")
    registry = Registry(tmp_path / "registry")
    return registry.model(registry.register({"scorer": tmp_path / "scorer"}, {}))


def test_a_label_comes_with_the_words_of_the_clauses_it_cites(run: FinishedRun) -> None:
    found = explain(run, SEEN)
    assert found["label"]["grade"] == 2
    assert found["clauses"] == {CLAUSE.id: CLAUSE.text}
    assert found["golden"] == {"grade": 1, "split": "sealed"}
    assert found["score"] is None


def test_a_teacher_is_told_by_what_it_was_taught_alone(run: FinishedRun) -> None:
    teachers = explain(run, SEEN)["teachers"]
    assert teachers["policy_teacher"] == {"grade_probabilities": pytest.approx([0.5, 0.5])}
    click = teachers["click_teacher"]
    assert click.keys() == {"action_probabilities"}
    assert click["action_probabilities"] == {"clicked": pytest.approx(0.75)}
    assert teachers["words"] == {"action_probabilities": {"clicked": pytest.approx(0.8)}}
    assert teachers["older"] == {"grade_probabilities": pytest.approx([0.5, 0.5])}
    assert len(teachers) == 4


def test_a_score_leads_back_to_data_code_and_judge(run: FinishedRun, model: Model) -> None:
    found = explain(run, SEEN, model=model, catalog=CATALOG)["lineage"]
    assert found["data_sha256"] == {"policy": "its hash"}
    assert (found["commit"], found["lock_sha256"]) == ("c0ffee", "its lock")
    assert found["judge"] == {"name": "a model", "prompt": "plain", "kappa": 0.7}
    assert found["model"] == "v0001"


def test_a_pair_that_the_run_never_saw_is_explained_from_its_line_of_scores(
    run: FinishedRun, model: Model, tmp_path: Path
) -> None:
    lines = [
        {"query_id": "q0", "query": "title alone", "title": "a", "text": "b"},
        {"query_id": "q1", "query": "nurse", "member_id": "m1", "doc_id": "d2", "value": 0.5},
    ]
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = explain(run, NEW, model=model, catalog=CATALOG, scored=scored_line(scores, NEW))
    assert found["pair"]["doc_id"] == "d2"
    assert found["label"] is None
    assert found["score"]["value"] == 0.5
    assert found["score"]["click_logit"].keys() == {"student"}
    assert scored_line(scores, SEEN) is None


def test_a_line_with_an_empty_text_is_a_candidate_of_its_own(
    run: FinishedRun, model: Model
) -> None:
    """Its document may be no part of the catalog, and was none when it was scored."""
    line = {"query_id": "q1", "query": "nurse", "member_id": "", "doc_id": "ext"}
    scored = {**line, "title": "Nurse", "text": "", "value": 0.5, "pair_id": NEW}
    score = explain(run, NEW, model=model, catalog=CATALOG, scored=scored)["score"]
    assert score["value"] == 0.5
    assert score["read"].startswith("[CLS] nurse [SEP] nurse")


def test_without_a_line_the_version_scores_the_pair(run: FinishedRun, model: Model) -> None:
    score = explain(run, SEEN, model=model, catalog=CATALOG)["score"]
    assert sum(score["grade_probabilities"]) == pytest.approx(1)
    assert score["model_version"] == "v0001"


def test_a_score_shows_what_was_read_of_the_pair_and_what_was_not(
    run: FinishedRun, tmp_path: Path
) -> None:
    scorer = lively_scorer("random_encoder")
    scorer.template = replace(scorer.template, max_tokens=14, worths={"icu": 6.0})
    scorer.save(tmp_path / "told" / "scorer")
    registry = Registry(tmp_path / "told" / "registry")
    version = registry.register({"scorer": tmp_path / "told" / "scorer"}, {})
    text = "We are a friendly place to be in. Icu it is."
    catalog = Catalog({"d1": {"title": "Nurse", "text": text, "attributes": "{}"}}, {})
    score = explain(run, SEEN, model=registry.model(version), catalog=catalog)["score"]
    assert score["read"] == "[CLS] nurse [SEP] nurse. icu it is. we are a [SEP]"


def test_an_unknown_pair_says_where_ids_stand(run: FinishedRun) -> None:
    with pytest.raises(CookbookError, match="--scores"):
        explain(run, NEW)


def test_artifacts_that_are_gone_are_named(run: FinishedRun) -> None:
    (folder,) = run.folders("judgments")
    folder.rename(folder.with_suffix(".away"))
    with pytest.raises(CookbookError, match="was removed"):
        explain(run, SEEN)
