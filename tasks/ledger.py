"""Step: the compression ledger, every tier's quality beside the others' with paired intervals."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.core.calibration_figures import calibration_figures
from tasks.core.evaluation import (
    Scored,
    TierLogits,
    Yardstick,
    click_figures,
    golden_figures,
    kept_figures,
    kept_of_rarer_actions,
    paired_gain,
)
from tasks.core.intervals import bootstrap_mean
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import read_table
from tasks.core.training.scorer import CARD, Outputs
from tasks.exchange import (
    CUTS,
    LEDGER,
    LOGITS,
    SCORER,
    Domain,
    golden_rows,
    shown_rows,
    taught_goals,
)
from tasks.settings import CalibrationSettings, EvaluationSettings
from tasks.step import make, step

TIERS = ("policy_teacher", "click_teacher", "assistant", "student", "pruned_student")
BASELINES = ("policy_only", "click_only", "click_other_start")
Tiers = Mapping[str, tuple[Artifact | None, Artifact | None]]


@step
def measure_ledger(
    domain: Domain,
    tiers: Tiers,
    baselines: Artifact,
    impressions: Artifact | None,
    calibration: CalibrationSettings,
    settings: EvaluationSettings,
) -> Artifact:
    """Quality of every tier and baseline; ``tiers`` maps a role to (scorer, its evaluation)."""
    present = {
        role: (scorer, evaluated)
        for role, (scorer, evaluated) in tiers.items()
        if scorer is not None and evaluated is not None
    }

    def build(bench: Workbench) -> Counts:
        sealed, shown = golden_rows(domain, "sealed"), shown_rows(impressions, "held_out")
        loaded = {
            role: _tier(scorer, evaluated, len(sealed), clicks=bool(shown))
            for role, (scorer, evaluated) in present.items()
        }
        actions = loaded["policy_teacher"].outputs.actions if shown else ()
        yardstick = Yardstick.of(sealed, shown, actions, settings.n_resamples)
        others = _other_rankers(baselines, len(sealed), actions)
        figures = _figures(yardstick, loaded, others, calibration.bins)
        write_json(bench.out / LEDGER, figures)
        return {"tiers": len(figures["tiers"]), "queries": len({r["query_id"] for r in sealed})}

    upstream = [domain.golden, baselines, impressions]
    for scorer, evaluated in present.values():
        upstream += [scorer, evaluated]
    return make(
        "ledger",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json"),
            "bins": calibration.bins,
            "roles": [*present],
        },
        upstream=upstream,
    )


def _tier(scorer: Artifact, evaluated: Artifact, n_sealed: int, *, clicks: bool) -> TierLogits:
    card = json.loads((scorer.file(SCORER) / CARD).read_text(encoding="utf-8"))
    logits = np.array(read_table(evaluated.file(LOGITS))["logits"].to_pylist(), dtype=np.float32)
    taught = taught_goals(scorer)
    return TierLogits(
        golden=logits[:n_sealed],
        shown=logits[n_sealed:],
        outputs=Outputs(card["grade_count"], tuple(card["actions"]) if clicks else ()),
        knows_grades="grades" in taught,
        knows_actions="actions" in taught and clicks,
        calibration=card["calibration"],
        grade_cuts=evaluated.json(CUTS)["grade_cuts"],
    )


def _other_rankers(
    baselines: Artifact, n_sealed: int, actions: tuple[str, ...]
) -> dict[str, Scored]:
    table = read_table(baselines.file(LOGITS))
    found = {}
    for name in ("bm25", "embedding"):
        scores = np.array(table[name], dtype=np.float64)
        by_action = dict.fromkeys(actions, scores[n_sealed:])
        found[name] = Scored(scores[:n_sealed], by_action)
    return found


def _figures(
    yardstick: Yardstick, loaded: dict[str, TierLogits], others: dict[str, Scored], bins: int
) -> dict[str, Any]:
    scored = {role: tier.scored() for role, tier in loaded.items()}
    click_teacher = scored.get("click_teacher")
    tiers, curves = {}, {}
    for role in (role for role in TIERS if role in loaded):
        errors, curves[role] = calibration_figures(yardstick, loaded[role], n_bins=bins)
        tiers[role] = {
            "golden": golden_figures(yardstick, loaded[role]),
            "clicks": click_figures(yardstick, scored[role]),
            "calibration": errors,
            "kept": kept_figures(yardstick, scored[role], scored["policy_teacher"], click_teacher),
            "kept_actions": kept_of_rarer_actions(yardstick, scored[role], click_teacher),
        }
    rankers = others | {role: scored[role] for role in BASELINES if role in scored}
    baselines = {name: _baseline(yardstick, one) for name, one in rankers.items()}
    interval = bootstrap_mean(yardstick.chance().values, n_resamples=yardstick.n_resamples)
    baselines["random"] = {
        "ndcg_at_10": interval.value,
        "low": interval.low,
        "high": interval.high,
        "click_auc": 0.5 if yardstick.has_clicks else None,
    }
    gains = {
        role: {name: paired_gain(yardstick, scored[role], one) for name, one in rankers.items()}
        for role in ("student", "pruned_student")
        if role in scored
    }
    return {"tiers": tiers, "baselines": baselines, "reliability": curves, "gains": gains}


def _baseline(yardstick: Yardstick, scored: Scored) -> dict[str, Any]:
    interval = yardstick.ndcg_interval(scored.on_golden)
    auc = yardstick.auc("clicked", scored.on_clicks["clicked"]) if yardstick.has_clicks else None
    return {
        "ndcg_at_10": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n_queries": interval.n,
        "click_auc": auc.value if auc else None,
        "click_auc_interval": auc.to_json() if auc else None,
    }
