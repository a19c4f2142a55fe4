"""Settings of everything that trains: base models, optimization, teachers, distilled roles."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.branch import Branch, Count, Seed, Share

# Bases that are no causal model, whatever their name; of the hub's, a model's files say it.
ENCODERS = ("embedded", "random_encoder")


class BaseModelSettings(Branch):
    """Where a role's first weights come from."""

    source: Literal["embedded", "hub", "random_encoder", "random_decoder"] = Field(
        description="embedded: MiniLM-L6 from the installed package, checked by hash; hub: by name "
        "and revision, or a local folder; random: a tiny untrained model for tests."
    )
    name: str = Field(default="all-MiniLM-L6-v2", description="Name on the hub or local folder.")
    revision: str = Field(default="main", description="Hub revision: pin a commit.")


class TrainingSettings(Branch):
    """One role's optimization."""

    epochs: float = Field(
        gt=0, le=100, description="Passes over the training rows; 0.5 is half of one pass."
    )
    epochs_without_log: float | None = Field(
        default=None, gt=0, le=100, description="Passes where no click log teaches too."
    )
    learning_rate: float = Field(
        gt=0,
        lt=1,
        description="Peak step of AdamW for all weights but the head's, no unit. Lower it where "
        "the loss jumps or a trained model scores everything alike.",
    )
    head_learning_rate: float = Field(
        default=1e-3,
        gt=0,
        lt=1,
        description="The same for the head, the last layer, which makes the scores.",
    )
    rows_per_step: Count = Field(
        default=32,
        description="Pairs of query and document behind one update of the weights; memory "
        "depends on tokens_per_batch instead.",
    )
    list_size: int = Field(default=16, ge=2, description="Candidates of a query per list.")
    tokens_per_batch: int = Field(default=4096, ge=64, description="Token slots per pass.")
    max_rows: Count = Field(default=100_000, description="Rows used at most, per source.")
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        description="AdamW's pull of weight matrices towards zero, times the learning rate at "
        "each step; 0: none.",
    )
    checkpoint_every_steps: int = Field(
        default=100,
        ge=0,
        description="Steps between two checkpoints, from which a killed run goes on; 0: never.",
    )
    seed: Seed = 0


class LoraSettings(Branch):
    """Low-rank adapters (peft): the update is scaled by alpha / rank."""

    rank: Count = Field(
        default=16,
        description="Width of each adapter: more can learn more, and takes more memory.",
    )
    alpha: Count = Field(
        default=32,
        description="Scale of the adapters' update: it is multiplied by alpha / rank.",
    )


class TeacherSettings(Branch):
    """A teacher: what it starts from and how it is trained."""

    base: BaseModelSettings
    training: TrainingSettings
    lora: LoraSettings | None = Field(
        default_factory=LoraSettings, description="None trains every weight."
    )
    max_tokens: int = Field(
        default=64,
        ge=16,
        le=8192,
        description="Tokens of a pair that the policy teacher, and all who learn from it, read.",
    )
    telling_first: bool = Field(
        default=True,
        description="Of a text longer than max_tokens, read the sentences that tell most instead "
        "of the first ones.",
    )
    listwise_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of first-stage retrieval's order as a listwise teacher of the policy "
        "teacher.",
    )
    rationale: TrainingSettings | None = Field(
        default=None,
        description="Causal policy teachers: learn to write the judge's reason, then grade.",
    )
    start: Literal["policy_teacher", "base"] = Field(
        default="policy_teacher", description="What the click teacher's weights begin as."
    )
    ablate_start: bool = Field(
        default=False,
        description="Train a click teacher from the other start too: it is measured, not used.",
    )

    @model_validator(mode="after")
    def _reasons_have_a_writer(self) -> Self:
        if self.rationale is not None and self.base.source in ENCODERS:
            raise ValueError(
                f"Only a causal base can learn to write reasons; came base.source "
                f"{self.base.source}, an encoder. Take a causal base, or set rationale to null."
            )
        if self.rationale is not None and self.rationale.epochs_without_log is not None:
            raise ValueError(
                "Reasons take the same passes with a click log and without; came "
                f"rationale.epochs_without_log {self.rationale.epochs_without_log:g}, which "
                "nothing would read. Set it to null, and epochs to what you want."
            )
        return self


# What may be matched of the teachers that ship: the outputs of the other goal nobody taught them.
_ORDERS = ("listwise", "margin", "lambda_rank")
_KINDS_OF = {
    "policy": ("grades", *_ORDERS),
    "click": ("actions",),
    "words": ("actions",),
    "retrieval": _ORDERS,
}


class SoftTeacherSettings(Branch):
    """One teacher in a student's loss."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="policy, click, words (what the whole log says of words), retrieval (the first "
        "stage's order), or a further teacher.",
    )
    kind: Literal["grades", "actions", "listwise", "margin", "lambda_rank"] = Field(
        description="What is matched: grade or action probabilities, or the candidates' order."
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        le=20,
        description="Above 1 softens what teacher and student say, so that unlikely answers count "
        "more; 1: as they are. margin and lambda_rank do not use it.",
    )
    weight: float = Field(default=1.0, ge=0, description="Weight beside others of its goal.")
    live: bool = Field(
        default=False,
        description="Run the teacher on every step's rows instead of once on all, with soft labels "
        "stored: for a single student that sees few of the rows. The result is the same.",
    )

    @model_validator(mode="after")
    def _teachers_teach_what_they_know(self) -> Self:
        """A further teacher is checked when its scorer is read, by what that was taught."""
        kinds = _KINDS_OF.get(self.name, (self.kind,))
        if self.kind not in kinds:
            raise ValueError(
                f"The teacher {self.name} gives {', '.join(kinds)}; came the kind {self.kind}, of "
                "which it knows nothing. Take a kind of its own, or another teacher."
            )
        return self

    @model_validator(mode="after")
    def _live_teachers_are_scorers(self) -> Self:
        if self.live and self.name in ("retrieval", "words"):
            raise ValueError(
                f"Only a scorer can teach live; came {self.name}, which runs no model while "
                "students train. Leave its live at false."
            )
        return self


class FurtherTeacherSettings(Branch):
    """A scorer from elsewhere that scores the transfer set too."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="Name by which a student's teachers list it; none of those that ship.",
    )
    folder: str = Field(description="Folder of a saved scorer, with its cookbook.json.")


# Names of teachers that ship: a further one of such a name would take its place unseen.
SHIPPED_TEACHERS = tuple(_KINDS_OF)
# The fewest teachers among whom a majority can differ from the heaviest one.
VOTERS = 3
POLICY_GRADES = SoftTeacherSettings(name="policy", kind="grades")
CLICK_ACTIONS = SoftTeacherSettings(name="click", kind="actions")


class DistillationSettings(Branch):
    """A distilled role: its shape and its goals."""

    base: BaseModelSettings | None = Field(
        default=None, description="None: start from the weights of the tier before."
    )
    start: Literal["tier_before", "policy_only"] = Field(
        default="tier_before",
        description="What the student's weights begin as. policy_only: the student of relevance "
        "alone, where there is a click log; no other role can begin so.",
    )
    layers: Count = Field(description="Transformer layers kept.")
    kept_layers: Literal["spread", "first", "important"] = Field(
        default="spread",
        description="Which layers stay: evenly spread, the first ones (of an encoder, with the "
        "last, which averages over tokens), or those whose absence would change the scorer's "
        "outputs most on pairs it will learn from.",
    )
    mlp_share: float = Field(default=1.0, gt=0, le=1, description="Share of each MLP kept.")
    cuts: Literal["together", "one_by_one"] = Field(
        default="together",
        description="one_by_one: layers are cut and the role is taught, then MLPs are cut and it "
        "is taught again, each time with all of training's passes.",
    )
    trim_vocabulary: bool = Field(
        default=False,
        description="Drop the tokens, with their embeddings, that no document, member or training "
        "query uses; any text can still be read. Roles that start from this one have them no more.",
    )
    teachers: tuple[SoftTeacherSettings, ...] = Field(
        default=(POLICY_GRADES, CLICK_ACTIONS),
        description="Who teaches. Actions are the click goal, all other kinds the relevance goal.",
    )
    alpha: Share = Field(default=0.5, description="Share of the relevance goal in the loss.")
    conflicts: Literal["none", "agreement", "vote"] = Field(
        default="none",
        description="Where teachers disagree on a row: nothing, less weight, or the vote of "
        "the majority among three teachers or more.",
    )
    training: TrainingSettings

    @model_validator(mode="after")
    def _cuts_are_two(self) -> Self:
        if self.cuts == "one_by_one" and self.mlp_share == 1.0:
            raise ValueError(
                "Cuts one by one are of layers and of MLPs; came mlp_share 1, which cuts none. "
                "Lower it, or leave cuts at together."
            )
        return self

    @model_validator(mode="after")
    def _what_is_important_was_taught(self) -> Self:
        if self.kept_layers == "important" and self.base and self.base.source in ENCODERS:
            raise ValueError(
                f"Layers are kept by what a scorer gives; came base.source {self.base.source}, an "
                "encoder, whose head is new and gives nothing yet. Set kept_layers to spread or "
                "first, or base to null."
            )
        return self

    @model_validator(mode="after")
    def _teachers_are_live_or_stored(self) -> Self:
        """A name is one opinion: the live one would stand in the stored labels' place unseen."""
        live = {one.name for one in self.teachers if one.live}
        if both := sorted(live & {one.name for one in self.teachers if not one.live}):
            raise ValueError(
                f"A teacher of a role is asked live or read from stored labels, for all of its "
                f"kinds; came {', '.join(both)} both ways. Set live alike on each of its entries."
            )
        return self

    @model_validator(mode="after")
    def _rule_has_its_teachers(self) -> Self:
        self.check_rule(self.conflicts)
        return self

    def check_rule(self, rule: str) -> None:
        """Refuse a vote of two: equal weights always tie, and else the heavier one always wins.

        And any rule where a teacher is live.
        """
        names = sorted({one.name for one in self.teachers})
        if rule == "vote" and len(names) < VOTERS:
            raise ValueError(
                f"A vote on conflicts needs {VOTERS} teachers or more; came {', '.join(names)}. "
                "Add a teacher, such as retrieval, or take the rule agreement."
            )
        if rule != "none" and (live := sorted({one.name for one in self.teachers if one.live})):
            raise ValueError(
                f"The rule {rule} compares what teachers say of all of a query's rows before "
                f"training, and {', '.join(live)} teaches live. Set its live to false."
            )
