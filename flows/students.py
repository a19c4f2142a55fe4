"""The distilled tiers: assistant, student, pruned student, and the students of one teacher."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.branch import changed
from tasks.choose_mix import Candidate, choose_mix
from tasks.core.store.artifacts import Artifact
from tasks.distill import distill
from tasks.exchange import MIX, Domain
from tasks.settings import DistillationSettings, Settings


@dataclass(frozen=True)
class Students:
    """Scorers by role; a student of one teacher is None where that teacher or clicks lack."""

    assistant: Artifact | None
    student: Artifact
    pruned: Artifact
    policy_only: Artifact | None
    click_only: Artifact | None
    mix: Artifact | None


def teach_students(
    domain: Domain,
    transfer: Artifact,
    labels: Mapping[str, Artifact | None],
    teachers: tuple[Artifact, Artifact | None],
    people: Artifact | None,
    impressions: Artifact | None,
    s: Settings,
) -> Students:
    """All distilled tiers; where further mixes are asked for, the rule picks the student."""
    policy_teacher, click_teacher = teachers
    clicks = labels.get("click")
    graders = {one.name for one in s.student.teachers if one.kind != "actions"}
    relevance = {name: one for name, one in labels.items() if name in graders}
    actions = {name: labels.get(name) for name in ("click", "words")}
    assistant = distill("assistant", domain, transfer, labels, policy_teacher, s.assistant)
    policy_only = distill(
        "policy_only", domain, transfer, relevance, clicks and policy_teacher, s.student
    )
    click_only = distill("click_only", domain, transfer, actions, click_teacher, s.student)
    candidates: dict[str, Candidate] = {}
    for name, settings in mixes(s).items():
        one = distill("student", domain, transfer, labels, assistant, settings)
        assert one is not None  # only a baseline can lack its teacher
        candidates[name] = (settings, one)
    mix, (settings, student) = None, candidates["student"]
    if len(candidates) > 1 and policy_only is not None and click_only is not None:
        singles = {"policy_only": policy_only, "click_only": click_only}
        candidates |= {name: (s.student, one) for name, one in singles.items()}
        mix = choose_mix(domain, candidates, people, impressions, s.mix)
        settings, student = candidates[mix.json(MIX)["chosen"]]
    pruned_settings = changed(s.pruned_student, conflicts=settings.conflicts, alpha=settings.alpha)
    if mix is None:
        pruned_settings = s.pruned_student
    pruned = distill("pruned_student", domain, transfer, labels, student, pruned_settings)
    assert pruned is not None
    return Students(assistant, student, pruned, policy_only, click_only, mix)


def mixes(s: Settings) -> dict[str, DistillationSettings]:
    """The student's settings by name: its own, then what is to be tried beside it."""
    own = {"student": s.student}
    by_alpha = {f"alpha_{alpha:g}": changed(s.student, alpha=alpha) for alpha in s.mix.alphas}
    by_rule = {rule: changed(s.student, conflicts=rule) for rule in s.mix.conflicts}
    return own | by_alpha | by_rule
