"""Coordinate descent over fixed and random effects: exact offsets, best model, refused rows."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize

from tasks.core.errors import CookbookError
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_files import load_game, save_game
from tasks.core.personalization.game_model import (
    Coordinate,
    FixedEffect,
    GivenScores,
    RandomEffect,
)
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.rows import Rows, ScoreTable

Array = npt.NDArray[np.float64]
PENALIZED = RandomEffectOptions(intercept="penalized", l2_weight=1.0)


def clicks(rows: int = 300, members: int = 12, jobs: int = 9, seed: int = 0) -> Rows:
    """Clicks that depend on a feature, on the member and on the job."""
    rng = np.random.default_rng(seed)
    member, job = rng.integers(0, members, rows), rng.integers(0, jobs, rows)
    x = rng.normal(size=(rows, 2))
    taste, appeal = rng.normal(size=(members, 2)), rng.normal(size=jobs)
    logits = x[:, 0] + (x * taste[member]).sum(axis=1) + appeal[job]
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.float64)
    return Rows(
        row_ids=[f"row_{seed}_{i}" for i in range(rows)],
        labels=labels,
        features={"pair": x},
        entity_ids={
            "member": [f"member_{m}" for m in member],
            "job": [f"job_{j}" for j in job],
        },
    )


GAME: tuple[Coordinate, ...] = (
    FixedEffect("global", "pair"),
    RandomEffect("per_member", "member", "pair", PENALIZED),
    RandomEffect("per_job", "job", None, PENALIZED),
)


def joint_design(rows: Rows) -> tuple[Array, Array]:
    """All coordinates as one design matrix, and the penalty of each of its columns."""
    x = np.asarray(rows.features["pair"])
    own = np.column_stack([np.ones(len(rows)), x])
    member = np.array([int(m.split("_")[1]) for m in rows.entity_ids["member"]])
    job = np.array([int(j.split("_")[1]) for j in rows.entity_ids["job"]])
    by_member = np.zeros((len(rows), member.max() + 1, 3))
    by_member[np.arange(len(rows)), member] = own
    by_job = np.eye(job.max() + 1)[job]
    design = np.hstack([own, by_member.reshape(len(rows), -1), by_job])
    return design, np.append(0.0, np.ones(design.shape[1] - 1))


def test_many_passes_reach_the_optimum_of_all_coordinates_fitted_jointly() -> None:
    rows = clicks()
    design, penalty = joint_design(rows)
    labels = np.asarray(rows.labels)

    def objective(beta: Array) -> tuple[float, Array]:
        z = design @ beta
        loss = (np.logaddexp(0, z) - labels * z).sum() + penalty @ (beta * beta) / 2
        return float(loss), design.T @ (1 / (1 + np.exp(-z)) - labels) + penalty * beta

    best = scipy.optimize.minimize(
        objective, np.zeros(design.shape[1]), jac=True, method="BFGS",
        options={"gtol": 1e-7, "maxiter": 5000},
    )  # fmt: skip
    game = coordinate_descent(rows, GAME, passes=150)
    assert game.history[-1].objective == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(game.score(rows), design @ best.x, atol=1e-4)


def test_every_update_lowers_the_joint_objective() -> None:
    history = coordinate_descent(clicks(), GAME, passes=4).history
    objectives = [step.objective for step in history]
    assert [step.coordinate for step in history[:4]] == [
        "global", "per_member", "per_job", "global",
    ]  # fmt: skip
    assert all(after <= before + 1e-9 for before, after in pairwise(objectives))


def test_a_later_pass_sees_the_total_score_less_its_own() -> None:
    """Quirk: one-pass flows never subtract a coordinate's own score from its offset."""
    rows = clicks()
    two = coordinate_descent(rows, GAME, passes=2)
    one = coordinate_descent(rows, GAME, passes=1)
    parts = one.coordinate_scores(rows)
    features, names = rows.features_of("pair")
    by_hand = fit_random_effect(
        [""] * len(rows), features, rows.checked_labels(),
        offsets=parts["per_member"] + parts["per_job"], feature_names=names,
    )  # fmt: skip
    np.testing.assert_allclose(two.models["global"].dense(), by_hand.dense(), atol=1e-8)


def test_given_scores_join_by_row_id_in_any_order() -> None:
    rows = clicks()
    logits = np.random.default_rng(1).normal(size=len(rows))
    game = GAME[1:]
    straight = coordinate_descent(
        rows, [GivenScores("student", ScoreTable(rows.row_ids, logits)), *game]
    )
    backward = ScoreTable(list(rows.row_ids)[::-1], logits[::-1])
    turned = coordinate_descent(rows, [GivenScores("student", backward), *game])
    np.testing.assert_allclose(straight.score(rows), turned.score(rows), atol=1e-12)
    np.testing.assert_array_equal(straight.coordinate_scores(rows)["student"], logits)


def test_a_linear_fixed_effect_scores_and_has_variances_like_any_other() -> None:
    """Quirk: GDMix's linear mode is not scored after training and has no variances."""
    rows = clicks()
    x, labels = np.asarray(rows.features["pair"]), np.asarray(rows.labels)
    options = RandomEffectOptions(task="linear", l2_weight=0.0, variances="full")
    game = coordinate_descent(
        rows, [FixedEffect("global", "pair", options)], validation=rows, metric="mse"
    )
    design = np.column_stack([np.ones(len(rows)), x])
    best = np.linalg.lstsq(design, labels)[0]
    np.testing.assert_allclose(game.score(rows), design @ best, atol=1e-9)
    spread = np.diag(np.linalg.inv(design.T @ design))
    np.testing.assert_allclose(game.models["global"].variances, spread[1:], atol=1e-12)
    assert game.best is not None
    assert game.best.metric == pytest.approx(np.square(design @ best - labels).mean())


def test_a_row_without_a_given_score_fails_with_counts_and_is_not_dropped() -> None:
    """Quirk: inner joins lose such rows silently."""
    rows = clicks()
    table = ScoreTable(list(rows.row_ids)[:-7], np.zeros(len(rows) - 7))
    with pytest.raises(CookbookError, match="score for each of 300 rows, 7 are not among the 293"):
        coordinate_descent(rows, [GivenScores("student", table), *GAME[1:]])
    twice = ScoreTable([*rows.row_ids, "row_0_0"], np.zeros(301))
    with pytest.raises(CookbookError, match="301 row ids \\(300 distinct\\)"):
        coordinate_descent(rows, [GivenScores("student", twice), *GAME[1:]])


def test_repeated_row_ids_are_refused() -> None:
    with pytest.raises(CookbookError, match="distinct row ids, got 1 among 2 rows"):
        Rows(row_ids=["a", "a"])


def test_unseen_members_and_jobs_get_the_global_score_alone() -> None:
    rows = clicks()
    game = coordinate_descent(rows, GAME)
    new = Rows(
        row_ids=["x"], features={"pair": np.array([[0.3, -1.0]])},
        entity_ids={"member": ["stranger"], "job": ["new job"]},
    )  # fmt: skip
    parts = game.coordinate_scores(new)
    assert parts["per_member"][0] == parts["per_job"][0] == 0
    assert game.score(new)[0] == parts["global"][0]


def test_the_model_kept_is_the_best_on_validation_among_complete_ones() -> None:
    rows, held_out = clicks(rows=150, seed=1), clicks(rows=400, seed=1 + 100)
    game = coordinate_descent(rows, GAME, passes=5, validation=held_out)
    complete = game.history[len(GAME) - 1 :]
    assert game.best is not None
    assert game.best.metric == max(step.metric for step in complete)
    from tasks.core.personalization.validation_metrics import auc

    kept = auc(held_out.checked_labels(), game.score(held_out))
    assert kept == pytest.approx(game.best.metric, abs=1e-12)
    lowest = coordinate_descent(rows, GAME, passes=3, validation=held_out, metric="logistic_loss")
    assert lowest.best is not None
    assert lowest.best.metric == min(s.metric for s in lowest.history[len(GAME) - 1 :])


def test_locked_coordinates_keep_their_model_and_the_others_fit_around_it() -> None:
    rows, more = clicks(seed=0), clicks(seed=5)
    earlier = coordinate_descent(rows, GAME)
    game = coordinate_descent(more, GAME, warm_start=earlier, locked=["global"])
    assert game.models["global"] is earlier.models["global"]
    assert {step.coordinate for step in game.history} == {"per_member", "per_job"}


def test_a_daily_refresh_leans_on_yesterday_and_keeps_those_who_stayed_away() -> None:
    yesterday, today = clicks(seed=0), clicks(rows=40, members=3, seed=5)
    options = RandomEffectOptions(intercept="penalized", variances="full")
    game = (RandomEffect("per_member", "member", "pair", options),)
    earlier = coordinate_descent(yesterday, game)
    refreshed = coordinate_descent(today, game, warm_start=earlier, incremental=True)
    alone = coordinate_descent(today, game)
    old, new, fresh = (g.models["per_member"] for g in (earlier, refreshed, alone))
    assert new.entity_ids.equals(old.entity_ids)
    assert new.coefficients("member_9") == old.coefficients("member_9")
    seen = slice(0, 3)
    to_yesterday = np.abs(new.dense()[seen] - old.dense()[seen]).mean()
    assert to_yesterday < np.abs(fresh.dense() - old.dense()[seen]).mean() / 2


def test_locking_without_a_model_or_locking_everything_is_refused() -> None:
    rows = clicks()
    with pytest.raises(CookbookError, match=r"\['global'\] have none"):
        coordinate_descent(rows, GAME, locked=["global"])
    earlier = coordinate_descent(rows, GAME)
    with pytest.raises(CookbookError, match="a coordinate to train"):
        coordinate_descent(
            rows, GAME, warm_start=earlier, locked=["global", "per_member", "per_job"]
        )


def test_one_coordinate_takes_one_pass() -> None:
    game = coordinate_descent(clicks(), GAME[:1], passes=5)
    assert len(game.history) == 1


def test_a_saved_game_scores_as_before_and_repeats_its_bytes(tmp_path: Path) -> None:
    rows = clicks()
    table = ScoreTable(rows.row_ids, np.linspace(-1, 1, len(rows)))
    game = coordinate_descent(rows, [GivenScores("student", table), *GAME[1:]], validation=rows)
    for folder in ("first", "second"):
        save_game(game, tmp_path / folder)
    loaded = load_game(tmp_path / "first")
    np.testing.assert_array_equal(loaded.score(rows, {"student": table}), game.score(rows))
    assert loaded.best == game.best
    assert loaded.history == game.history
    assert [c.name for c in loaded.coordinates] == ["student", "per_member", "per_job"]
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == ["coordinate_1.arrow", "coordinate_2.arrow", "game.json"]
    for name in names:
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    with pytest.raises(CookbookError, match="score table for the given coordinate 'student'"):
        loaded.score(rows)
