"""Report dicts for tests. Every number here is made up: an example, not a measurement."""

from typing import Any

ROLES = ("policy_teacher", "click_teacher", "assistant", "student", "pruned_student")


def full_report() -> dict[str, Any]:
    """A run that did everything: clicks, personalization, fairness and all optional keys."""
    report = minimal_report()
    report |= {
        "run_key": "example-7f3a9c21d04b",
        "domain": "job_search",
        "policy_version": "3.1.0",
        "data_note": "Example numbers, made up for tests: no model was trained.",
        "policy": {
            "name": "job_search",
            "version": "3.1.0",
            "dimensions": 9,
            "clauses": 46,
            "precedents": 24,
        },
        "judge": _judge(),
        "labels": _labels(),
        "sources": {
            "retrieved": 4108,
            "hard_negative": 2004,
            "generated_query": 678,
        },
        "tiers": [_tier(number) for number in range(5)],
        "served_role": "pruned_student",
        "baselines": _baselines(),
        "tradeoff": _tradeoff(),
        "conflicts": _conflicts(),
        "biases": {role: _biases(0.02 * number) for number, role in enumerate(ROLES)},
        "personalization": _personalization(),
        "fairness": _fairness(),
        "dataset_fairness": _dataset_fairness(),
        "reliability": {role: _reliability(0.04 * i) for i, role in enumerate(ROLES[3:])},
        "propensities": {
            str(position): {
                "value": round(position**-0.62, 4),
                "low": round(position**-0.62 * 0.93, 4),
                "high": round(min(1.0, position**-0.62 * 1.07), 4),
            }
            for position in range(1, 11)
        },
        "propensity_method": "random_order_and_harvesting",
        "click_words": {
            "clicked": {"more": ["remote", "flextime"], "less": ["onsite", "no home working"]},
            "applied": {"more": ["paid training"], "less": []},
        },
        "lineage": _lineage(),
        "promotion": {
            "decision": "promoted",
            "version": "v0004",
            "reasons": [
                "NDCG@10 on the gate split, 0.894, is above BM25's 0.842.",
                "It does not lose to v0003 in service: +0.006 NDCG@10, -0.004 to 0.016.",
            ],
        },
        "skipped": [
            {
                "step": "label_generated_rationales",
                "reason": "The embedded judge gives grades only, so no rationale was stored.",
            },
        ],
    }
    report["seconds_by_step"] = {node["step"]: node["seconds"] for node in report["lineage"]}
    return report


def minimal_report() -> dict[str, Any]:
    """The least that the contract allows: no clicks, no groups, none of the optional keys."""
    return {
        "run_key": "example-0c11e5b7aa90",
        "profile": "laptop",
        "domain": "product_search",
        "policy_version": "1.0.0",
        "judge": {
            "name": "embedded-minilm",
            "is_llm": False,
            "kappa": _interval(0.601, 0.034, 612),
            "human_kappa": None,
            "by_grade": [],
        },
        "labels": {
            "pairs": 5000,
            "labelled": 4990,
            "quarantined": 10,
            "calls": 5000,
            "billed_calls": 0,
            "reused": 0,
            "spent_usd": 0.0,
            "possibly_billed": 0,
        },
        "tiers": [_tier_without_clicks(number) for number in (0, 3)],
        "baselines": {"bm25": {"ndcg_at_10": 0.812, "click_auc": None}},
        "tradeoff": [],
        "personalization": None,
        "fairness": None,
        "promotion": {
            "decision": "refused",
            "version": None,
            "reasons": ["NDCG@10 of the student, 0.806, is below BM25's 0.812 on the gate split."],
        },
        "seconds_by_step": {"synthesize": 3.2, "validate_judge": 41.0, "label": 0.0},
        "environment": {
            "commit": "0123abc",
            "python": "3.11.7",
            "torch": "2.9.1",
            "transformers": "5.1.0",
            "prefect": "3.8.8",
            "cpu": "2 cores with avx512_bf16",
            "threads": 2,
            "dtype": "bfloat16",
            "gpu": None,
        },
        "skipped": [
            {"step": "train_click_teacher", "reason": "The domain has no impressions.csv.gz."},
            {"step": "personalize", "reason": "The domain has no impressions.csv.gz."},
            {"step": "fairness", "reason": "No document or member carries groups."},
        ],
    }


def _interval(value: float, half: float, n: int = 200) -> dict[str, Any]:
    low, high = round(value - half, 4), round(value + 0.9 * half, 4)
    return {"value": value, "low": low, "high": high, "n": n}


def _judge() -> dict[str, Any]:
    return {
        "name": "embedded-minilm-l6",
        "is_llm": False,
        "kappa": _interval(0.704, 0.028, 801),
        "human_kappa": 0.782,
        "human_rows": 640,
        "passed": True,
        "floor": 0.6,
        "sealed_reads": 1,
        "by_grade": [
            [141, 28, 6, 1, 0],
            [31, 96, 34, 5, 0],
            [7, 30, 118, 29, 4],
            [1, 6, 33, 102, 26],
            [0, 1, 5, 31, 66],
        ],
    }


def _labels() -> dict[str, Any]:
    return {
        "pairs": 12000,
        "labelled": 11986,
        "quarantined": 14,
        "calls": 7204,
        "billed_calls": 0,
        "reused": 4796,
        "spent_usd": 0.0,
        "possibly_billed": 0,
    }


def _tier(number: int) -> dict[str, Any]:
    tier = _tier_without_clicks(number)
    clicked = (0.641, 0.672, 0.667, 0.664, 0.661)[number]
    tier["clicks"] = {
        "clicked": _interval(clicked, 0.011, 4200),
        "applied": _interval(round(clicked + 0.06, 3), 0.024, 610),
    }
    tier["calibration"]["clicked"] = {"ece_before": 0.046 + 0.008 * number, "ece_after": 0.011}
    tier["calibration"]["applied"] = {"ece_before": 0.021, "ece_after": 0.006}
    tier["kept"]["click_auc"] = _interval(round(clicked / 0.672, 4), 0.009, 4200)
    tier["kept_actions"] = {"applied": _interval(round((clicked + 0.06) / 0.732, 4), 0.03, 610)}
    return tier


def _tier_without_clicks(number: int) -> dict[str, Any]:
    ndcg = (0.912, 0.901, 0.909, 0.903, 0.889)[number]
    weights = (22_713_985, 22_713_985, 20_941_441, 19_167_361, 14_205_441)[number]
    speed = (312.0, 309.0, 371.0, 455.0, 718.0)[number]
    return {
        "role": ROLES[number],
        "base_model": "all-MiniLM-L6-v2",
        "parameters": weights,
        "bytes": 4 * weights,
        "golden": {
            "kappa": round(0.75 * ndcg, 3),
            "ndcg_at_10": ndcg,
            "low": ndcg - 0.018,
            "high": ndcg + 0.016,
            "n_queries": 148,
            "queries_left_out": 6,
            "mrr": round(0.9 * ndcg, 3),
            "precision_at_10": 0.5,
        },
        "clicks": None,
        "calibration": {"grade": {"ece_before": 0.061 + 0.009 * number, "ece_after": 0.018}},
        "pairs_per_second": speed,
        "latency_ms": {"p50": 900 / speed, "p99": 2100 / speed},
        "kept": {
            "ndcg_at_10": _interval(round(ndcg / 0.912, 4), 0.012 * (number > 0)),
            "ndcg_chance_corrected": _interval(round((ndcg - 0.6) / 0.312, 4), 0.03 * (number > 0)),
            "click_auc": None,
        },
    }


def _baselines() -> dict[str, Any]:
    values = {
        "bm25": (0.842, 0.583),
        "embedding": (0.866, 0.571),
        "policy_only": (0.906, 0.632),
        "click_only": (0.823, 0.669),
        "random": (0.612, 0.5),
    }
    return {
        name: {"ndcg_at_10": ndcg, "low": ndcg - 0.02, "high": ndcg + 0.019, "click_auc": auc}
        for name, (ndcg, auc) in values.items()
    }


def _conflicts() -> dict[str, Any]:
    clauses = [
        {"by": "clause", "value": f"TITLE-{n}", "pairs": 40 + 30 * n, "disagreement": 0.1 * n}
        for n in range(5)
    ]
    rest = [
        {"by": "query kind", "value": "title, existing", "pairs": 80, "disagreement": 0.09},
        {"by": "pair source", "value": "retrieved", "pairs": 70, "disagreement": 0.08},
        *(
            {"by": f"group {name}", "value": f"g{n}", "pairs": 60, "disagreement": 0.05 + n / 100}
            for name in ("place", "member branch")
            for n in range(2)
        ),
    ]
    by = clauses + rest
    between = [
        {"teachers": ["policy", "click"], "pairs": 9000, "disagreement": 0.214, "by": by},
        {"teachers": ["click", "words"], "pairs": 8000, "disagreement": 0.347, "by": []},
    ]
    return {"pairs": 9000, "disagreement": 0.214, "by": by, "between": between}


def _biases(shift: float) -> dict[str, Any]:
    names = ("length", "keyword_stuffing", "injected_instruction")
    verdicts = ("keeps", "shrinks", "grows")
    return {
        name: _interval(shift, 0.01, 500) | {"verdict": verdict, "read_share": 1.0}
        for name, verdict in zip(names, verdicts, strict=True)
    }


def _tradeoff() -> list[dict[str, Any]]:
    points = [
        (0.0, 0.823, 0.669),
        (0.25, 0.868, 0.668),
        (0.5, 0.893, 0.665),
        (0.7, 0.903, 0.664),
        (0.85, 0.906, 0.652),
        (1.0, 0.905, 0.632),
    ]
    return [
        {
            "alpha": alpha,
            "ndcg_at_10": _interval(ndcg, 0.014, 148),
            "click_auc": _interval(auc, 0.008, 4200),
            "chosen": alpha == 0.7,
            # 0.85 beats 1.0 at both.
            "on_front": alpha < 1.0,
        }
        for alpha, ndcg, auc in points
    ]


def _personalization() -> dict[str, Any]:
    aucs = [
        ("per_member", 1, 0.689),
        ("per_job", 1, 0.703),
        ("per_member", 2, 0.706),
        ("per_job", 2, 0.707),
    ]
    return {
        "auc_fixed": _interval(0.661, 0.010, 4200),
        "passes": [
            {"coordinate": coordinate, "pass": number, "auc": _interval(auc, 0.009, 4200)}
            for coordinate, number, auc in aucs
        ],
        "entities": {
            "per_member": {"trained": 1480, "passive": 320, "single_class": 96},
            "per_job": {"trained": 2210, "passive": 1105, "single_class": 412},
        },
        "convergence": {
            "per_member": {
                "trained": 1480,
                "active_rows": 41_220,
                "mean_iterations": 5.3,
                "largest_gradient": 8.1e-7,
                "unconverged": 0,
                "float64_fallbacks": 2,
            },
            "per_job": {
                "trained": 2210,
                "active_rows": 38_907,
                "mean_iterations": 4.8,
                "largest_gradient": 3.2e-3,
                "unconverged": 7,
                "float64_fallbacks": 0,
            },
        },
        "gain": _interval(0.046, 0.011, 4200),
    }


def _fairness() -> dict[str, Any]:
    rows = []
    for tier, shift in (("policy_teacher", 0.0), ("student", 0.004), ("pruned_student", 0.009)):
        for name, pair, value, p_value in (
            ("demographic_parity", "age: 50+ against under 30", 0.018, 0.21),
            ("demographic_parity", "region: rural against urban", 0.047, 0.012),
            ("auc", "age: 50+ against under 30", -0.006, 0.64),
            ("auc", "region: rural against urban", -0.031, 0.048),
            ("equalized_odds", "age: 50+ against under 30", 0.011, 0.44),
        ):
            rows.append(
                {
                    "tier": tier,
                    "name": name,
                    "group_pair": pair,
                    "value": round(value + shift, 4),
                    "low": round(value + shift - 0.034, 4),
                    "high": round(value + shift + 0.033, 4),
                    "p_value": p_value,
                }
            )
    return {
        "groups": {
            "age: under 30": 2114,
            "age: 30 to 49": 3920,
            "age: 50+": 1206,
            "region: urban": 6020,
            "region: rural": 1194,
            "region: remote": 26,
        },
        "metrics": rows,
        "growth": [_growth("student", 0.4), _growth("pruned_student", 0.003)],
        "twins": {
            "pairs": 20,
            "metrics": [
                _twin("policy_teacher", "pronoun: she - he", 0.001, 0.7),
                _twin("pruned_student", "pronoun: she - he", 0.012, 0.02),
            ],
            "growth": [],
            "unseen": {"policy_teacher": 0.0, "pruned_student": 0.65},
        },
        "mitigation": {
            "method": "equality_of_opportunity",
            "score": "the served value",
            "applied": False,
            "clicks_fitted": 812,
            "attributes": [
                {
                    "attribute": "region",
                    "positive_distance_before": {"rural - urban": 0.0031},
                    "dials": [
                        {
                            "dial": dial,
                            "positive_distance": {"rural - urban": 0.0031 * (1 - dial)},
                            "ndcg_at_10_change": _interval(-0.003 * dial, 0.004),
                            "click_auc_change": _interval(-0.002 * dial, 0.006),
                        }
                        for dial in (0.5, 1.0)
                    ],
                }
            ],
        },
    }


def _growth(tier: str, p_value: float) -> dict[str, Any]:
    return {
        "tier": tier,
        "teacher": "policy_teacher",
        "name": "recall",
        "group_pair": "region: rural - urban",
        "teacher_gap": 0.01,
        "tier_gap": 0.06,
        "change": 0.05,
        "low": 0.02,
        "high": 0.08,
        "p_value": p_value,
        "wider": True,
    }


def _twin(tier: str, pair: str, value: float, p_value: float) -> dict[str, Any]:
    bounds = {"low": value - 0.01, "high": value + 0.01, "p_value": p_value}
    return {"tier": tier, "name": "twin_gap", "group_pair": pair, "value": value, **bounds}


def _dataset_fairness() -> list[dict[str, Any]]:
    return [
        {"name": "demographic_parity", "group_pair": "region: rural against urban", "value": 0.039},
        {"name": "js_divergence", "group_pair": "age: 50+ against under 30", "value": 0.0021},
    ]


def _reliability(error: float) -> dict[str, Any]:
    means = [0.03, 0.09, 0.15, 0.22, 0.3, 0.38, 0.47, 0.56, 0.64, 0.72, 0.8, 0.86, 0.91, 0.95, 0.98]
    before = [[m, round(m + (0.25 + 2 * error) * (0.5 - m), 4), 120] for m in means]
    after = [[m, round(m + 0.012 * (-1) ** i, 4), 120] for i, m in enumerate(means)]
    clicks = [[round(m / 2, 4), round(m / 2.6, 4), 280] for m in means]
    return {
        "grade": {"before": before, "after": after},
        "clicked": {"before": clicks, "after": [[m / 2, m / 2 + 0.004, 280] for m in means]},
    }


def _lineage() -> list[dict[str, Any]]:
    steps: list[tuple[str, list[str], float, dict[str, int], bool]] = [
        ("synthesize", [], 3.4, {"pairs": 12000}, False),
        ("validate_judge", [], 74.1, {"golden_rows": 801}, True),
        ("label", ["synthesize", "validate_judge"], 48.8, {"judgments": 11986}, False),
        ("collect_impressions", [], 2.2, {"impressions": 42000}, True),
        ("train_policy_teacher", ["label"], 186.0, {"steps": 480}, False),
        (
            "train_click_teacher",
            ["train_policy_teacher", "collect_impressions"],
            92.3,
            {"steps": 210},
            False,
        ),
        (
            "score",
            ["train_policy_teacher", "train_click_teacher", "synthesize"],
            61.5,
            {"soft_labels": 24000},
            False,
        ),
        ("distill_assistant", ["score"], 88.0, {"steps": 190}, False),
        ("distill_student", ["distill_assistant", "score"], 71.2, {"steps": 190}, False),
        ("distill_pruned_student", ["distill_student", "score"], 44.9, {"steps": 190}, False),
        ("calibrate", ["distill_pruned_student", "label", "collect_impressions"], 6.4, {}, False),
        ("personalize", ["calibrate", "collect_impressions"], 9.8, {"entities": 5115}, False),
        ("evaluate", ["calibrate", "personalize", "train_policy_teacher"], 21.7, {}, False),
        ("fairness", ["calibrate"], 5.0, {}, False),
        ("promote", ["evaluate", "fairness"], 0.1, {}, False),
    ]
    digest = {step: f"{number + 11:02x}" * 32 for number, (step, *_) in enumerate(steps)}
    return [
        {
            "step": step,
            "digest": digest[step],
            "inputs": [digest[name] for name in inputs],
            "seconds": seconds,
            "counts": counts,
            "reused": reused,
        }
        for step, inputs, seconds, counts, reused in steps
    ]
