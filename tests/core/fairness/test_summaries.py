"""The served tier's tables, spread and shuffles tell of a planted gap, and of no other."""

import json

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.comparisons import Resampling
from tasks.core.fairness.evidence import Evidence, TierOutputs
from tasks.core.fairness.summaries import permuted_recall, summarize_served

HOW: Resampling = {"n_resamples": 200, "seed": 0, "minimum_clusters": 10}
N = 1200


def groups_of(rng: np.random.Generator) -> list[dict[str, str]]:
    named = rng.random((N, 2)) < 0.5
    return [
        {"size": "small" if small else "large", "place": "north" if north else "south"}
        for small, north in named
    ]


def test_shuffling_explains_no_planted_gap_and_explains_an_empty_one() -> None:
    rng = np.random.default_rng(0)
    groups = groups_of(rng)
    small = np.array([row["size"] == "small" for row in groups])
    scores = np.clip(rng.normal(0.6, 0.1, N) - 0.1 * small, 0, 1)
    clusters = np.arange(N) // 6
    found = permuted_recall(scores, rng.random(N) < 0.5, groups, clusters, HOW)
    by_pair = {row["group_pair"]: row for row in found}
    planted = by_pair["size: large - small"]
    assert planted["difference"] == pytest.approx(0.1, abs=0.03)
    # No shuffle of 200 is as extreme: 1 / 201, times the two pairs that Holm corrects for.
    assert planted["p_value"] == pytest.approx(2 / 201)
    assert planted["standard_error"] == pytest.approx(np.sqrt(1 / 201 * 200 / 201 / 200))
    assert by_pair["place: north - south"]["p_value"] > 0.05


def test_members_groups_without_a_gap_raise_few_alarms_though_rows_of_a_query_are_alike() -> None:
    """Its rows were shuffled as if each were another query: three alarms in ten, for nothing."""
    rng = np.random.default_rng(2)
    queries, alarms = np.repeat(np.arange(80), 10), 0
    groups = [{"member gender": "ab"[query % 2]} for query in queries]
    for _ in range(40):
        scores = 0.5 + rng.normal(0, 0.1, 80)[queries] + rng.normal(0, 0.1, len(queries))
        positive = rng.random(len(queries)) < 0.6
        (found,) = permuted_recall(scores, positive, groups, queries, HOW)
        alarms += found["p_value"] < 0.05
    # Binomial(40, 0.05): mean 2, sd 1.4.
    assert alarms <= 6


def test_tables_and_spread_agree_with_the_shares_they_sum_up_and_are_json() -> None:
    rng = np.random.default_rng(1)
    groups = groups_of(rng)
    catalog = Catalog({f"d{i}": {"groups": json.dumps(row)} for i, row in enumerate(groups)}, {})
    rows = [
        {"query_id": f"q{i // 6}", "doc_id": f"d{i}", "member_id": "", "grade": int(grade)}
        for i, grade in enumerate(rng.integers(0, 3, N))
    ]
    logits = rng.normal(size=(N, 3)).astype(np.float32)
    tier = TierOutputs(logits, logits[:0], 3, {})
    evidence = Evidence(catalog, 1, 2, "student", rows, [], {}, tiers={"student": tier})
    found = json.loads(json.dumps(summarize_served(evidence, HOW), allow_nan=False))
    small = np.array([row["size"] == "small" for row in groups])
    shares = [tier.relevance(logits)[chosen].mean() for chosen in (small, ~small)]
    (table,) = (
        one
        for one in found["tables"]
        if (one["attribute"], one["metric"]) == ("size", "demographic_parity")
    )
    assert table["by_group"]["small"] == pytest.approx(shares[0])
    assert table["rows"] == {"large": int((~small).sum()), "small": int(small.sum())}
    spread = {(row["name"], row["group_pair"]): row for row in found["spread"]}
    varies = spread["demographic_parity coefficient_of_variation", "size: all groups"]
    assert varies["value"] == pytest.approx(np.std(shares) / np.mean(shares))
    apart = spread["total_variation_distance", "size: small - all"]
    assert apart["value"] == pytest.approx(abs(shares[0] - tier.relevance(logits).mean()))
