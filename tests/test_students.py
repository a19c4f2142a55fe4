"""The flow's students: which goals, start and weights each has, whatever the rule chooses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows import students
from flows.measures import clicks_for
from flows.profiles import changed, laptop, single_gpu, smoke
from flows.students import Students, mixes, of_layers_alone, of_one_goal, teach_students
from tasks.core.store.artifacts import Artifact
from tasks.core.store.files import write_json
from tasks.core.tables import write_table
from tasks.core.training.scorer import CARD, GOALS, Goal, PairScorer
from tasks.exchange import CUTS, LOGITS, MIX, SCORER, taught_goals
from tasks.ledger import _tier as tier_of
from tasks.report import _mixes as rows_of
from tasks.report import _with_front as with_front
from tasks.run import open_run
from tasks.settings import DistillationSettings, MixSettings, Settings
from tests.core.training.tiny import processor_without_fast_bfloat16, tiny_scorer
from tests.test_distill import SHAPE, TRAINING, made, taught

__all__ = ["processor_without_fast_bfloat16"]
TRIED = changed(laptop(), mix=changed(laptop().mix, alphas=(0.3,), conflicts=("agreement",)))


def artifact(kind: str, folder: str = "") -> Artifact:
    return Artifact(kind, folder, "0" * 16, "0" * 16, 0.0, reused=False)


class Recorder:
    """Stands for the steps: remembers what each role was made of, and chooses as told."""

    def __init__(self, folder: Path, chosen: str) -> None:
        self.folder, self.chosen = folder, chosen
        self.made: dict[str, list[tuple[Artifact | None, DistillationSettings]]] = {}
        self.candidates: dict[str, Any] = {}
        self.skipped: list[str] = []

    def distill(
        self,
        role: str,
        _: Any,
        __: Any,
        ___: Any,
        start: Artifact | None,
        settings: Any,
        *____: Any,
    ) -> Artifact | None:
        if start is None:
            return None
        self.made.setdefault(role, []).append((start, settings))
        return artifact(role)

    def choose_mix(self, _: Any, candidates: Any, *__: Any) -> Artifact:
        self.candidates = dict(candidates)
        (self.folder / MIX).write_text(json.dumps({"chosen": self.chosen}))
        return artifact("mix", str(self.folder))


Taught = tuple[Students, Recorder]
Teach = Callable[..., Taught]


@pytest.fixture
def teach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Teach:
    def run(settings: Settings, chosen: str = "student", *, log: bool = True) -> Taught:
        recorder = Recorder(tmp_path, chosen)
        monkeypatch.setattr(students, "distill", recorder.distill)
        monkeypatch.setattr(students, "choose_mix", recorder.choose_mix)
        domain: Any = None
        click_teacher = artifact("click_teacher") if log else None
        teachers = {"policy": artifact("policy_teacher"), "click": click_teacher}
        with open_run(tmp_path / "store", "toy") as opened:
            found = teach_students(domain, artifact("transfer"), {}, teachers, None, settings)
        recorder.skipped = [one["step"] for one in opened.skipped]
        return found, recorder

    return run


def test_the_student_of_relevance_stays_one_in_the_pruned_student(teach: Teach) -> None:
    """Else what serves is taught the very goal that the rule decided against."""
    found, recorder = teach(TRIED, "policy_only")
    assert found.student.kind == "policy_only"
    ((start, settings),) = recorder.made["pruned_student"]
    assert start == found.student
    assert (settings.alpha, settings.conflicts) == (1.0, "none")
    assert settings.layers == TRIED.pruned_student.layers
    for name, alpha in (("policy_only", 1.0), ("click_only", 0.0)):
        own, _ = recorder.candidates[name]
        assert own.alpha == alpha
        assert {one.kind == "actions" for one in own.teachers} == {alpha == 0.0}


def test_the_pruned_student_has_the_goals_of_the_mix_chosen_and_without_mixes_its_own(
    teach: Teach,
) -> None:
    own = (TRIED.student.alpha, TRIED.student.conflicts)
    pruned = changed(TRIED.pruned_student, alpha=0.9, conflicts="agreement")
    tried = changed(TRIED, pruned_student=pruned, mix=changed(TRIED.mix, conflicts=("none",)))
    none = ("no_rule", own[0], "none")
    for chosen, alpha, rule in (("student", *own), ("alpha_0.3", 0.3, own[1]), none):
        _, recorder = teach(tried, chosen)
        ((_, settings),) = recorder.made["pruned_student"]
        assert (settings.alpha, settings.conflicts) == (alpha, rule)
    _, recorder = teach(laptop())
    assert recorder.made["pruned_student"][0][1] == laptop().pruned_student
    assert recorder.candidates == {}


def test_the_student_starts_from_the_tier_before_it_unless_told_to_start_from_relevance(
    teach: Teach,
) -> None:
    _, recorder = teach(laptop())
    assert recorder.made["student"] == [(artifact("assistant"), laptop().student)]
    warm = changed(smoke().student, start="policy_only", mlp_share=0.5, alpha=0.7)
    _, recorder = teach(changed(smoke(), student=warm))
    for (start, settings), own in zip(recorder.made["student"], (0.7, 0.8), strict=True):
        assert start == artifact("policy_only")
        assert settings.alpha == own
        assert (settings.base, settings.mlp_share, settings.trim_vocabulary) == (None, 1.0, False)
    assert recorder.made["policy_only"][0][1].mlp_share == 0.5
    found, recorder = teach(changed(smoke(), student=warm), log=False)
    assert found.policy_only is None
    assert recorder.made["student"][0] == (artifact("assistant"), warm)


@pytest.mark.parametrize("settings", [smoke(), TRIED, single_gpu()], ids=lambda s: s.profile)
def test_without_a_click_log_one_student_is_taught_and_none_is_chosen(
    teach: Teach, settings: Settings
) -> None:
    """The others would be taught for hours, alike, and thrown away."""
    found, recorder = teach(settings, log=False)
    assert [one for _, one in recorder.made["student"]] == [settings.student]
    assert (found.mix, recorder.candidates, recorder.skipped) == (None, {}, ["mix"])
    _, recorder = teach(settings)
    assert len(recorder.made["student"]) == len(mixes(settings)) > 1
    assert recorder.skipped == []
    assert teach(changed(settings, mix=MixSettings()), log=False)[1].skipped == []


def test_a_warm_start_cuts_nothing_twice(tmp_path: Path) -> None:
    """The student of relevance has the shape already; its halved layers are not halved again."""
    first = taught(tmp_path / "one", SHAPE)
    _, settings = students.begin(changed(SHAPE, start="policy_only"), None, artifact("policy_only"))
    again = taught(tmp_path / "two", settings, start=first)
    assert again.parameters() == first.parameters()
    assert again.model.config.intermediate_size == first.model.config.intermediate_size


def test_no_teacher_of_the_other_goal_is_left_in_a_student_of_one() -> None:
    own = laptop().student
    relevance, clicks = of_one_goal(own, alpha=1.0), of_one_goal(own, alpha=0.0)
    assert [one.name for one in relevance.teachers] == ["policy", "retrieval"]
    assert [one.name for one in clicks.teachers] == ["click", "words"]
    assert set(mixes(TRIED)) == {"student", "alpha_0.3", "agreement"}


def scorer(store: Path, *goals: Goal) -> Artifact:
    def write(out: Path) -> None:
        one = tiny_scorer("random_encoder", actions=("clicked",))
        one.taught = goals
        one.save(out / SCORER)

    with open_run(store, "toy"):
        return made("student", write)


@pytest.mark.parametrize("goals", [("grades",), ("actions",), GOALS])
def test_the_ledger_knows_what_a_scorer_was_taught_whatever_its_role(
    tmp_path: Path, goals: tuple[Goal, ...]
) -> None:
    def write(out: Path) -> None:
        write_table(out / LOGITS, {"logits": [[0.0] * 4] * 3})
        write_json(out / CUTS, {"grade_cuts": None})

    one = scorer(tmp_path, *goals)
    assert PairScorer.load(one.file(SCORER)).taught == taught_goals(one) == goals
    with open_run(tmp_path, "toy"):
        evaluated = made("evaluated", write)
    tier = tier_of(one, evaluated, 2, clicks=True)
    assert (tier.knows_grades, tier.knows_actions) == ("grades" in goals, "actions" in goals)
    assert not tier_of(one, evaluated, 2, clicks=False).knows_actions


def test_click_logits_that_nobody_taught_are_neither_calibrated_nor_personalized(
    tmp_path: Path,
) -> None:
    log = artifact("impressions")
    assert clicks_for(scorer(tmp_path / "both", *GOALS), log) is log
    with open_run(tmp_path / "run", "toy") as run:
        assert clicks_for(scorer_in(tmp_path / "relevance"), log) is None
        assert clicks_for(scorer_in(tmp_path / "relevance"), None) is None
    assert [one["step"] for one in run.skipped] == ["personalization"]


def scorer_in(folder: Path) -> Artifact:
    """A scorer's card alone."""
    (folder / SCORER).mkdir(parents=True, exist_ok=True)
    (folder / SCORER / CARD).write_text(json.dumps({"taught": ["grades"]}))
    return artifact("policy_only", str(folder))


def test_the_card_of_a_scorer_from_before_goals_were_noted_claims_both(tmp_path: Path) -> None:
    (tmp_path / SCORER).mkdir()
    (tmp_path / SCORER / CARD).write_text("{}")
    assert taught_goals(artifact("student", str(tmp_path))) == GOALS


def test_distilled_roles_note_the_goals_of_their_teachers(tmp_path: Path) -> None:
    assert taught(tmp_path, DistillationSettings(layers=1, training=TRAINING)).taught == ("grades",)


def test_every_mix_tried_is_reported_with_its_rule(tmp_path: Path) -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    points = [
        {"name": name, "alpha": alpha, "conflicts": rule, "ndcg_at_10": figure}
        | {"click_auc": figure, "on_front": True}
        for name, alpha, rule in (
            ("student", 0.5, "none"),
            ("vote", 0.5, "vote"),
            ("agreement", 0.5, "agreement"),
            ("policy_only", 1.0, "none"),
        )
    ]
    (tmp_path / MIX).write_text(json.dumps({"chosen": "vote", "students": points}))
    rows = rows_of(artifact("mix", str(tmp_path)))
    assert all(row["on_front"] for row in rows)
    assert [(row["alpha"], row["conflicts"], row["chosen"]) for row in rows] == [
        (0.5, "none", False),
        (0.5, "vote", True),
        (0.5, "agreement", False),
        (1.0, "none", False),
    ]


def test_the_front_is_what_no_other_beats_at_both_goals() -> None:
    tried = [(0.75, 0.5, 0.7), (0.25, 0.6, 0.6), (0.5, 0.55, 0.5), (1.0, 0.6, 0.6)]
    points = [
        {"alpha": alpha}
        | {"ndcg_at_10": {"value": ndcg, "low": 0.0, "high": 1.0, "n": 9}}
        | {"click_auc": {"value": auc, "low": 0.0, "high": 1.0, "n": 9}}
        for alpha, ndcg, auc in tried
    ]
    found = {row["alpha"]: row["on_front"] for row in with_front(points)}
    assert list(found.items()) == [(0.25, True), (0.5, False), (0.75, True), (1.0, True)]


def test_cuts_one_by_one_are_taught_one_by_one(teach: Teach) -> None:
    """Layers first; the last one is the role that serves, with all that its settings say."""
    whole = smoke().pruned_student
    pruned = changed(whole, cuts="one_by_one", trim_vocabulary=True, base=smoke().encoder)
    found, recorder = teach(changed(smoke(), pruned_student=pruned, mix=MixSettings()))
    ((start, first),) = recorder.made["pruned_student_layers"]
    assert start is found.student
    assert first == changed(whole, mlp_share=1.0, base=smoke().encoder)
    ((start, second),) = recorder.made["pruned_student"]
    assert start is not None and start.kind == "pruned_student_layers"
    assert second == changed(pruned, base=None)
    assert found.pruned.kind == "pruned_student"
    assert "student_layers" not in recorder.made


def test_cuts_one_by_one_end_in_the_shape_of_cuts_together(tmp_path: Path) -> None:
    together = taught(tmp_path, SHAPE)
    layers = taught(tmp_path, of_layers_alone(changed(SHAPE, cuts="one_by_one")))
    one_by_one = taught(tmp_path / "after", changed(SHAPE, cuts="one_by_one"), layers)
    for one in (together, one_by_one):
        assert one.model.config.num_hidden_layers == 2
        assert one.model.config.intermediate_size == 32
    assert layers.model.config.intermediate_size == 64
    with pytest.raises(ValidationError, match="came mlp_share 1"):
        changed(SHAPE, cuts="one_by_one", mlp_share=1.0)
