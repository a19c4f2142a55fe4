"""Guards the group metrics: references for every value, honest intervals, named small groups."""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from tasks.core.errors import CookbookError
from tasks.core.fairness.attributes import group_sizes, small_groups
from tasks.core.fairness.groups import DEFAULT_METRICS, METRICS, gap_draws, group_metrics
from tasks.core.fairness.model_metrics import precision_at_k
from tasks.core.fairness.ranking import attention_by_group, exposure_by_group, ranks_within


def _members(n_members=120, rows_each=15, *, seed=0, gap=0.0):
    """Rows of members of two genders; women's scores are lowered by `gap`."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(n_members), rows_each)
    woman = (np.arange(n_members) % 2 == 0)[member]
    scores = np.clip(rng.beta(2, 2, len(member)) - gap * woman, 0.0, 1.0)
    labels = (rng.random(len(member)) < scores + gap * woman).astype(float)
    groups = [{"gender": "female" if w else "male"} for w in woman]
    return scores, labels, groups, member, woman


def _documents(n_queries=60, rows_each=12, *, seed=0):
    """Lists in which documents of two seniorities meet."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(n_queries), rows_each)
    senior = rng.random(len(query)) < 0.5
    scores = np.clip(rng.random(len(query)) + 0.1 * senior, 0, 1)
    grades = rng.integers(0, 4, len(query)).astype(float)
    return scores, grades, [{"seniority": "a" if s else "b"} for s in senior], query, senior


def _value(rows, name):
    (row,) = [row for row in rows if row.name == name]
    return row.value


def test_thresholded_rates_are_fairlearns():
    scores, labels, groups, member, _ = _members()
    found = group_metrics("student", scores, labels, groups, member, threshold=0.5, n_resamples=50)
    frame = MetricFrame(
        metrics={"precision": precision_score, "recall": recall_score},
        y_true=labels,
        y_pred=(scores > 0.5).astype(float),
        sensitive_features=[g["gender"] for g in groups],
    )
    for name in ("precision", "recall"):
        by_group = frame.by_group[name]
        assert _value(found, name) == pytest.approx(by_group["female"] - by_group["male"])


def test_auc_gap_is_scikit_learns():
    scores, labels, groups, member, woman = _members()
    found = group_metrics("student", scores, labels, groups, member, n_resamples=50)
    expected = roc_auc_score(labels[woman], scores[woman]) - roc_auc_score(
        labels[~woman], scores[~woman]
    )
    assert _value(found, "auc") == pytest.approx(expected)


def test_expected_rates_add_up_scores():
    scores, labels, groups, member, woman = _members()
    found = group_metrics("t", scores, labels, groups, member, metrics=METRICS, n_resamples=20)

    def gap(part, whole):
        return (part * woman).sum() / (whole * woman).sum() - (part * ~woman).sum() / (
            whole * ~woman
        ).sum()

    assert _value(found, "demographic_parity") == pytest.approx(gap(scores, np.ones_like(scores)))
    assert _value(found, "recall") == pytest.approx(gap(scores * labels, labels))
    assert _value(found, "false_positive_rate") == pytest.approx(
        gap(scores * (1 - labels), 1 - labels)
    )
    assert _value(found, "false_negative_rate") == pytest.approx(-_value(found, "recall"))
    assert _value(found, "calibration") == pytest.approx(gap(labels - scores, np.ones_like(labels)))


def test_rankings_of_document_groups_are_those_of_the_plain_functions():
    scores, grades, groups, query, senior = _documents()
    found = group_metrics("t", scores, grades, groups, query, positive_from=2.0, n_resamples=20)
    ranks, code = ranks_within(query, scores), (~senior).astype(int)
    for name, by_group in (
        ("exposure", exposure_by_group(ranks, code, 2)),
        ("attention", attention_by_group(ranks, grades, code, 2)),
    ):
        assert _value(found, name) == pytest.approx(by_group[0] - by_group[1])
    precision = [
        precision_at_k(grades[rows], ranks[rows], query[rows], threshold=2, k=10)
        for rows in (senior, ~senior)
    ]
    assert _value(found, "precision_at_10") == pytest.approx(precision[0] - precision[1])


def test_exposure_is_left_out_where_a_list_holds_one_group():
    """Every row of a member has the member's gender: its exposure is the length of lists."""
    scores, labels, groups, member, _ = _members()
    names = {m.name for m in group_metrics("t", scores, labels, groups, member, n_resamples=20)}
    assert names == set(DEFAULT_METRICS) - {"exposure", "attention"}


def test_group_pairs_are_written_first_minus_second():
    scores, labels, groups, member, _ = _members(gap=0.2)
    (row,) = group_metrics(
        "student", scores, labels, groups, member, metrics=["demographic_parity"], n_resamples=99
    )
    assert (row.tier, row.group_pair) == ("student", "gender: female - male")
    assert row.value < -0.1


def test_a_planted_gap_lies_in_its_interval_with_a_small_p():
    inside = 0
    for seed in range(20):
        scores, labels, groups, member, _ = _members(n_members=100, seed=seed, gap=0.1)
        (row,) = group_metrics(
            "t", scores, labels, groups, member, metrics=["calibration"], n_resamples=400, seed=seed
        )
        # Labels follow the score plus the gap, cut off at a score of 0 in under 2% of rows.
        inside += row.low <= 0.1 <= row.high
        assert row.p_value < 0.05
    # Binomial(20, .95): 16 or fewer in 1.6% of all runs; the seeds are fixed.
    assert inside >= 17


def test_equal_groups_are_called_unequal_as_rarely_as_promised():
    alarms = []
    for seed in range(100):
        scores, labels, groups, member, _ = _members(n_members=60, rows_each=6, seed=seed)
        found = group_metrics("t", scores, labels, groups, member, n_resamples=150, seed=seed)
        alarms.append(min(row.p_value for row in found) < 0.05)
    # Family-wise 5% over 8 metrics: at most 5 + 3 sd in 100.
    assert np.sum(alarms) <= 11


def test_clusters_widen_the_interval_where_members_differ():
    """Resampling rows would treat 40 rows of one member as 40 members."""
    rng = np.random.default_rng(0)
    member = np.repeat(np.arange(60), 40)
    scores = rng.random(60)[member]
    groups = [{"gender": "fm"[m % 2]} for m in member]
    widths = []
    for clusters in (member, np.arange(len(member))):
        (row,) = group_metrics(
            "t", scores, scores.round(), groups, clusters, metrics=["demographic_parity"]
        )
        widths.append(row.high - row.low)
    assert widths[0] == pytest.approx(np.sqrt(40) * widths[1], rel=0.15)


def test_small_groups_are_named_rather_than_compared():
    scores, labels, groups, member, _ = _members(n_members=60)
    groups = [{"gender": "other"} if m < 5 else g for m, g in zip(member, groups, strict=True)]
    found = group_metrics("t", scores, labels, groups, member, n_resamples=20)
    assert {row.group_pair for row in found} == {"gender: female - male"}
    assert small_groups(groups, member) == {"gender: other": 5}
    assert group_sizes(groups)["gender: other"] == 75


def test_rows_without_the_attribute_belong_to_no_group():
    scores, labels, groups, member, woman = _members()
    half = [g if i % 2 else {} for i, g in enumerate(groups)]
    found = group_metrics(
        "t", scores, labels, half, member, metrics=["demographic_parity"], n_resamples=20
    )
    kept = np.arange(len(scores)) % 2 == 1
    expected = scores[kept & woman].mean() - scores[kept & ~woman].mean()
    assert found[0].value == pytest.approx(expected)


def test_a_group_without_positives_is_not_given_a_number():
    """LiFT says 0 for a recall without positives, which reads as a perfect or a fatal gap."""
    scores, labels, groups, member, woman = _members()
    labels = np.where(woman, 0.0, labels)
    found = group_metrics("t", scores, labels, groups, member, n_resamples=20)
    for name in ("recall", "auc", "ndcg_at_10"):
        (row,) = [row for row in found if row.name == name]
        assert (row.value, row.low, row.high, row.p_value) == (None, None, None, None)
    assert _value(found, "false_positive_rate") is not None


def test_a_query_id_changes_no_rate():
    """LiFT's sampled metrics switch to raw scores once rows have a group id."""
    scores, labels, groups, member, _ = _members()
    names = ["precision", "recall", "false_positive_rate"]
    plain = group_metrics("t", scores, labels, groups, member, metrics=names, n_resamples=20)
    query = np.arange(len(scores)) // 5
    listed = group_metrics(
        "t", scores, labels, groups, member, metrics=names, n_resamples=20, queries=query
    )
    assert plain == listed


def test_two_members_lists_of_one_query_stay_apart():
    scores, grades, groups, query, _ = _documents()
    apart = group_metrics("t", scores, grades, groups, query, metrics=["exposure"], n_resamples=20)
    one_text = np.zeros(len(query))
    same = group_metrics(
        "t", scores, grades, groups, query, metrics=["exposure"], n_resamples=20, queries=one_text
    )
    assert apart == same


@pytest.mark.parametrize(
    ("scores", "names", "message"),
    [
        (np.array([0.1, 0.9]), ["auc", "accurracy"], "accurracy"),
        (np.array([3.0, -1.0]), ["auc"], "logits"),
    ],
)
def test_a_wrong_name_or_scale_is_refused(scores, names, message):
    with pytest.raises(CookbookError, match=message):
        group_metrics("t", scores, np.ones(2), [{}, {}], np.arange(2), metrics=names)


def test_the_same_rows_are_resampled_alike_for_every_tier():
    scores, labels, groups, member, _ = _members()
    (teacher,) = gap_draws("teacher", scores, labels, groups, member, metrics=["auc"])
    (student,) = gap_draws("student", scores**3, labels, groups, member, metrics=["auc"])
    # A monotone change keeps every rank, so paired draws differ by nothing at all.
    assert (teacher.draws == student.draws).all()


def test_a_group_that_stands_lower_is_not_called_overrated():
    """Both groups are clicked by half if looked at; the second is looked at half as often."""
    n = 400
    groups = [{"kind": "upper"}] * n + [{"kind": "lower"}] * n
    clicked = np.concatenate([np.tile([1.0, 0.0], n // 2), np.tile([1.0, 0.0, 0.0, 0.0], n // 4)])
    weights = np.repeat([1.0, 2.0], n)
    members = np.arange(2 * n)
    (gap,) = gap_draws(
        "t", np.full(2 * n, 0.5), clicked, groups, members,
        metrics=["calibration"], targets=clicked * weights, n_resamples=50,
    )  # fmt: skip
    (raw,) = gap_draws(
        "t", np.full(2 * n, 0.5), clicked, groups, members,
        metrics=["calibration"], n_resamples=50,
    )  # fmt: skip
    assert gap.value == pytest.approx(0.0)
    assert abs(raw.value) == pytest.approx(0.25)
