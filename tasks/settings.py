"""Settings of a run: one frozen branch per step, with bounds and units, drawn by the UI as a form.

A step's digest depends on its own branch alone. Values come from a run profile in
flows/profiles.py; the code never asks which profile it is in.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.branch import Branch as Branch
from tasks.branch import Count, Seed, Share
from tasks.fairness_settings import FairnessSettings as FairnessSettings
from tasks.fairness_settings import MitigationSettings as MitigationSettings
from tasks.judge_settings import JudgeSettings as JudgeSettings
from tasks.label_settings import LabelSettings as LabelSettings
from tasks.personal_settings import EffectSettings as EffectSettings
from tasks.personal_settings import PersonalizationSettings as PersonalizationSettings
from tasks.personal_settings import RefreshSettings as RefreshSettings
from tasks.personal_settings import ShardSettings as ShardSettings
from tasks.training_settings import CLICK_ACTIONS as CLICK_ACTIONS
from tasks.training_settings import POLICY_GRADES as POLICY_GRADES
from tasks.training_settings import BaseModelSettings as BaseModelSettings
from tasks.training_settings import DistillationSettings as DistillationSettings
from tasks.training_settings import FurtherTeacherSettings as FurtherTeacherSettings
from tasks.training_settings import LoraSettings as LoraSettings
from tasks.training_settings import SoftTeacherSettings as SoftTeacherSettings
from tasks.training_settings import TeacherSettings as TeacherSettings
from tasks.training_settings import TrainingSettings as TrainingSettings


class GoldenSettings(Branch):
    """How golden queries are split where golden.csv has no split column."""

    tune_share: Share = 0.5
    gate_share: Share = 0.2


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
    logged_pairs: int = Field(default=0, ge=0, description="Pairs taken from the click log.")
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


class ImpressionSettings(Branch):
    """How logged impressions are cleaned, weighed and divided."""

    training_rows: Count = Field(default=6000, description="Rows that train the click teacher.")
    calibration_rows: Count = 2000
    evaluation_rows: Count = Field(default=4000, description="Rows of held-out members.")
    personalization_rows: Count = Field(
        default=12000, description="Rows for effects, whole members."
    )
    later_rows: Count = Field(default=5000, description="Later rows that test personalization.")
    held_out_members: Share = Field(default=0.2, description="Members kept from all training.")
    propensity_clip: float = Field(default=0.1, gt=0, le=1, description="Least propensity used.")
    seed: Seed = 0


class ClickWordsSettings(Branch):
    """The teacher ``words``: a linear model of candidates' words on the whole training log."""

    max_rows: int = Field(
        default=100_000, ge=0, description="Rows of the log read at most; 0: no such teacher."
    )
    l2: float = Field(default=100.0, gt=0, description="Ridge on a word's weight.")
    seed: Seed = 0


class MixSettings(Branch):
    """Further students beside the one of the settings, of which the rule picks one on tune."""

    alphas: tuple[Share, ...] = Field(
        default=(), description="Shares of the relevance goal to try; each trains a student."
    )
    conflicts: tuple[Literal["agreement", "vote"], ...] = Field(
        default=(), description="Rules for conflicts to try, at the student's own alpha."
    )
    relevance_floor: Share = Field(
        default=0.98, description="Least share of the relevance-only student's NDCG@10 on tune."
    )
    tune_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Tune queries to choose on: where students are tried, their grades teach none.",
    )
    n_resamples: int = Field(default=500, ge=100, description="Bootstrap resamples.")

    @property
    def kept_share(self) -> float:
        """Share of the tune queries kept from teaching."""
        return self.tune_share if self.alphas or self.conflicts else 0.0


class CalibrationSettings(Branch):
    """Calibration of the served scorer."""

    bins: int = Field(default=15, ge=2, description="Equal-mass bins of the calibration error.")


class EvaluationSettings(Branch):
    """How tiers are measured."""

    n_resamples: int = Field(default=1000, ge=100, description="Bootstrap resamples.")
    latency_requests: int = Field(default=30, ge=5, description="Requests timed per tier.")
    candidates_per_request: int = Field(default=20, ge=1)
    bias_pairs: int = Field(
        default=0, ge=0, description="Gate pairs edited to find biases taken over; 0: none."
    )
    seed: Seed = 0


class PromotionSettings(Branch):
    """When a candidate may serve."""

    served_role: Literal["student", "pruned_student"] = "pruned_student"
    minimum_kappa: float = Field(default=0.3, ge=-1, le=1)
    minimum_ndcg: Share = 0.5
    minimum_kept_ndcg: float = Field(default=0.9, ge=0, description="Share of the teacher's NDCG.")
    margin_ndcg: float = Field(default=0.01, ge=0, description="Loss to the served model allowed.")
    margin_slice_ndcg: float = Field(
        default=0.05, ge=0, description="Loss to the served model allowed on one kind of query."
    )
    require_gain: bool = Field(
        default=False, description="A later model must also be better than the one in service."
    )
    reference_pairs: Count = Field(
        default=400, description="Training pairs kept as a measure for drift of later traffic."
    )
    approval: Literal["automatic", "required"] = "automatic"
    fairness: Literal["report", "refuse"] = Field(
        default="report",
        description="What a gap beyond its limit does; refuse also refuses what is not measured.",
    )
    fairness_limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"ndcg_at_10": 0.1, "calibration": 0.1},
        description="Largest gap between two groups on the gate split, by metric.",
    )
    n_resamples: int = Field(default=2000, ge=100)
    seed: Seed = 0


class Settings(Branch):
    """All of a run's settings."""

    profile: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
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
    def _every_teacher_is_known(self) -> Self:
        """A name that nobody has would be a teacher who silently says nothing."""
        known = {
            "policy",
            "click",
            "words",
            "retrieval",
            *(one.name for one in self.further_teachers),
        }
        for role in (self.assistant, self.student, self.pruned_student):
            unknown = sorted({one.name for one in role.teachers} - known)
            if unknown:
                raise ValueError(
                    f"Teachers are {', '.join(sorted(known))}; came {', '.join(unknown)}. "
                    "Use one of them, or add a scorer's folder to further_teachers."
                )
        return self
