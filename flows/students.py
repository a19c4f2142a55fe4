"""The distilled tiers: assistant, student, pruned student, and the students of one goal."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.branch import changed
from tasks.choose_mix import Candidate, choose_mix
from tasks.core.store.artifacts import Artifact
from tasks.distill import distill
from tasks.exchange import MIX, Domain
from tasks.run import current_run
from tasks.score import score
from tasks.settings import DistillationSettings, Settings

NO_CHOICE = "students are chosen by clicks too, and there is no student of clicks to compare with"


@dataclass(frozen=True)
class Students:
    """Scorers by role; a student of one goal is None where its teacher or clicks lack."""

    assistant: Artifact | None
    student: Artifact
    pruned: Artifact
    policy_only: Artifact | None
    click_only: Artifact | None
    mix: Artifact | None


def store_labels(
    name: str, domain: Domain, teacher: Artifact | None, transfer: Artifact, s: Settings
) -> Artifact | None:
    """A teacher's soft labels of the transfer set; None where it teaches live alone."""
    if teacher is None or s.is_stored(name):
        return score(domain, teacher, transfer)
    current_run().skip(
        "conflicts", f"the teacher {name} teaches live, and nothing stores its views"
    )
    return None


def teach_students(
    domain: Domain,
    transfer: Artifact,
    labels: Mapping[str, Artifact | None],
    teachers: Mapping[str, Artifact | None],
    impressions: Artifact | None,
    s: Settings,
) -> Students:
    """All distilled tiers; where further mixes are asked for, the rule picks the student.

    ``teachers`` are the scorers by name, of which ``labels`` are the soft labels.
    """

    def taught(
        role: str, start: Artifact | None, settings: DistillationSettings
    ) -> Artifact | None:
        if settings.cuts == "one_by_one":
            start = taught(f"{role}_layers", start, of_layers_alone(settings))
            settings = changed(settings, base=None)
        return distill(role, domain, transfer, labels, start, settings, teachers)

    policy_teacher, click_teacher = teachers["policy"], teachers["click"]
    relevance, clicks = of_one_goal(s.student, alpha=1.0), of_one_goal(s.student, alpha=0.0)
    assistant = taught("assistant", policy_teacher, s.assistant)
    policy_only = taught("policy_only", click_teacher and policy_teacher, relevance)
    click_only = taught("click_only", click_teacher, clicks)
    candidates: dict[str, Candidate] = {}
    for name, settings in _to_teach(s, can_choose=None not in (policy_only, click_only)).items():
        start, begun = begin(settings, assistant, policy_only)
        one = taught("student", start, begun)
        assert one is not None  # only a student of one goal can lack its teacher
        candidates[name] = (settings, one)
    mix, chosen = None, "student"
    if len(candidates) > 1 and policy_only is not None and click_only is not None:
        candidates |= {"policy_only": (relevance, policy_only), "click_only": (clicks, click_only)}
        mix = choose_mix(domain, candidates, impressions, s.mix)
        chosen = mix.json(MIX)["chosen"]
    settings, student = candidates[chosen]
    smaller = s.pruned_student
    if mix is not None:  # other goals than those of the student would undo the choice
        smaller = changed(smaller, alpha=settings.alpha, conflicts=settings.conflicts)
    pruned = taught("pruned_student", student, smaller)
    assert pruned is not None
    return Students(assistant, student, pruned, policy_only, click_only, mix)


def _to_teach(s: Settings, *, can_choose: bool) -> dict[str, DistillationSettings]:
    """The mixes, or the student's own alone where there is nothing to choose by."""
    tried = mixes(s)
    if len(tried) == 1 or can_choose:
        return tried
    current_run().skip("mix", NO_CHOICE)
    return {"student": s.student}


def mixes(s: Settings) -> dict[str, DistillationSettings]:
    """The student's settings by name: its own, then what is to be tried beside it."""
    own = {"student": s.student}
    by_alpha = {f"alpha_{alpha:g}": changed(s.student, alpha=alpha) for alpha in s.mix.alphas}
    by_rule = {
        "no_rule" if rule == "none" else rule: changed(s.student, conflicts=rule)
        for rule in s.mix.conflicts
    }
    return own | by_alpha | by_rule


def of_one_goal(settings: DistillationSettings, *, alpha: float) -> DistillationSettings:
    """The role as the teachers of relevance (alpha 1) or of clicks (alpha 0) alone would have it.

    What remains has one goal, and the rules for conflicts are for goals that differ.
    """
    kept = [one for one in settings.teachers if (one.kind == "actions") == (alpha == 0.0)]
    return changed(settings, alpha=alpha, teachers=tuple(kept), conflicts="none")


def of_layers_alone(settings: DistillationSettings) -> DistillationSettings:
    """The role before its MLPs are cut, where cuts are made and taught one by one."""
    return changed(settings, mlp_share=1.0, trim_vocabulary=False, cuts="together")


def begin(
    settings: DistillationSettings, assistant: Artifact | None, policy_only: Artifact | None
) -> tuple[Artifact | None, DistillationSettings]:
    """The scorer that a student starts from, and the settings that are left to do.

    The student of relevance alone has the student's shape already: cutting it again would halve
    what is halved. Without a click log there is none, and the student learns relevance alone.
    """
    if settings.start == "tier_before" or policy_only is None:
        return assistant, settings
    return policy_only, changed(of_layers_alone(settings), base=None)
