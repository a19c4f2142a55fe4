"""A forgotten member's effect leaves service, and no later model carries or learns one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.forgetting import forget_member
from tasks.core.forgotten_members import FILE, ForgottenMembers, note_forgotten
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.effects import Effects, PairView
from tasks.core.personalization.features import fit_pair_features
from tasks.core.personalization.forgotten_effects import has_effect, without_members
from tasks.core.personalization.game_model import GameModel, GivenScores, RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.refresh import new_impressions, refresh
from tasks.core.personalization.rows import ScoreTable
from tasks.core.store.registry import Registry
from tasks.core.store.withdrawal import withdrawal
from tasks.core.tables import Row

CATALOG = Catalog({}, {})
VECTORS = np.random.default_rng(9).normal(size=(20, 2)).astype(np.float32)
NAMES = ("per_member", "per_job")


def clicks(start: int) -> tuple[list[Row], np.ndarray]:
    """Impressions of four members on twenty jobs; a job is called like one of the members."""
    rng = np.random.default_rng(start)
    rows = [
        {
            "impression_id": f"i{start}-{i // 5}",
            "member_id": f"m{i % 4}",
            "doc_id": "m1" if i % 20 == 0 else f"j{i % 20}",
            "query": "q",
            "clicked": int(rng.integers(2)),
            "timestamp": start + i,
        }
        for i in range(200)
    ]
    return rows, rng.normal(0, 1, len(rows))


@pytest.fixture
def effects() -> Effects:
    rows, logits = clicks(0)
    feature_map = fit_pair_features(VECTORS, logits[:, None], ("click_logit",), dimensions=2)
    view = PairView(feature_map, {f"j{i}": v for i, v in enumerate(VECTORS)}, "encoder")
    options = RandomEffectOptions(intercept="penalized", variances="full", lower_bound=2)
    game = [
        GivenScores("student", ScoreTable([str(i) for i in range(len(rows))], logits)),
        RandomEffect("per_member", "member", "pair", options),
        RandomEffect("per_job", "job", None, options),
    ]
    joined = view.rows(rows, logits, ["member", "job"], CATALOG)
    return Effects(coordinate_descent(joined, game, passes=1), view, learned_until=199)


@pytest.fixture
def registry(effects: Effects, tmp_path: Path) -> Registry:
    """v0001 serves, with effects."""
    made = Registry(tmp_path / "runs" / "jobs" / "registry")
    effects.save(tmp_path / "effects")
    (tmp_path / "scorer").write_text("weights")
    files = {"effects": tmp_path / "effects", "scorer": tmp_path / "scorer"}
    made.promote(made.register(files, {"run": "ab"}), reason="first", by="run")
    return made


def of(registry: Registry, version: str) -> GameModel:
    return Effects.load(registry.model(version).file("effects")).game


def same(one: GameModel, other: GameModel, member: str) -> bool:
    return all(
        one.models[name].coefficients(entity) == other.models[name].coefficients(entity)
        for name, entity in zip(NAMES, (member, "m1"), strict=True)
    )


def test_others_keep_theirs_bit_by_bit_and_a_job_of_the_same_name_too(
    effects: Effects, tmp_path: Path
) -> None:
    less = replace(effects, game=without_members(effects.game, {"m1"}))
    less.save(tmp_path)
    loaded = Effects.load(tmp_path)
    assert has_effect(effects.game, "m1") and not has_effect(loaded.game, "m1")
    assert all(same(effects.game, loaded.game, f"m{i}") for i in (0, 2, 3))
    rows, logits = clicks(1000)
    for was, now, row in zip(
        *(one.parts(rows, logits, CATALOG)["per_member"] for one in (effects, loaded)),
        rows,
        strict=True,
    ):
        assert now == (0.0 if row["member_id"] == "m1" else was)


def test_nobody_left_is_a_model_too(effects: Effects, tmp_path: Path) -> None:
    replace(effects, game=without_members(effects.game, {"m0", "m1", "m2", "m3"})).save(tmp_path)
    rows, logits = clicks(1000)
    assert not Effects.load(tmp_path).parts(rows, logits, CATALOG)["per_member"].any()


def test_a_refresh_neither_carries_a_forgotten_member_on_nor_learns_one_anew(
    effects: Effects, tmp_path: Path
) -> None:
    note_forgotten(tmp_path, "m1")
    forgotten = ForgottenMembers.load(tmp_path)
    rows, _ = clicks(1000)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    new = new_impressions(
        columns,
        after=199,
        held_out_members=0.0,
        testing_share=0.2,
        fitting_rows=1000,
        testing_rows=1000,
        seed=0,
        forgotten=forgotten,
    )
    assert {row["member_id"] for row in new.rows} == {"m0", "m2", "m3"}
    known = replace(effects, game=without_members(effects.game, forgotten))
    logits = np.zeros(len(new.fitting))
    fresh = refresh(known, new.fitting, logits, CATALOG, passes=1, prior_weight=1.0)
    assert fresh.game.models["per_member"].entity_ids.to_pylist() == ["m0", "m2", "m3"]


def test_who_is_forgotten_is_noted_without_an_id_for_the_owner_alone(tmp_path: Path) -> None:
    for member in ("m1", "m2", "m1"):
        note_forgotten(tmp_path / "jobs", member)
    path = tmp_path / "jobs" / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(path.read_text())["members"]) == 2
    assert "m1" not in path.read_text()
    forgotten = ForgottenMembers.load(tmp_path / "jobs")
    assert [f"m{i}" in forgotten for i in range(4)] == [False, True, True, False]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"members": [1]}', '{"members": 1}'])
def test_a_damaged_note_is_not_taken_for_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(CookbookError, match="forgotten members, and is damaged"):
        ForgottenMembers.load(tmp_path)


def test_the_model_in_service_gives_way_to_one_without_the_members_effect(
    registry: Registry, tmp_path: Path
) -> None:
    found = forget_member(tmp_path / "runs", "jobs", "m1")
    assert (found.served, found.instead_of, found.effects) == ("v0002", "v0001", ["v0001"])
    served, before = registry.current(), registry.model("v0001")
    assert served is not None
    assert not has_effect(of(registry, "v0002"), "m1")
    assert same(of(registry, "v0001"), of(registry, "v0002"), "m2")
    assert served.file("scorer").read_text() == before.file("scorer").read_text()
    assert served.card == {"run": "ab", "made_from": "v0001", "scorer_of": "v0001"}
    last = registry.log()[-1]
    assert (last["by"], last["instead_of"]) == ("forget", "v0001")
    assert "a member who was forgotten" in last["reason"]
    assert withdrawal(registry, "v0001") is None  # nobody judged it
    again = forget_member(tmp_path / "runs", "jobs", "m1")
    assert (again.served, again.instead_of) == ("v0002", None)


def test_a_member_without_an_effect_leaves_the_model_in_service(
    registry: Registry, tmp_path: Path
) -> None:
    found = forget_member(tmp_path / "runs", "jobs", "m9")
    assert (found.served, found.instead_of, found.effects) == ("v0001", None, [])


@pytest.mark.parametrize("dies_at", ["registry.write_json", "versions.sync_folder"])
def test_killed_on_the_way_the_same_command_makes_one_version(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"tasks.core.store.{dies_at}", dies)
        with pytest.raises(KeyboardInterrupt):
            forget_member(tmp_path / "runs", "jobs", "m1")
    assert forget_member(tmp_path / "runs", "jobs", "m1").served == "v0002"
    assert registry.versions() == ["v0001", "v0002"]
    assert not list((tmp_path / "runs" / "scratch").iterdir())


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_a_model_in_service_that_is_damaged_is_named_and_the_rest_goes(
    registry: Registry, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(registry.model("v0001").file("effects/about.json"))
    told: list[str] = []
    found = forget_member(tmp_path / "runs", "jobs", "m1", say=told.append)
    assert (found.served, found.instead_of, found.effects) == ("v0001", None, ["v0001"])
    assert len(told) == 1 and "may go on carrying the member's effect" in told[0]


def test_candidates_with_the_members_effect_cannot_be_approved_any_more(
    registry: Registry, effects: Effects, tmp_path: Path
) -> None:
    """Of three that wait two have it; one of them was registered by a run that was killed."""
    without = tmp_path / "without"
    replace(effects, game=without_members(effects.game, {"m1"})).save(without)
    for card, folder in (("waits", tmp_path / "effects"), ("waits without", without)):
        files = {"effects": folder, "scorer": tmp_path / "scorer"}
        registry.offer(registry.register(files, {"run": card}), reason="passed", by="run")
    registry.register(files | {"effects": tmp_path / "effects"}, {"run": "killed"})
    found = forget_member(tmp_path / "runs", "jobs", "m1", say=lambda _: None)
    assert found.refused == ["v0002", "v0004"]
    assert registry.undecided() == registry.waiting() == ["v0003"]
    with pytest.raises(CookbookError, match="candidate that waits"):
        registry.approve("v0002", reason="good", by="ana")
    assert registry.served_version() == found.served == "v0005"
