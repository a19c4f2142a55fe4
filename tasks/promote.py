"""Step: the gate split decides whether the candidate serves; the registry keeps what it says."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from tasks.click_gate import click_gain, lost_clicks, write_clicks
from tasks.core.domain.catalog import Catalog
from tasks.core.drift import TRAFFIC, describe
from tasks.core.fairness.gaps import GroupMetric
from tasks.core.fairness.gate import fairness_check
from tasks.core.intervals import Interval, bootstrap_mean
from tasks.core.promotion import Candidate, Gates, SingleGoal, decide
from tasks.core.query_slices import query_slices, slice_gains
from tasks.core.serving import Mix, ServedModel
from tasks.core.store.artifacts import Artifact, Counts, Workbench, store_root
from tasks.core.store.files import write_json
from tasks.core.store.registry import Registry
from tasks.core.store.settling import settle
from tasks.core.store.versions import Model
from tasks.core.tables import read_rows
from tasks.core.text import sanitize
from tasks.core.training.scorer import (
    CARD,
    PairScorer,
)
from tasks.exchange import (
    EFFECTS,
    FAIRNESS,
    MITIGATION,
    SCORER,
    SINGLE_GOALS,
    TRANSFER,
    Domain,
    golden_rows,
    taught_goals,
)
from tasks.gate_split import GATE, by_query, on_gate
from tasks.run import current_run
from tasks.settings import PromotionSettings
from tasks.step import make, step

GOAL_OF: dict[str, Literal["the policy teacher", "clicks"]] = {
    "policy_only": "the policy teacher",
    "click_only": "clicks",
}


@step
def promote(
    domain: Domain,
    transfer: Artifact,
    scorer: Artifact,
    effects: Artifact | None,
    gate: Artifact,
    single_goals: Artifact | None,
    fairness: Artifact | None,
    metrics: Artifact,
    impressions: Artifact | None,
    settings: PromotionSettings,
) -> dict[str, Any]:
    """Register the candidate, compare it with the model in service, promote, refuse or wait.

    Returns the report's promotion part: decision, whether it changes what serves, version, reasons.
    """
    registry = Registry(store_root() / current_run().domain / "registry")
    measured, gaps = gate.json(GATE), _gaps(fairness)
    traffic = _traffic(domain, transfer, scorer, settings.reference_pairs)
    files = {"scorer": scorer.file(SCORER), TRAFFIC: traffic.file(TRAFFIC)}
    if effects is not None:
        files["effects"] = effects.file(EFFECTS)
    if fairness is not None and fairness.file(MITIGATION).is_file():
        files[MITIGATION] = fairness.file(MITIGATION)
    version = registry.register(
        files, {"run": metrics.digest[:16], "gate": measured, **_pairs(gaps)}
    )
    current = registry.current()
    if current is not None and version in (current.version, current.card.get("scorer_of")):
        return _serves_already(version, current, registry.log())
    decision, reasons = decide(
        replace(
            _candidate(domain, impressions, gate, scorer, effects, current, settings),
            single_goals=_single_goals(single_goals),
        ),
        _gates(settings),
        approval_required=settings.approval == "required",
        fairness=fairness_check(
            gaps,
            tier=settings.served_role,
            limits=settings.fairness_limits,
            served_pairs=current.card.get("fairness_pairs", ()) if current else (),
            refuses=settings.fairness == "refuse",
        ),
    )
    compared = current.version if current else None
    decision, reasons = settle(
        registry, version, decision, reasons, compared_with=compared, by="run"
    )
    changed = decision == "promoted"
    return {"decision": decision, "changed": changed, "version": version, "reasons": reasons}


def _serves_already(version: str, current: Model, log: list[dict[str, Any]]) -> dict[str, Any]:
    """A refresh, or a member forgotten, changes the version in service and not whose scorer it is.

    Why it serves comes from the log: a run that was killed after its promotion made no report.
    """
    since = "" if version == current.version else f", as {current.version} with other effects"
    came = [
        f"It came into service on {one['at'][:10]}, by {sanitize(one['by'])}: "
        f"{sanitize(one['reason'])}"
        for one in log
        if (one["event"], one["version"]) == ("promoted", current.version)
    ]
    unchanged = f"This model is in service already{since}: nothing changed."
    return {
        "decision": "promoted",
        "changed": False,
        "version": current.version,
        "reasons": [unchanged, *came[-1:]],
    }


def _gates(settings: PromotionSettings) -> Gates:
    return Gates(
        minimum_kappa=settings.minimum_kappa,
        minimum_ndcg=settings.minimum_ndcg,
        minimum_kept_ndcg=settings.minimum_kept_ndcg,
        margin_ndcg=settings.margin_ndcg,
        margin_slice_ndcg=settings.margin_slice_ndcg,
        minimum_click_auc=settings.minimum_click_auc,
        margin_click_auc=settings.margin_click_auc,
        require_gain=settings.require_gain,
    )


def _candidate(
    domain: Domain,
    impressions: Artifact | None,
    gate: Artifact,
    scorer: Artifact,
    effects: Artifact | None,
    current: Model | None,
    settings: PromotionSettings,
) -> Candidate:
    """The candidate's figures, and what it gains on the model in service where there is one."""
    measured = gate.json(GATE)
    figures = {name: measured[name] for name in ("kappa", "ndcg", "kept_ndcg", "click_auc")}
    if current is None:
        return Candidate(**figures, gain=None)
    served = _served_gate(domain, impressions, current)
    mine, theirs = measured["ndcg_by_query"], served.json(GATE)["ndcg_by_query"]
    differences = {query: mine[query] - theirs[query] for query in sorted(mine)}
    how: dict[str, int] = {"n_resamples": settings.n_resamples, "seed": settings.seed}
    kinds = query_slices(golden_rows(domain, "gate"))
    return Candidate(
        **figures,
        gain=bootstrap_mean(np.array(list(differences.values())), **how),
        slices=slice_gains(differences, kinds, margin=settings.margin_slice_ndcg, **how),
        click_gain=click_gain(impressions, gate, served, **how),
        lost=lost_clicks(
            current,
            actions=_card(scorer)["actions"],
            taught=taught_goals(scorer),
            has_effects=effects is not None,
        ),
    )


def _single_goals(measured: Artifact | None) -> tuple[SingleGoal, ...]:
    """In the report's words; none where the candidate has no mix of goals."""
    found = measured.json(SINGLE_GOALS) if measured else {}
    return tuple(
        SingleGoal(
            goal,
            Interval(**found[name]["ndcg_at_10"]),
            Interval(**found[name]["click_auc"]) if found[name]["click_auc"] else None,
        )
        for name, goal in GOAL_OF.items()
        if name in found
    )


def _gaps(fairness: Artifact | None) -> list[GroupMetric] | None:
    """The candidate's gaps between groups on the gate split; None where nothing states groups."""
    if fairness is None:
        return None
    return [GroupMetric(**row) for row in fairness.json(FAIRNESS)["gate"]]


def _pairs(gaps: list[GroupMetric] | None) -> dict[str, list[str]]:
    """What the next candidate must be measured on too."""
    return {"fairness_pairs": sorted({gap.group_pair for gap in gaps or []})}


def _card(scorer: Artifact) -> dict[str, Any]:
    card: dict[str, Any] = scorer.json(f"{SCORER}/{CARD}")
    return card


def _served_gate(domain: Domain, impressions: Artifact | None, current: Model) -> Artifact:
    """The model in service, held to grades and clicks of today and not of its own day."""

    def build(bench: Workbench) -> Counts:
        rows, scorer = golden_rows(domain, "gate"), current.file("scorer")
        ndcg = on_gate(domain, scorer, rows).ndcg(rows)
        write_json(bench.out / GATE, {"ndcg_by_query": by_query(ndcg)})
        write_clicks(bench, domain, impressions, scorer)
        return {"pairs": len(rows), "queries": len(ndcg.query_ids)}

    return make(
        "served_gate",
        build,
        module=__name__,
        upstream=[domain.golden, domain.catalog, impressions],
        outside={"model": current.manifest_sha256},
    )


def _traffic(domain: Domain, transfer: Artifact, scorer: Artifact, pairs: int) -> Artifact:
    """What training pairs look like to the candidate: later traffic is compared with it."""

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))
        sample = rows[:: max(1, len(rows) // pairs)][:pairs]
        model = ServedModel(
            "candidate", PairScorer.load(scorer.file(SCORER), for_scoring=True), effects=None
        )
        scored = model.score(sample, Catalog.load(domain.catalog.folder), Mix())
        write_json(bench.out / TRAFFIC, describe(scored))
        return {"pairs": len(sample)}

    return make(
        "traffic_reference",
        build,
        module=__name__,
        settings={"pairs": pairs},
        upstream=[domain.catalog, transfer, scorer],
    )
