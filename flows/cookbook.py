"""The pipeline: a product policy, golden grades and a click log in; a small ranker out."""

from pathlib import Path
from typing import Any, Literal

from prefect import flow

from flows.needs import needed_bytes
from flows.profiles import profile as settings_of
from tasks.calibrate import calibrate
from tasks.collect_impressions import collect_impressions
from tasks.core.domain.paths import find_domain
from tasks.core.store.room import check_room
from tasks.distill import distill
from tasks.evaluate import evaluate_baselines, evaluate_tier
from tasks.fairness import measure_fairness
from tasks.ingest import ingest
from tasks.judge import prepare_judge, validate_judge
from tasks.label import label
from tasks.ledger import measure_ledger
from tasks.personalize import personalize
from tasks.promote import promote
from tasks.report import report
from tasks.run import open_run
from tasks.score import gather_transfer_set, score
from tasks.settings import Settings
from tasks.synthesize import synthesize
from tasks.train_teachers import train_click_teacher, train_policy_teacher

PROJECT = Path(__file__).resolve().parents[1]
Part = Literal["label", "train", "distill", "personalize", "evaluate"]
ProfileName = Literal["smoke", "laptop", "single_gpu", "linkedin"]


@flow(name="cookbook", persist_result=False, validate_parameters=True)
def cookbook(
    settings: Settings | None = None,
    profile: ProfileName = "laptop",
    domain: str = "job_search",
    root: Path = PROJECT,
    store: Path = Path("runs"),
    until: Part | None = None,
) -> dict[str, Any]:
    """Product policy in; promoted or refused small ranker, and its report, out.

    With ``until`` the flow ends after that part, without a verdict; its artifacts are kept.
    """
    s = settings or settings_of(profile)
    check_room(store, needed_bytes(s, find_domain(domain, root)))
    with open_run(store, domain):
        # Data: the policy is the source of truth, golden data keeps the judge honest.
        data = ingest(domain, root, s.golden)
        pairs = synthesize(data, s.encoder, s.synthesis)
        judge = prepare_judge(data, s.encoder, s.judge)
        verdict = validate_judge(data, judge, s.encoder, s.judge)
        judgments = label(data, pairs, judge, verdict, s.encoder, s.judge)
        clicks = collect_impressions(data, s.impressions)
        if until == "label":
            return {}

        # Teachers: one knows the policy, one knows the clicks. Each scores once.
        policy_teacher = train_policy_teacher(data, judgments, clicks, s.policy_teacher)
        click_teacher = train_click_teacher(data, clicks, policy_teacher, s.click_teacher)
        transfer = gather_transfer_set(judgments, clicks)
        by_policy = score(data, policy_teacher, transfer)
        by_clicks = score(data, click_teacher, transfer)
        if until == "train":
            return {}

        # Students: both teachers into an assistant, a student, and a pruned student.
        assistant = distill(
            "assistant", data, transfer, by_policy, by_clicks, policy_teacher, s.assistant
        )
        student = distill("student", data, transfer, by_policy, by_clicks, assistant, s.student)
        pruned = distill(
            "pruned_student", data, transfer, by_policy, by_clicks, student, s.pruned_student
        )
        policy_only = distill(
            "policy_only", data, transfer, by_policy, None, by_clicks and policy_teacher, s.student
        )
        click_only = distill(
            "click_only", data, transfer, None, by_clicks, click_teacher, s.student
        )
        if until == "distill":
            return {}

        # Serving: calibrated for everybody, then personal.
        assert student is not None and pruned is not None  # only a baseline can lack its teacher
        student = calibrate(data, student, judgments, clicks, s.calibration)
        pruned = calibrate(data, pruned, judgments, clicks, s.calibration)
        served = {"student": student, "pruned_student": pruned}[s.promotion.served_role]
        effects = personalize(data, served, clicks, s.encoder, s.personalization)
        if until == "personalize":
            return {}

        # Verdict: every tier on one yardstick, then the gate, then the report.
        scorers = {
            "policy_teacher": policy_teacher,
            "click_teacher": click_teacher,
            "assistant": assistant,
            "student": student,
            "pruned_student": pruned,
            "policy_only": policy_only,
            "click_only": click_only,
        }
        tiers = {
            role: (scorer, evaluate_tier(role, data, scorer, clicks, s.evaluation))
            for role, scorer in scorers.items()
        }
        others = evaluate_baselines(data, s.encoder, clicks)
        ledger = measure_ledger(data, tiers, others, clicks, s.calibration, s.evaluation)
        fairness = measure_fairness(data, tiers, clicks, s.fairness)
        if until == "evaluate":
            return {}
        promotion = promote(data, served, effects, policy_teacher, ledger, s.promotion)
        return report(
            s, data, verdict, judgments, clicks, tiers, ledger, effects, fairness, promotion
        )
