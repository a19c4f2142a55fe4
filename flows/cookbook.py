"""The pipeline: a product policy, golden grades and a click log in; a small ranker out."""

from pathlib import Path
from typing import Any, Literal

from prefect import flow

from flows.measures import ablate_click_start, clicks_for, measure
from flows.needs import check_bases, check_packages, check_processes, needed_bytes
from flows.profiles import profile as settings_of
from flows.second_round import label_again
from flows.students import store_labels, teach_students
from tasks.audit_conflicts import audit_conflicts
from tasks.calibrate import calibrate
from tasks.click_words import learn_click_words
from tasks.collect_impressions import collect_impressions
from tasks.core.domain.paths import find_domain
from tasks.core.store.room import check_room
from tasks.embed_documents import embed_graded, embed_shown
from tasks.ingest import ingest
from tasks.judge import prepare_judge, validate_judge, watch_canaries
from tasks.label import label
from tasks.llm_judge import announce, settle_judge
from tasks.people_grades import gather_people_grades
from tasks.personalize import personalize
from tasks.promote import promote
from tasks.report import report
from tasks.run import open_run
from tasks.settings import Settings
from tasks.synthesize import synthesize
from tasks.train_teachers import import_teacher, train_click_teacher, train_policy_teacher
from tasks.transfer_set import gather_transfer_set
from tasks.write_queries import write_llm_queries

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
    paths = find_domain(domain, root)
    s, choice = settle_judge(settings or settings_of(profile), paths)
    check_packages(s, paths)
    check_room(store, needed_bytes(s, paths))
    check_bases(s)
    check_processes()
    with open_run(store, domain) as run:
        announce(choice, run)
        # Data: the policy is the source of truth, golden data keeps the judge honest.
        data = ingest(domain, root, s.golden)
        judge = prepare_judge(data, s.encoder, s.judge)
        verdict = validate_judge(data, judge, s.encoder, s.judge)
        watch_canaries(data, judge, verdict, s.encoder, s.judge)
        written = write_llm_queries(data, judge, verdict, s.encoder, s.judge, s.synthesis)
        pairs = synthesize(data, written, s.encoder, s.synthesis, s.mix)
        judgments = label(data, pairs, judge, verdict, s.encoder, s.judge, s.labels)
        judgments = label_again(data, pairs, judgments, judge, verdict, s)
        graded = embed_graded(data, s.encoder)
        people = gather_people_grades(data, graded, s.encoder, s.people, s.mix)
        clicks = collect_impressions(data, s.impressions)
        if until == "label":
            return {}

        # Teachers: one knows the policy, one the clicks, and words know the whole log.
        # Each scores once, but for who teaches live. Those from elsewhere come first, so that a
        # mistyped folder is told before hours of training.
        further = {
            one.name: import_teacher(data, clicks, s.asked_of(one.name), one)
            for one in s.further_teachers
        }
        policy_teacher = train_policy_teacher(data, judgments, people, clicks, s.policy_teacher)
        click_teacher = train_click_teacher(data, clicks, policy_teacher, s.click_teacher)
        transfer = gather_transfer_set(data, judgments, people, clicks, s.encoder, s.mix)
        teachers = {"policy": policy_teacher, "click": click_teacher}
        by_policy, by_clicks = (
            store_labels(name, data, one, transfer, s) for name, one in teachers.items()
        )
        vectors = embed_shown(data, graded, clicks, s.encoder)
        by_words = learn_click_words(data, transfer, clicks, vectors, s.encoder, s.click_words)
        if until == "train":
            return {}

        # Students: all teachers into an assistant, a student, and a pruned student.
        labels = {"policy": by_policy, "click": by_clicks, "words": by_words}
        teachers |= further
        labels |= {
            name: store_labels(name, data, one, transfer, s) for name, one in further.items()
        }
        goals = {name: s.goal_of(name) for name in labels}
        conflicts = audit_conflicts(data, judgments, people, transfer, labels, goals)
        taught = teach_students(data, transfer, labels, teachers, clicks, s)
        if until == "distill":
            return {}

        # Serving: calibrated for everybody, then personal.
        student, pruned = (
            calibrate(data, one, judgments, people, clicks_for(one, clicks), s.calibration)
            for one in (taught.student, taught.pruned)
        )
        served = {"student": student, "pruned_student": pruned}[s.promotion.served_role]
        effects = personalize(
            data, served, clicks_for(served, clicks), vectors, s.encoder, s.personalization
        )
        if until == "personalize":
            return {}

        # Verdict: every tier on one yardstick, then the gate, then the report.
        scorers = {
            "policy_teacher": policy_teacher,
            "click_teacher": click_teacher,
            "assistant": taught.assistant,
            "student": student,
            "pruned_student": pruned,
            "policy_only": taught.policy_only,
            "click_only": taught.click_only,
            "click_other_start": ablate_click_start(data, clicks, policy_teacher, s),
        }
        m = measure(data, scorers, effects, judge, verdict, judgments, people, clicks, vectors, s)
        if until == "evaluate":
            return {}
        promotion = promote(
            data,
            transfer,
            served,
            effects,
            m.gate,
            m.single_goals,
            m.fairness,
            m.ledger,
            clicks,
            s.promotion,
        )
        return report(
            s,
            data,
            verdict,
            judgments,
            clicks,
            m.tiers,
            m.ledger,
            effects,
            m.fairness,
            promotion,
            conflicts,
            taught.mix,
            m.biases,
        )
