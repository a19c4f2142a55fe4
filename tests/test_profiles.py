"""Run profiles: every one builds within its bounds, and the code never asks which one it is in.

Models of one GPU are built from their published shapes on the meta device, without weights.
"""

import copy
import re
from pathlib import Path
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, PreTrainedModel

from benchmarks.published_shapes import by_name
from flows.cookbook import ProfileName
from flows.profiles import PROFILES, changed, laptop, linkedin, profile, single_gpu, smoke
from tasks.core.distillation.shrink import cut_mlps, keep_layers
from tasks.core.errors import CookbookError
from tasks.core.training.architecture import layers, with_lora
from tasks.core.training.base_models import byte_tokenizer, decoder_scorer
from tasks.core.training.scorer import Outputs
from tasks.exchange import optimization
from tasks.settings import (
    BaseModelSettings,
    DistillationSettings,
    FurtherTeacherSettings,
    Settings,
    SoftTeacherSettings,
    TeacherSettings,
    TrainingSettings,
)

SHAPES = by_name()

PROJECT = Path(__file__).resolve().parents[1]
NAMES = ("smoke", "laptop", "single_gpu", "linkedin")
ROLES = ("policy_teacher", "click_teacher", "assistant", "student", "pruned_student")


def test_the_four_profiles_are_the_ones_that_the_form_offers() -> None:
    assert tuple(PROFILES) == NAMES == get_args(ProfileName)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_names_itself_and_is_the_same_each_time(name: str) -> None:
    settings = profile(name)
    assert settings.profile == name
    assert settings == profile(name)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_a_teacher_that_nobody_is_is_refused_and_a_further_one_is_known() -> None:
    one = laptop()
    older = SoftTeacherSettings(name="older", kind="listwise")
    student = changed(one.student, teachers=(*one.student.teachers, older))
    with pytest.raises(ValidationError, match="came older"):
        changed(one, student=student)
    scorer = FurtherTeacherSettings(name="older", folder="somewhere")
    assert changed(one, student=student, further_teachers=(scorer,)).student == student


KINDS = ("grades", "actions", "listwise", "margin", "lambda_rank")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("policy", {"grades", "listwise", "margin", "lambda_rank"}),
        ("click", {"actions"}),
        ("words", {"actions"}),
        ("retrieval", {"listwise", "margin", "lambda_rank"}),
        ("older", {*KINDS}),
    ],
)
def test_a_teacher_teaches_what_it_knows_alone(name: str, known: set[str]) -> None:
    """The other half of its outputs is as random as it began, and looks like any number."""
    for kind in KINDS:
        values = {"name": name, "kind": kind}
        if kind in known:
            assert SoftTeacherSettings.model_validate(values).kind == kind
        else:
            with pytest.raises(ValidationError, match=f"{name} gives .*came the kind {kind}"):
                SoftTeacherSettings.model_validate(values)


@pytest.mark.parametrize("names", [("policy",), ("words",), ("older", "older")])
def test_a_further_teacher_takes_nobodys_name(names: tuple[str, ...]) -> None:
    """Its labels would silently stand for the other's."""
    further = tuple(FurtherTeacherSettings(name=name, folder="somewhere") for name in names)
    with pytest.raises(ValidationError, match=f"came {names[0]} again"):
        changed(laptop(), further_teachers=further)


def test_two_teachers_cannot_vote() -> None:
    """Refused with the settings, not when the students' turn comes."""
    one, four = single_gpu(), laptop()
    with pytest.raises(ValidationError, match="3 teachers or more; came click, policy"):
        changed(one.student, conflicts="vote")
    with pytest.raises(ValidationError, match="3 teachers or more; came click, policy"):
        changed(one, mix=changed(one.mix, conflicts=("agreement", "vote")))
    twice = (*one.student.teachers, SoftTeacherSettings(name="policy", kind="margin"))
    with pytest.raises(ValidationError, match="3 teachers or more"):
        changed(one.student, teachers=twice, conflicts="vote")
    assert changed(four, mix=changed(four.mix, conflicts=("vote",))).mix.conflicts == ("vote",)


def test_soft_labels_are_stored_unless_every_role_asks_its_teacher_live() -> None:
    live = tuple(changed(one, live=one.name == "policy") for one in smoke().assistant.teachers)
    one_role = changed(smoke(), assistant=changed(smoke().assistant, teachers=live))
    assert one_role.is_stored("policy")
    roles = {name: changed(getattr(smoke(), name), teachers=live) for name in ROLES[2:]}
    assert not changed(smoke(), **roles).is_stored("policy")
    assert changed(smoke(), **roles).is_stored("click")


def test_reasons_are_for_causal_policy_teachers() -> None:
    reasons = changed(laptop().policy_teacher.training, epochs_without_log=None)
    with pytest.raises(ValidationError, match=r"came base\.source embedded, an encoder"):
        changed(laptop().policy_teacher, rationale=reasons)
    learns = changed(smoke().policy_teacher, rationale=reasons)
    assert changed(smoke(), policy_teacher=learns).policy_teacher.rationale == reasons
    with pytest.raises(ValidationError, match=r"set click_teacher\.rationale to null"):
        changed(smoke(), click_teacher=learns)
    unread = changed(reasons, epochs_without_log=2.0)
    with pytest.raises(ValidationError, match=r"came rationale\.epochs_without_log 2, which"):
        changed(smoke().policy_teacher, rationale=unread)


@pytest.mark.parametrize(
    ("role", "change"),
    [
        ("policy_teacher", {"start": "base"}),
        ("policy_teacher", {"ablate_start": True}),
        ("click_teacher", {"max_tokens": 80}),
        ("click_teacher", {"listwise_weight": 0.3}),
        ("click_teacher", {"telling_first": False}),
    ],
)
def test_a_teachers_setting_that_nothing_reads_is_refused(
    role: str, change: dict[str, object]
) -> None:
    (name,) = change
    with pytest.raises(ValidationError, match=rf"came {role}\.{name} .*which nothing would read"):
        changed(laptop(), **{role: changed(getattr(laptop(), role), **change)})


def test_only_the_student_begins_as_the_student_of_relevance_alone() -> None:
    one = laptop()
    changed(one, student=changed(one.student, start="policy_only"))
    with pytest.raises(ValidationError, match=r"came assistant\.start"):
        changed(one, assistant=changed(one.assistant, start="policy_only"))


def test_what_a_teacher_speaks_of_is_what_is_wanted_of_it() -> None:
    one = laptop()
    further = tuple(
        FurtherTeacherSettings(name=name, folder="somewhere") for name in ("older", "clicks")
    )
    teachers = (
        *one.student.teachers,
        SoftTeacherSettings(name="older", kind="margin"),
        SoftTeacherSettings(name="clicks", kind="actions"),
    )
    both = changed(one, further_teachers=further, student=changed(one.student, teachers=teachers))
    assert both.asked_of("older") == {"margin"}
    names = ("policy", "click", "words", "older", "clicks")
    spoken = ["grades", "actions", "actions", "grades", "actions"]
    assert [both.goal_of(name) for name in names] == spoken


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CookbookError, match="smoke, laptop, single_gpu, linkedin; came 'huge'"):
        profile("huge")


def test_without_a_click_log_a_role_makes_the_passes_of_its_own_setting() -> None:
    training = laptop().student.training
    assert training.epochs_without_log is not None
    assert optimization(training).epochs == training.epochs < training.epochs_without_log
    assert optimization(training, has_log=False).epochs == training.epochs_without_log
    alike = changed(training, epochs_without_log=None)
    assert optimization(alike, has_log=False) == optimization(training)


@pytest.mark.parametrize("name", NAMES)
def test_no_branch_of_a_profile_can_be_changed_in_place(name: str) -> None:
    settings = profile(name)
    for branch in (settings, settings.judge, settings.student, settings.student.training):
        field = next(iter(type(branch).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(branch, field, getattr(branch, field))


def test_the_smoke_profile_is_for_seconds() -> None:
    """Tiny random models of a few hundred rows, no network, no key."""
    settings = smoke()
    assert settings.synthesis.max_pairs <= 200
    assert settings.judge.kind == "embedded"
    assert settings.encoder.source == "random_encoder"
    for role in ROLES:
        branch = getattr(settings, role)
        assert branch.training.max_rows <= 200
        assert branch.training.epochs <= 1
        assert branch.base is None or branch.base.source == "random_decoder"


def test_the_laptop_profile_needs_no_network() -> None:
    settings = laptop()
    assert settings.judge.kind == "auto"
    bases = [getattr(settings, role).base for role in ROLES]
    assert {base.source for base in [*bases, settings.encoder] if base} == {"embedded"}


@pytest.mark.parametrize(
    ("branch", "values"),
    [
        (TrainingSettings, {"epochs": 0, "learning_rate": 1e-3}),
        (TrainingSettings, {"epochs": 1, "learning_rate": 1.0}),
        (TrainingSettings, {"epochs": 1, "learning_rate": 1e-3, "rows_per_step": 0}),
        (TrainingSettings, {"epochs": 1, "learning_rate": 1e-3, "list_size": 1}),
        (TrainingSettings, {"epochs": 1, "learning_rate": 1e-3, "rows": 3}),
        (BaseModelSettings, {"source": "pickle"}),
    ],
)
def test_values_out_of_bounds_are_refused(
    branch: type[TrainingSettings], values: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        branch.model_validate(values)


@pytest.mark.parametrize(
    "change", [{"alpha": 1.1}, {"mlp_share": 0.0}, {"layers": 0}, {"conflicts": "loudest"}]
)
def test_a_derived_profile_is_held_to_the_same_bounds(change: dict[str, float]) -> None:
    """pydantic's own model_copy takes any value."""
    with pytest.raises(ValidationError):
        changed(laptop().student, **change)


def test_a_derived_branch_differs_in_the_fields_named_alone() -> None:
    student = laptop().student
    other = changed(student, alpha=0.25)
    assert other.alpha == 0.25
    assert changed(other, alpha=student.alpha) == student


def test_no_code_below_the_flows_knows_a_profile() -> None:
    # "linkedin" is also a site and a package of Java classes: only a comparison would give it away.
    words = re.compile(r"\b(smoke|laptop|single_gpu)\b|profile\)? *(==|!=| in )|[!=]= *.linkedin")
    sources = sorted((PROJECT / "tasks").rglob("*.py"))
    assert len(sources) > 50
    found = [path.name for path in sources if words.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_a_role_without_a_base_starts_from_the_tier_before_it() -> None:
    assert DistillationSettings.model_fields["base"].default is None
    for name in ("smoke", "laptop"):
        assert [getattr(profile(name), role).base for role in ROLES[2:]] == [None] * 3
    one = single_gpu()
    assert (one.assistant.base, one.student.base) == (
        BaseModelSettings(source="hub", name="Qwen/Qwen3-1.7B"),
        BaseModelSettings(source="hub", name="Qwen/Qwen3-0.6B"),
    )
    assert one.pruned_student.base is None


@pytest.mark.parametrize("settings", [single_gpu(), linkedin()], ids=lambda s: s.profile)
def test_a_gpus_step_fits_one_pass_and_its_rows_are_all_read(settings: Settings) -> None:
    """A pass too small computes every step twice; rows beyond max_rows would be paid and unused."""
    judged, shown = settings.synthesis.max_pairs, settings.impressions.training_rows
    for role in ROLES:
        training = getattr(settings, role).training
        tokens = settings.policy_teacher.max_tokens
        assert training.rows_per_step * tokens <= training.tokens_per_batch
        wanted = max(judged, shown) if "teacher" in role else judged + shown
        assert training.max_rows >= wanted


def test_the_node_profile_is_one_gpus_with_more_data_and_a_teacher_trained_whole() -> None:
    one, node = single_gpu(), linkedin()
    assert node.policy_teacher.lora is None
    assert one.policy_teacher.lora is not None
    assert node.synthesis.max_pairs > one.synthesis.max_pairs
    assert node.impressions.training_rows > one.impressions.training_rows
    for role in ROLES[2:]:
        same = changed(getattr(node, role).training, max_rows=getattr(one, role).training.max_rows)
        assert changed(getattr(node, role), training=same) == getattr(one, role)


def on_meta(name: str) -> PreTrainedModel:
    """A scorer of five grades and a click, of a published shape, without weights."""
    with torch.device("meta"):
        language_model = AutoModelForCausalLM.from_config(copy.deepcopy(SHAPES[name]))
        return decoder_scorer(language_model, byte_tokenizer(), Outputs(5, ("clicked",)))


def backbone_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.base_model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Embedding, then 28 layers of attention, MLP and norms, then the last norm:
        # 152064 x 3584 + 28 x (2 x 3584 x (3584 + 512) + 3584 + 2 x 512 + 3 x 3584 x 18944
        # + 2 x 3584) + 3584.
        ("Qwen/Qwen2.5-7B-Instruct", 7_070_619_136),
        # 151936 x 2048 + 28 x (2 x 2048 x (2048 + 1024) + 3 x 2048 x 6144 + 2 x 2048 + 2 x 128)
        # + 2048.
        ("Qwen/Qwen3-1.7B", 1_720_574_976),
        # 151936 x 1024 + 28 x (2 x 1024 x (2048 + 1024) + 3 x 1024 x 3072 + 2 x 1024 + 2 x 128)
        # + 1024.
        ("Qwen/Qwen3-0.6B", 596_049_920),
    ],
)
def test_the_models_of_one_gpu_have_their_published_size(name: str, parameters: int) -> None:
    model = on_meta(name)
    assert backbone_parameters(model) == parameters
    assert tuple(model.get_parameter("score.weight").shape) == (6, SHAPES[name].hidden_size)


def test_one_gpus_profile_names_models_of_known_shape_at_their_own_depth() -> None:
    settings = single_gpu()
    for role in ROLES[:4]:
        branch: TeacherSettings | DistillationSettings = getattr(settings, role)
        assert branch.base is not None
        depth = SHAPES[branch.base.name].num_hidden_layers
        assert not isinstance(branch, DistillationSettings) or branch.layers == depth


def test_the_pruned_student_of_one_gpu_has_375_830_528_parameters() -> None:
    """LinkedIn's 375M: the first 20 of 28 layers, half of every MLP. The real code cuts it."""
    settings = single_gpu()
    assert settings.student.base is not None
    model = on_meta(settings.student.base.name)
    pruned = settings.pruned_student
    assert pruned.kept_layers == "first"
    keep_layers(model, range(pruned.layers))
    assert backbone_parameters(model) == 470_202_368
    cut_mlps(
        model,
        pruned.mlp_share,
        lambda output: torch.zeros(
            output.in_features, output.in_features, dtype=torch.float64, device="meta"
        ),
    )
    assert backbone_parameters(model) == 375_830_528
    assert (model.config.num_hidden_layers, model.config.intermediate_size) == (20, 1536)
    assert len(layers(model)) == 20


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_the_policy_teacher_of_one_gpu_takes_its_adapters() -> None:
    """Rank 16 on the seven linear maps of 28 layers, plus the head: 40 million, not 7 billion."""
    lora = single_gpu().policy_teacher.lora
    assert lora is not None
    with torch.device("meta"):
        model = with_lora(on_meta("Qwen/Qwen2.5-7B-Instruct"), rank=lora.rank, alpha=lora.alpha)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    hidden, kv, mlp = 3584, 512, 18_944
    widths = 4 * hidden + 2 * (hidden + kv) + 3 * (hidden + mlp)
    assert trained == 28 * lora.rank * widths + 6 * hidden
