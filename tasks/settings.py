"""Settings of a run: one frozen branch per step, with bounds and units, drawn by the UI as a form.

A step's digest depends on its own branch alone. Values come from a run profile in
flows/profiles.py; the code never asks which profile it is in.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.branch import Branch as Branch
from tasks.branch import Count, Seed, Share
from tasks.click_settings import ClickWordsSettings as ClickWordsSettings
from tasks.click_settings import ImpressionSettings as ImpressionSettings
from tasks.fairness_settings import FairnessSettings as FairnessSettings
from tasks.fairness_settings import MitigationSettings as MitigationSettings
from tasks.judge_settings import JudgeSettings as JudgeSettings
from tasks.label_settings import LabelSettings as LabelSettings
from tasks.personal_settings import EffectSettings as EffectSettings
from tasks.personal_settings import PersonalizationSettings as PersonalizationSettings
from tasks.personal_settings import RefreshSettings as RefreshSettings
from tasks.personal_settings import ShardSettings as ShardSettings
from tasks.promotion_settings import PromotionSettings as PromotionSettings
from tasks.training_settings import CLICK_ACTIONS as CLICK_ACTIONS
from tasks.training_settings import POLICY_GRADES as POLICY_GRADES
from tasks.training_settings import SHIPPED_TEACHERS as SHIPPED_TEACHERS
from tasks.training_settings import BaseModelSettings as BaseModelSettings
from tasks.training_settings import DistillationSettings as DistillationSettings
from tasks.training_settings import FurtherTeacherSettings as FurtherTeacherSettings
from tasks.training_settings import LoraSettings as LoraSettings
from tasks.training_settings import SoftTeacherSettings as SoftTeacherSettings
from tasks.training_settings import TeacherSettings as TeacherSettings
from tasks.training_settings import TrainingSettings as TrainingSettings


class GoldenSettings(Branch):
    """How golden queries are split where golden.csv has no split column."""

    tune_share: Share = Field(
        default=0.5, description="Share of the queries that choose settings and may teach."
    )
    gate_share: Share = Field(
        default=0.2,
        description="Share of the queries that decide on promotion; those left are sealed, for "
        "the report alone.",
    )


class PeopleSettings(Branch):
    """Grades by people that teach the policy teacher beside the judge's labels."""

    tune_share: Share = Field(
        default=1.0,
        description="Share of the tune queries that mix does not choose on; 0: the judge alone "
        "teaches.",
    )
    weight: float = Field(
        default=3.0, gt=0, description="What one such grade weighs, against a label's 1."
    )
    seed: Seed = 0


class SynthesisSettings(Branch):
    """Which pairs get a label."""

    generated_queries: int = Field(
        default=500,
        ge=0,
        description="Queries made from documents: by an LLM judge, five a call, else by template.",
    )
    near_duplicate: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of common three-word runs from which two documents, or two made "
        "queries, count as one.",
    )
    fewest_of_a_kind: int = Field(
        default=5,
        ge=0,
        description="Queries of each kind that golden tune data holds; made queries fill up to it.",
    )
    lexical_candidates: int = Field(default=4, ge=0, description="BM25 candidates per query.")
    dense_candidates: int = Field(default=4, ge=0, description="Nearest by embedding, per query.")
    hard_negatives: int = Field(default=2, ge=0, description="Similar but not near, per query.")
    random_negatives: int = Field(default=1, ge=0, description="Unrelated documents per query.")
    max_pairs: Count = Field(default=6000, description="Pairs to label at most.")
    max_pairs_without_log: int = Field(
        default=0,
        ge=0,
        description="As max_pairs where the domain has no click log, which would teach too; "
        "0: the same.",
    )
    second_round_pairs: int = Field(
        default=0,
        ge=0,
        description="Pairs labeled after the first: at what no label exercises; hard negatives.",
    )
    max_tokens: int = Field(default=24, ge=8, le=512, description="Tokens read for retrieval.")
    seed: Seed = 0

    def most_pairs(self, *, has_log: bool) -> int:
        """How many pairs get a label at most, on a domain with or without a click log."""
        return self.max_pairs if has_log else self.max_pairs_without_log or self.max_pairs

    def most_labels(self, *, has_log: bool) -> int:
        """As ``most_pairs``, with those of a second round."""
        return self.most_pairs(has_log=has_log) + self.second_round_pairs


class MixSettings(Branch):
    """Further students beside the one of the settings, of which the rule picks one on tune."""

    alphas: tuple[Share, ...] = Field(
        default=(), description="Shares of the relevance goal to try; each trains a student."
    )
    conflicts: tuple[Literal["none", "agreement", "vote"], ...] = Field(
        default=(),
        description="Rules for conflicts to try beside the student's, at its alpha; vote needs "
        "three teachers of the student and of the pruned student.",
    )
    relevance_floor: Share = Field(
        default=0.98, description="Least share of the relevance-only student's NDCG@10 on tune."
    )
    tune_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Tune queries to choose on: where students are tried, they teach no grades.",
    )
    reserve: bool = Field(
        default=False,
        description="Keep these queries from teaching before anything is tried too: without it the "
        "first alpha or rule gives the teachers fewer grades, and trains them again.",
    )
    n_resamples: int = Field(default=500, ge=100, description="Bootstrap resamples.")

    @property
    def kept_share(self) -> float:
        """Share of the tune queries kept from teaching."""
        return self.tune_share if self.alphas or self.conflicts or self.reserve else 0.0


class CalibrationSettings(Branch):
    """Calibration of the served scorer."""

    bins: int = Field(default=15, ge=2, description="Equal-mass bins of the calibration error.")


class EvaluationSettings(Branch):
    """How tiers are measured."""

    n_resamples: int = Field(default=1000, ge=100, description="Bootstrap resamples.")
    latency_requests: int = Field(
        default=100, ge=5, description="Requests timed per tier; below 100, a p99 is a guess."
    )
    candidates_per_request: int = Field(
        default=20, ge=1, description="Documents scored in each request whose latency is timed."
    )
    bias_pairs: int = Field(
        default=0, ge=0, description="Gate pairs edited to find biases taken over; 0: none."
    )
    judge_biases: bool = Field(
        default=True,
        description="Ask the judge about them too: three more labels a pair, from its budget.",
    )


# Settings of a teacher that belong to the other one, and why.
_UNREAD = {
    "policy_teacher": {
        "start": "The click teacher alone has two starts",
        "ablate_start": "The click teacher alone has two starts",
    },
    "click_teacher": {
        "max_tokens": "The click teacher reads pairs as the policy teacher does",
        "telling_first": "The click teacher reads pairs as the policy teacher does",
        "listwise_weight": "Retrieval's order teaches the policy teacher alone",
    },
}


class Settings(Branch):
    """All of a run's settings."""

    profile: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="Name under which the report shows these settings; it chooses nothing.",
    )
    golden: GoldenSettings = GoldenSettings()
    people: PeopleSettings = PeopleSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    judge: JudgeSettings = JudgeSettings()
    labels: LabelSettings = LabelSettings()
    impressions: ImpressionSettings = ImpressionSettings()
    click_words: ClickWordsSettings = ClickWordsSettings()
    encoder: BaseModelSettings = Field(description="The encoder of retrieval and baselines.")
    policy_teacher: TeacherSettings
    click_teacher: TeacherSettings
    further_teachers: tuple[FurtherTeacherSettings, ...] = Field(
        default=(), description="Scorers that may teach beside policy and click, by name."
    )
    assistant: DistillationSettings
    student: DistillationSettings
    mix: MixSettings = MixSettings()
    pruned_student: DistillationSettings
    calibration: CalibrationSettings = CalibrationSettings()
    personalization: PersonalizationSettings = PersonalizationSettings()
    refresh: RefreshSettings = RefreshSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    fairness: FairnessSettings = FairnessSettings()
    promotion: PromotionSettings = PromotionSettings()
    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Runs and artifacts older than this go at a run's end; None keeps them.",
    )

    @model_validator(mode="after")
    def _further_teachers_have_names_of_their_own(self) -> Self:
        names = [*SHIPPED_TEACHERS, *(one.name for one in self.further_teachers)]
        if taken := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"Further teachers need names that nobody else has, and not "
                f"{', '.join(SHIPPED_TEACHERS)}; came {', '.join(taken)} again. Rename them."
            )
        return self

    @model_validator(mode="after")
    def _every_teacher_is_known(self) -> Self:
        """A name that nobody has would be a teacher who silently says nothing."""
        known = {*SHIPPED_TEACHERS, *(one.name for one in self.further_teachers)}
        for role in (self.assistant, self.student, self.pruned_student):
            unknown = sorted({one.name for one in role.teachers} - known)
            if unknown:
                raise ValueError(
                    f"Teachers are {', '.join(sorted(known))}; came {', '.join(unknown)}. "
                    "Use one of them, or add a scorer's folder to further_teachers."
                )
        return self

    @model_validator(mode="after")
    def _clicks_have_no_reasons(self) -> Self:
        if self.click_teacher.rationale is not None:
            raise ValueError("Reasons are for grades; set click_teacher.rationale to null.")
        return self

    @model_validator(mode="after")
    def _no_teacher_has_what_nothing_reads(self) -> Self:
        """A value that changes nothing looks like a choice."""
        for role, names in _UNREAD.items():
            for name, why in names.items():
                came, default = (
                    getattr(getattr(self, role), name),
                    TeacherSettings.model_fields[name].default,
                )
                if came != default:
                    raise ValueError(
                        f"{why}; came {role}.{name} {came}, which nothing would read. Leave it at "
                        f"{default}."
                    )
        return self

    @model_validator(mode="after")
    def _students_can_be_made(self) -> Self:
        """What is refused here would else be refused after hours, when the students' turn comes."""
        for rule in self.mix.conflicts:
            for role in (self.student, self.pruned_student):  # the rule chosen is for both
                role.check_rule(rule)
        for name in ("assistant", "pruned_student"):
            if getattr(self, name).start != "tier_before":
                raise ValueError(
                    f"Only the student can begin as the student of relevance alone; came "
                    f"{name}.start. Leave it at tier_before."
                )
        return self

    def goal_of(self, teacher: str) -> Literal["grades", "actions"]:
        """What a teacher speaks of: of actions, where nobody wants anything else of it."""
        by_clicks = teacher in ("click", "words") or self.asked_of(teacher) == {"actions"}
        return "actions" if by_clicks else "grades"

    def is_stored(self, teacher: str) -> bool:
        """Whether a teacher's soft labels are read from the store: not where it teaches live alone.

        Who teaches nobody is stored too: the audit of conflicts reads it.
        """
        roles = (self.assistant, self.student, self.pruned_student)
        asked = [one for role in roles for one in role.teachers if one.name == teacher]
        return not asked or not all(one.live for one in asked)

    def asked_of(self, teacher: str) -> frozenset[str]:
        """The kinds of targets that the distilled roles want of a teacher."""
        roles = (self.assistant, self.student, self.pruned_student)
        return frozenset(one.kind for role in roles for one in role.teachers if one.name == teacher)
