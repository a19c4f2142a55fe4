"""Bounds on rows per entity and fewer negatives: exact, reproducible, unbiased."""

import numpy as np
import numpy.typing as npt
import pytest

from tasks.core.personalization.entities import group_rows, hash_ids
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.sampling import ActiveRows, choose_active_rows


def choose(
    entities: list[str],
    options: RandomEffectOptions,
    row_ids: list[str] | None = None,
    labels: npt.NDArray[np.float64] | None = None,
    known: list[bool] | None = None,
) -> ActiveRows:
    grouping = group_rows(entities)
    labels = np.ones(len(entities)) if labels is None else labels
    mask = np.zeros(len(grouping.entity_ids), np.bool_) if known is None else np.array(known)
    return choose_active_rows(grouping, labels, np.ones(len(entities)), row_ids, mask, options)


def active_counts(active: ActiveRows) -> dict[str, int]:
    ids = active.grouping.entity_ids.to_pylist()
    return dict(zip(ids, active.grouping.counts.tolist(), strict=True))


def test_three_entities_under_bounds_two_and_four() -> None:
    """GDMix's own partitioner case: 3, 6 and 1 rows; the first is active, the third passive."""
    entities = ["a"] * 3 + ["b"] * 6 + ["c"]
    active = choose(entities, RandomEffectOptions(lower_bound=2, upper_bound=4))
    assert active_counts(active) == {"a": 3, "b": 4}
    assert (active.passive_entities, active.passive_rows) == (1, 3)


@pytest.mark.parametrize("rows", [9, 10, 11, 50])
def test_the_upper_bound_is_exact_at_and_around_it(rows: int) -> None:
    """Quirk: with groups = count / bound + 1, exactly `bound` rows keep about half of them."""
    active = choose(["a"] * rows, RandomEffectOptions(upper_bound=10))
    assert active_counts(active) == {"a": min(rows, 10)}


def test_structured_row_ids_do_not_bias_the_sample() -> None:
    """Quirk: row id modulo the number of groups keeps e.g. only even ids."""
    kept = np.zeros(2)
    for seed in range(200):
        active = choose(["a"] * 40, RandomEffectOptions(upper_bound=10, seed=seed))
        kept += np.bincount(active.grouping.order % 2, minlength=2)
    share = kept[0] / kept.sum()
    assert abs(share - 0.5) < 0.05  # three deviations of 2,000 draws are 0.034


def test_kept_rows_of_a_sampled_entity_weigh_count_over_bound() -> None:
    """Quirk: without it an entity's data would count less than it is."""
    active = choose(["a"] * 40 + ["b"] * 5, RandomEffectOptions(upper_bound=10))
    own = active.grouping.order[active.grouping.starts[0] : active.grouping.starts[1]]
    assert active.weights[own].tolist() == [4.0] * 10
    assert active.weights[40:].tolist() == [1.0] * 5


def test_the_sample_depends_on_row_ids_and_seed_and_not_on_row_order() -> None:
    ids = [f"impression_{k}" for k in range(60)]
    options = RandomEffectOptions(upper_bound=20)
    straight = {ids[k] for k in choose(["a"] * 60, options, ids).grouping.order}
    backward = {ids[::-1][k] for k in choose(["a"] * 60, options, ids[::-1]).grouping.order}
    other = choose(["a"] * 60, RandomEffectOptions(upper_bound=20, seed=1), ids).grouping.order
    assert straight == backward
    assert straight != {ids[k] for k in other}


def hash_by_hand(text: str, seed: int) -> int:
    """FNV-1a and the splitmix64 finalizer in unbounded integers."""
    mask = 2**64 - 1
    value = 0xCBF29CE484222325 ^ (seed * 0x9E3779B97F4A7C15 & mask)
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def test_hashes_are_the_documented_ones_in_every_process() -> None:
    """They decide samples and shards; a change would reshuffle every saved shard."""
    texts = ["member_1", "member_2", "", "Zoë 東京"]
    for seed in (0, 7):
        assert hash_ids(texts, seed).tolist() == [hash_by_hand(text, seed) for text in texts]


def test_fewer_negatives_keep_all_positives_and_their_weighted_number() -> None:
    labels = np.append(np.ones(500), np.zeros(20_000))
    options = RandomEffectOptions(negative_rate=0.1)
    active = choose(["a"] * len(labels), options, labels=labels)
    kept = active.grouping.order
    assert (labels[kept] == 1).sum() == 500
    negatives = kept[labels[kept] == 0]
    assert abs(len(negatives) - 2000) < 130  # three deviations are 127
    assert set(active.weights[negatives].tolist()) == {10.0}


def test_new_entities_may_skip_the_lower_bound() -> None:
    """Photon's warm start: the bound then holds back only entities with an earlier model."""
    entities = ["new"] * 2 + ["old"] * 2
    options = RandomEffectOptions(lower_bound=3, lower_bound_needs_prior=True)
    assert active_counts(choose(entities, options, known=[False, True])) == {"new": 2}


def test_passive_rows_do_not_train_but_the_entity_is_scored_by_its_model() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(63, 1)), rng.integers(0, 2, 63)
    options = RandomEffectOptions(lower_bound=5, upper_bound=30)
    model = fit_random_effect(["a"] * 60 + ["b"] * 3, x, labels, options=options)
    assert model.entity_ids.to_pylist() == ["a"]
    figures = model.report.summary()
    assert (figures["active_rows"], figures["passive_rows"], figures["passive"]) == (30, 33, 1)
    scores = model.score(["a"] * 60 + ["b"] * 3, x)
    assert np.abs(scores[:60]).min() > 0
    assert np.abs(scores[60:]).max() == 0
