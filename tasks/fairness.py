"""Step: do groups of members or documents fare differently, before training and at each tier?

Groups stay on this machine: no prompt, label request, training feature or log holds them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.fairness.attributes import group_sizes, small_groups
from tasks.core.fairness.comparisons import Resampling, compare_groups
from tasks.core.fairness.dataset import dataset_fairness
from tasks.core.fairness.evidence import Evidence, PersonalOutputs, TierOutputs, row_groups
from tasks.core.fairness.mitigation import EqualOpportunityMap, save_map
from tasks.core.fairness.mitigation_cost import fit_mitigation, measure_mitigation
from tasks.core.fairness.summaries import summarize_served
from tasks.core.fairness.twin_pairs import TwinPairs, twin_report
from tasks.core.policies.parse import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import read_rows, read_table
from tasks.core.training.scorer import CARD, PairScorer
from tasks.exchange import (
    FAIRNESS,
    GATE_GRADES,
    GATE_SCORES,
    LOGITS,
    MITIGATION,
    PERSONAL_SCORES,
    POLICY,
    SCORER,
    TWIN_GRADES,
    Domain,
    golden_rows,
    personal_rows,
    shown_rows,
)
from tasks.run import current_run
from tasks.settings import FairnessSettings, MitigationSettings
from tasks.step import make, step

Tiers = dict[str, tuple[Artifact, Artifact]]
NO_GROUPS = "neither members nor documents state groups"
NO_TWINS = "no golden pair has a member with a text, or twin_pairs is 0"
NO_MITIGATION = "no two groups of documents have enough clicks to fit one"


@step
def measure_fairness(
    domain: Domain,
    tiers: Mapping[str, tuple[Artifact | None, Artifact | None]],
    served: str,
    verdict: Artifact,
    gate: Artifact,
    impressions: Artifact | None,
    effects: Artifact | None,
    judged_twins: Artifact | None,
    settings: FairnessSettings,
) -> Artifact | None:
    """Gaps between groups at the judge, every tier and the effects; twins; what mending costs.

    ``tiers`` maps a role to (scorer, its evaluation); ``served`` is the role that serves;
    ``judged_twins`` are the judge's answers, where it was asked.
    """
    known: Tiers = {role: (a, b) for role, (a, b) in tiers.items() if a is not None and b}
    rows = golden_rows(domain, "sealed")
    if not any(row_groups(Catalog.load(domain.catalog.folder), rows)):
        current_run().skip("fairness", NO_GROUPS)
        return None

    def build(bench: Workbench) -> Counts:
        evidence = _evidence(domain, known, served, verdict, gate, impressions, effects)
        content = _content(evidence, known, judged_twins, settings)
        content["mitigation"], applied = _mitigation(evidence, settings)
        if applied is not None:
            save_map(applied, bench.out / MITIGATION)
        write_json(bench.out / FAIRNESS, content)
        return {"comparisons": len(content["metrics"])}

    made = make(
        "fairness",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "roles": [*known], "served": served},
        upstream=[
            *(domain.policy, domain.golden, domain.catalog, verdict, gate, impressions, effects),
            judged_twins,
            *(artifact for pair in known.values() for artifact in pair),
        ],
    )
    for part, reason in (("twins", NO_TWINS), ("mitigation", NO_MITIGATION)):
        if made.json(FAIRNESS)[part] is None:
            current_run().skip(f"fairness {part}", reason)
    return made


def _content(
    evidence: Evidence, tiers: Tiers, judged_twins: Artifact | None, settings: FairnessSettings
) -> dict[str, Any]:
    """The report's fairness part, and what the promotion's gate asks."""
    least, n_resamples = settings.minimum_group_clusters, settings.n_resamples
    how: Resampling = {
        "n_resamples": n_resamples,
        "seed": settings.seed,
        "minimum_clusters": least,
    }
    found = compare_groups(evidence, how)
    queries = np.array([row["query_id"] for row in evidence.sealed])
    return {
        "groups": group_sizes(evidence.sealed_groups),
        "small_groups": small_groups(evidence.sealed_groups, queries, minimum_clusters=least),
        "metrics": [asdict(one) for one in found.gaps],
        "growth": [asdict(one) | {"wider": one.wider} for one in found.growth],
        "twins": _twins(evidence, tiers, judged_twins, settings),
        **summarize_served(evidence, how),
        "gate": [asdict(one) for one in found.gate],
        "dataset": _before_training(evidence),
    }


def _mitigation(
    evidence: Evidence, settings: FairnessSettings
) -> tuple[dict[str, Any] | None, EqualOpportunityMap | None]:
    """What mending values would cost, by attribute and dial; the map that serves, if any."""
    maps = fit_mitigation(evidence, minimum_positives=settings.minimum_positives)
    applied = _applied(maps, settings.mitigation)
    cost = measure_mitigation(
        evidence,
        maps,
        settings.mitigation_dials,
        applied=applied,
        n_resamples=settings.n_resamples,
    )
    return cost, applied


def _applied(
    maps: Sequence[EqualOpportunityMap], settings: MitigationSettings
) -> EqualOpportunityMap | None:
    """The map that serves, at its dial; None where the settings ask for none.

    Raises:
        CookbookError: it was asked for and could not be fitted; the candidate is not served as is.
    """
    if settings.attribute is None:
        return None
    for one in maps:
        if one.attribute == settings.attribute:
            return one.with_dial(settings.strength)
    fitted = ", ".join(one.attribute for one in maps) or "none"
    raise CookbookError(
        f"fairness.mitigation asks to mend values between groups of {settings.attribute!r}, and "
        f"the attributes of documents with two groups of enough clicks are: {fitted}. Name one of "
        "these, bring more clicks, or leave the attribute out."
    )


def _evidence(
    domain: Domain,
    tiers: Tiers,
    served: str,
    verdict: Artifact,
    gate: Artifact,
    impressions: Artifact | None,
    effects: Artifact | None,
) -> Evidence:
    policy, rows = parse_policy(domain.policy.file(POLICY)), golden_rows(domain, "gate")
    top_grade = policy.grade_count - 1
    judged = {row["pair_id"]: row["grade"] for row in read_rows(verdict.file(GATE_GRADES))}
    grades = np.array([judged.get(row["pair_id"], np.nan) for row in rows], dtype=np.float64)
    scores = read_table(gate.file(GATE_SCORES))
    sealed = golden_rows(domain, "sealed")
    return Evidence(
        Catalog.load(domain.catalog.folder),
        policy.middle_grade,
        top_grade,
        served,
        sealed,
        rows,
        {
            "judge": grades / top_grade,
            "policy_teacher": np.array(scores["policy_teacher"], dtype=np.float64),
            served: np.array(scores["served"], dtype=np.float64),
        },
        shown_rows(impressions, "held_out"),
        shown_rows(impressions, "train"),
        {role: _outputs(*pair, len(sealed)) for role, pair in tiers.items()},
        _personal(impressions, effects),
    )


def _outputs(scorer: Artifact, evaluated: Artifact, n_sealed: int) -> TierOutputs:
    card = json.loads((scorer.file(SCORER) / CARD).read_text(encoding="utf-8"))
    logits = _logits(evaluated, LOGITS)
    return TierOutputs(
        logits[:n_sealed], logits[n_sealed:], card["grade_count"], card["calibration"]
    )


def _personal(impressions: Artifact | None, effects: Artifact | None) -> PersonalOutputs | None:
    if impressions is None or effects is None:
        return None
    fitting, later = personal_rows(impressions)
    scores = read_table(effects.file(PERSONAL_SCORES), ["personal"])
    personal = np.array(scores["personal"], dtype=np.float64)[len(fitting) :]
    return PersonalOutputs(fitting, later, _logits(effects, PERSONAL_SCORES), personal)


def _logits(artifact: Artifact, name: str) -> npt.NDArray[np.float32]:
    column = read_table(artifact.file(name), ["logits"])["logits"]
    return np.array(column.to_pylist(), dtype=np.float32)


def _twins(
    evidence: Evidence, tiers: Tiers, judged: Artifact | None, settings: FairnessSettings
) -> dict[str, Any] | None:
    """Twins of sealed pairs, told to the judge, the policy teacher and the tier that serves."""
    pairs = TwinPairs.draw(
        evidence.sealed, evidence.catalog, settings.twin_pairs, seed=settings.seed
    )
    scores: dict[str, npt.NDArray[np.float64]] = {}
    if judged is not None:
        grades = np.array(read_table(judged.file(TWIN_GRADES))["relevance"], dtype=np.float64)
        # All tiers are compared on the same twins: those that the judge answered both times.
        answered = np.isfinite(grades.reshape(2, -1).sum(axis=0))
        pairs, scores["judge"] = pairs.take(answered), grades[np.tile(answered, 2)]
    if not pairs.rows:
        return None
    for role in ("policy_teacher", evidence.served):
        scorer = PairScorer.load(tiers[role][0].file(SCORER), for_scoring=True)
        logits = scorer.logits(pairs.texts(scorer.template))
        scores[role] = evidence.tiers[role].relevance(logits)
    found = {
        role: pairs.measured(role, one, n_resamples=settings.n_resamples)
        for role, one in scores.items()
    }
    return twin_report(
        pairs, found, teachers={"policy_teacher": "judge", evidence.served: "policy_teacher"}
    )


def _before_training(evidence: Evidence) -> list[dict[str, Any]]:
    """Measures on golden grades and clicks, before anything trains on them."""
    grades = np.array([row["grade"] for row in evidence.sealed], dtype=np.float64)
    found = dataset_fairness(
        grades,
        evidence.sealed_groups,
        target="golden grade",
        positive_from=float(evidence.middle_grade),
    )
    if evidence.trained:
        clicks = np.array([row["clicked"] for row in evidence.trained], dtype=np.float64)
        groups = row_groups(evidence.catalog, evidence.trained)
        found += dataset_fairness(clicks, groups, target="click")
    return [asdict(metric) for metric in found]
