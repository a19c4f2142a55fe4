"""What is measured of a run's models: every tier on one yardstick, then the one that will serve."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.ask_edited import ask_edited
from tasks.ask_twins import ask_twins
from tasks.branch import changed
from tasks.compare_goals import compare_goals
from tasks.core.store.artifacts import Artifact
from tasks.evaluate import evaluate_baselines, evaluate_tier
from tasks.exchange import Domain, taught_goals
from tasks.fairness import measure_fairness
from tasks.ledger import TIERS, measure_ledger
from tasks.measure_biases import measure_biases
from tasks.measure_gate import measure_gate
from tasks.run import current_run
from tasks.settings import Settings
from tasks.train_teachers import train_click_teacher

Scorers = Mapping[str, Artifact | None]


@dataclass(frozen=True)
class Measures:
    """Artifacts of what was measured; ``tiers`` has each role's scorer and its evaluation.

    ``single_goals`` is None where the student has one goal itself.
    """

    tiers: Mapping[str, tuple[Artifact | None, Artifact | None]]
    ledger: Artifact
    gate: Artifact
    single_goals: Artifact | None
    biases: Artifact | None
    fairness: Artifact | None


def measure(
    domain: Domain,
    scorers: Scorers,
    effects: Artifact | None,
    judge: Artifact,
    verdict: Artifact,
    judgments: Artifact,
    people: Artifact | None,
    impressions: Artifact | None,
    vectors: Artifact,
    s: Settings,
) -> Measures:
    """Relevance and clicks of every scorer by role, the gate of the served one, biases, gaps."""
    role = s.promotion.served_role
    served, teacher = scorers[role], scorers["policy_teacher"]
    assert served is not None and teacher is not None  # only what needs clicks can be missing
    rows = (judgments, people, impressions, s.evaluation)
    tiers = {
        name: (scorer, evaluate_tier(name, domain, scorer, *rows, timed=name in TIERS))
        for name, scorer in scorers.items()
    }
    others = evaluate_baselines(domain, vectors, s.encoder, impressions)
    ledger = measure_ledger(domain, tiers, others, impressions, s.calibration, s.evaluation)
    gate = measure_gate(domain, served, teacher, impressions)
    mixed = scorers["student"]
    assert mixed is not None  # it is taught relevance at least
    singles = {name: scorers[name] for name in ("policy_only", "click_only")}
    single_goals = compare_goals(domain, mixed, singles, impressions, s.evaluation)
    graders = {name: one for name, one in scorers.items() if one and "grades" in taught_goals(one)}
    edited = ask_edited(domain, judge, s.encoder, s.judge, s.evaluation)
    biases = measure_biases(domain, graders, edited, s.evaluation)
    twins = ask_twins(domain, judge, s.encoder, s.judge, s.fairness)
    fairness = measure_fairness(
        domain, tiers, role, verdict, gate, impressions, effects, twins, s.fairness
    )
    return Measures(tiers, ledger, gate, single_goals, biases, fairness)


def clicks_for(scorer: Artifact, impressions: Artifact | None) -> Artifact | None:
    """The click log, where the scorer was taught clicks: its click logits are else no opinion."""
    if impressions is None or "actions" in taught_goals(scorer):
        return impressions
    current_run().skip("personalization", "the student was taught relevance alone, no clicks")
    return None


def ablate_click_start(
    domain: Domain,
    impressions: Artifact | None,
    policy_teacher: Artifact,
    s: Settings,
) -> Artifact | None:
    """A click teacher that begins as the base if it else begins as the policy teacher, or reversed.

    It teaches nobody; None unless the settings ask for it.
    """
    if not s.click_teacher.ablate_start:
        return None
    other = "base" if s.click_teacher.start == "policy_teacher" else "policy_teacher"
    begun = changed(s.click_teacher, start=other)
    return train_click_teacher(domain, impressions, policy_teacher, begun)
