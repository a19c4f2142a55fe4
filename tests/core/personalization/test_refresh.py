"""The daily refresh: new rows only, the effects in service as prior, tested on later rows."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.effects import Effects, PairView
from tasks.core.personalization.features import fit_pair_features
from tasks.core.personalization.game_model import GivenScores, RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.refresh import (
    NewImpressions,
    new_impressions,
    refresh,
    refresh_gain,
)
from tasks.core.personalization.rows import ScoreTable

CATALOG = Catalog({}, {})
DAY = 86_400


def world(n_rows: int, start: int, seed: int, members: int = 40) -> tuple[list[dict], np.ndarray]:
    """Clicks of members who like or dislike what embedding column 0 stands for."""
    rng = np.random.default_rng(seed)
    tastes = np.random.default_rng(0).normal(0, 1.5, members)
    owner, job = rng.integers(0, members, n_rows), rng.integers(0, 50, n_rows)
    logits = rng.normal(-0.5, 0.7, n_rows)
    chance = 1 / (1 + np.exp(-(logits + tastes[owner] * VECTORS[job, 0])))
    clicked = rng.random(n_rows) < chance
    rows = [
        {
            "impression_id": f"i{start}-{i // 5}",
            "member_id": f"m{owner[i]:02d}",
            "doc_id": f"j{job[i]:02d}",
            "query": "q",
            "clicked": int(clicked[i]),
            "timestamp": start + i,
        }
        for i in range(n_rows)
    ]
    return rows, logits


VECTORS = np.random.default_rng(9).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture
def served() -> Effects:
    """Effects fitted on the first day."""
    rows, logits = world(1500, 0, seed=1)
    feature_map = fit_pair_features(VECTORS, logits[:, None], ("click_logit",), dimensions=4)
    view = PairView(feature_map, {f"j{i:02d}": v for i, v in enumerate(VECTORS)}, "encoder")
    options = RandomEffectOptions(intercept="penalized", variances="full", lower_bound=2)
    game = [
        GivenScores("student", ScoreTable([str(i) for i in range(len(rows))], logits)),
        RandomEffect("per_member", "member", "pair", options),
    ]
    fitted = coordinate_descent(view.rows(rows, logits, ["member"], CATALOG), game, passes=1)
    return Effects(fitted, view, learned_until=1499)


def test_saved_effects_score_as_before(served: Effects, tmp_path: Path) -> None:
    served.save(tmp_path / "effects")
    loaded = Effects.load(tmp_path / "effects")
    rows, logits = world(50, DAY, seed=2)
    np.testing.assert_array_equal(
        loaded.logits(rows, logits, CATALOG), served.logits(rows, logits, CATALOG)
    )
    assert (loaded.learned_until, loaded.view.encoder) == (1499, "encoder")
    with pytest.raises(CookbookError, match=r"about\.json"):
        Effects.load(tmp_path)


def test_a_member_and_a_document_never_seen_keep_the_scorers_logit(served: Effects) -> None:
    rows = [{"member_id": "new", "doc_id": "new", "query": "q"}, {"query": "q"}]
    logits = np.array([0.3, -2.0])
    np.testing.assert_array_equal(served.logits(rows, logits, CATALOG), logits)


def test_the_parts_of_a_logit_add_up_to_it(served: Effects) -> None:
    rows, logits = world(50, DAY, seed=2)
    parts = served.parts(rows, logits, CATALOG)
    assert list(parts) == ["student", "per_member"]
    np.testing.assert_array_equal(parts["student"], logits)
    assert np.abs(parts["per_member"]).max() > 0.1
    np.testing.assert_allclose(sum(parts.values()), served.logits(rows, logits, CATALOG))


def test_a_refresh_of_many_new_days_beats_the_effects_in_service(served: Effects) -> None:
    rows, logits = world(6000, DAY, seed=3)
    later, later_logits = world(4000, 2 * DAY, seed=4)
    fresh = refresh(served, rows, logits, CATALOG, passes=1, prior_weight=1.0)
    before, after, gain = refresh_gain(served, fresh, later, later_logits, CATALOG)
    assert gain.low > 0
    assert gain.value == pytest.approx(after.value - before.value)
    assert fresh.learned_until == DAY + 5999
    assert fresh.view is served.view


def test_a_few_new_rows_move_a_member_a_little_and_the_others_not_at_all(served: Effects) -> None:
    rows, logits = world(6, DAY, seed=5, members=1)
    fresh = refresh(served, rows, logits, CATALOG, passes=1, prior_weight=1.0)
    old, new = (one.game.models["per_member"] for one in (served, fresh))
    for member in ("m01", "m39"):
        assert new.coefficients(member) == old.coefficients(member)
    own, was = new.coefficients("m00"), old.coefficients("m00")
    assert own is not None and was is not None
    moved = np.array([own.values[k] - was.values[k] for k in was.values])
    alone = refresh(served, rows, logits, CATALOG, passes=1, prior_weight=1e-6)
    free = alone.game.models["per_member"].coefficients("m00")
    assert free is not None
    far = np.array([free.values[k] - was.values[k] for k in was.values])
    assert 0 < np.linalg.norm(moved) < 0.5 * np.linalg.norm(far)


def test_a_refresh_needs_the_variances_of_the_effects_in_service(served: Effects) -> None:
    rows, logits = world(60, DAY, seed=6)
    view = served.view
    game = [
        GivenScores("student", ScoreTable([str(i) for i in range(60)], logits)),
        RandomEffect("per_member", "member", "pair", RandomEffectOptions()),
    ]
    fitted = coordinate_descent(view.rows(rows, logits, ["member"], CATALOG), game, passes=1)

    with pytest.raises(CookbookError, match="variances"):
        refresh(Effects(fitted, view, 0), rows, logits, CATALOG, passes=1, prior_weight=1.0)


def test_only_newer_rows_of_members_that_train_are_taken_and_the_latest_test() -> None:
    rows, _ = world(4000, 0, seed=7)
    rows[10] = {**rows[10], "member_id": ""}
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    found = new_impressions(
        columns,
        after=999,
        held_out_members=0.2,
        testing_share=0.25,
        fitting_rows=10_000,
        testing_rows=300,
        seed=0,
    )
    taken = found.rows
    assert min(row["timestamp"] for row in taken) > 999
    assert max(r["timestamp"] for r in found.fitting) < min(r["timestamp"] for r in found.testing)
    assert 250 < len(found.testing) <= 300
    everyone = {row["member_id"] for row in rows if row["timestamp"] > 999}
    kept = {row["member_id"] for row in taken}
    assert "" not in kept
    assert 0 < len(everyone - kept) < len(everyone)


def test_no_new_rows_are_no_error() -> None:
    columns = {name: np.array([]) for name in ("timestamp", "impression_id")}
    columns |= {"member_id": np.array([], dtype=str)}
    found = new_impressions(
        columns, after=0, held_out_members=0.2, testing_share=0.2,
        fitting_rows=1, testing_rows=1, seed=0,
    )  # fmt: skip
    assert found.rows == []
    assert not found.can_test


def test_rows_without_a_click_cannot_test() -> None:
    rows = [{"clicked": 0}, {"clicked": 0}]
    assert not NewImpressions(rows, rows).can_test
    assert NewImpressions([], [*rows, {"clicked": 1}]).can_test
