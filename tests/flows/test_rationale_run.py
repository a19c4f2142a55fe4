"""A whole run of causal models whose teacher learns to write an LLM judge's reasons, then to
grade, and then teaches students live."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from tasks.core.domain.catalog import Catalog
from tasks.core.domain.corpus import read_documents, read_members
from tasks.core.policy import parse_policy
from tasks.core.report.schema import validate_report
from tasks.core.tables import Row, read_rows
from tasks.core.training.base_models import BaseModel, language_model
from tasks.core.training.language_model import LanguageModel
from tasks.core.training.rationales import ASKED
from tasks.core.training.scorer import PairScorer
from tests.core.labeling.scripted_endpoint import ScriptedEndpoint
from tests.flows.smoke import PROJECT, environment, report_of
from tests.job_search_judge import POLICY, DecisionTableJudge, small_world

pytestmark = pytest.mark.slow
REASON = "The decision tables say so."
# Layers and width of the MLPs by role.
SHAPES = {
    "policy_teacher": (3, 64),
    "click_teacher": (3, 64),
    "assistant": (2, 64),
    "student": (1, 64),
    "pruned_student": (1, 32),
}

# The smoke profile with an LLM judge; what it measures beside the models is kept small.
RUN = """
import sys
from flows.cli import main
from flows.profiles import PROFILES, changed, smoke
from tasks.settings import JudgeSettings, MixSettings, TrainingSettings

address, root, store = sys.argv[1:]
judge = JudgeSettings(
    kind="endpoint", base_url=address, model="scripted-1", floor_kappa=0.0, floor_human_share=0.0
)
judge = changed(
    judge, checks=changed(judge.checks, wobble_pairs=0, twin_pairs=0, canary_pairs=0)
)
s = smoke()
reasons = TrainingSettings(epochs=5, learning_rate=1e-2, rows_per_step=16)
def policy_live(role):
    teachers = [changed(one, live=one.name == "policy") for one in role.teachers]
    return changed(role, teachers=tuple(teachers))


settings = changed(
    s,
    assistant=policy_live(s.assistant),
    student=policy_live(s.student),
    pruned_student=policy_live(s.pruned_student),
    judge=judge,
    synthesis=changed(s.synthesis, generated_queries=0, max_pairs=100),
    policy_teacher=changed(s.policy_teacher, rationale=reasons),
    click_teacher=changed(s.click_teacher, ablate_start=False),
    mix=MixSettings(),
    fairness=changed(s.fairness, twin_pairs=0),
    evaluation=changed(s.evaluation, judge_biases=False),
)
PROFILES["smoke"] = lambda: settings
main(["run", "--profile", "smoke", "--root", root, "--store", store])
"""


@pytest.fixture(scope="module")
def judge(root: Path) -> DecisionTableJudge:
    folder = root / "golden_data" / "job_search"
    catalog = Catalog(
        {row["doc_id"]: row for row in read_documents(folder / "documents.jsonl.gz")},
        {row["member_id"]: row for row in read_members(folder / "members.jsonl.gz")},
    )
    return DecisionTableJudge(small_world(), catalog, [parse_policy(POLICY)])


@pytest.fixture(scope="module")
def store(root: Path, judge: DecisionTableJudge, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one whole run."""
    store = tmp_path_factory.mktemp("reasons") / "runs"
    with ScriptedEndpoint(judge, keep_calls=False) as server:
        done = subprocess.run(
            [sys.executable, "-c", RUN, server.base_url, str(root), str(store)],
            env=environment(store.parent / "prefect", OPENAI_API_KEY="none"),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return store


def judgments(store: Path) -> list[Row]:
    (table,) = store.glob("artifacts/judgments/*/judgments.parquet")
    return read_rows(table)


def scorer_of(store: Path, role: str) -> PairScorer:
    (folder,) = store.glob(f"artifacts/{role}/*/scorer")
    return PairScorer.load(folder)


def surprise(writer: LanguageModel, reason: str) -> float:
    """Nats a token of a reason, written after a pair."""
    begin = writer.tokenizer(f"Query: nurse\nNurse, nights{ASKED}")["input_ids"]
    ids = torch.tensor([*begin, *writer.tokenizer(reason)["input_ids"]])
    with torch.inference_mode():
        logits = writer.model(ids[None]).logits[0]
    return float(cross_entropy(logits[len(begin) - 1 : -1], ids[len(begin) :]))


def test_the_run_ends_with_a_report_of_a_ladder_of_causal_models(store: Path) -> None:
    report = report_of(store)
    validate_report(report)
    assert [tier["role"] for tier in report["tiers"]] == list(SHAPES)
    for role, (layers, width) in SHAPES.items():
        config = scorer_of(store, role).model.config
        assert (config.model_type, config.num_hidden_layers) == ("qwen3", layers)
        assert config.intermediate_size == width


def test_who_teaches_live_stores_nothing(store: Path) -> None:
    (stored,) = store.glob("artifacts/soft_labels/*/manifest.json")
    (clicks,) = store.glob("artifacts/click_teacher/*/manifest.json")
    inputs = json.loads(stored.read_text())["key"]["upstream"]
    assert json.loads(clicks.read_text())["digest"] in inputs
    skipped = {one["step"]: one["reason"] for one in report_of(store)["skipped"]}
    assert "policy teaches live" in skipped["conflicts"]


def test_every_label_with_a_reason_teaches_the_stage(store: Path) -> None:
    """People's grades, which fill the teacher's training rows, crowd out none of them."""
    judged = judgments(store)
    (manifest,) = store.glob("artifacts/policy_teacher/*/manifest.json")
    counts = json.loads(manifest.read_text())["counts"]
    assert counts["reasons"] == sum(row["use"] == "train" for row in judged) > 0
    (people,) = store.glob("artifacts/people_grades/*/people_grades.parquet")
    of_people = sum(row["use"] == "train" for row in read_rows(people))
    assert counts["reasons"] > counts["rows"] - of_people


def test_the_teacher_keeps_in_its_layers_what_the_judge_wrote(store: Path) -> None:
    """Read by plain transformers: below the base's head its layers foretell the judge's reasons,
    more than the same letters in the other case; the untaught base foretells neither."""
    assert {row["rationale"] for row in judgments(store)} == {REASON}
    base, learned = (language_model(BaseModel("random_decoder", "tiny"), seed=0) for _ in range(2))
    scorer = scorer_of(store, "policy_teacher")
    learned.model.base_model.load_state_dict(scorer.model.base_model.state_dict())
    assert surprise(learned, REASON) < surprise(base, REASON) - 0.1
    assert surprise(learned, REASON) < surprise(learned, REASON.swapcase()) - 0.05
    assert surprise(base, REASON) == pytest.approx(surprise(base, REASON.swapcase()), abs=0.05)
