"""Step: everything measured, as report.json for tools and report.html for people."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.distillation.tradeoff import MeasuredStudent, front
from tasks.core.environment import environment, lock_sha256
from tasks.core.intervals import Interval
from tasks.core.policies.parse import parse_policy
from tasks.core.report.html import render_html
from tasks.core.report.schema import validate_report
from tasks.core.store.artifacts import Artifact, store_root
from tasks.core.store.files import digest_of, file_sha256, sync_folder, write_atomically, write_json
from tasks.core.store.retention import clear_expired
from tasks.core.training.scorer import CARD
from tasks.exchange import (
    BIASES,
    CALLS,
    CANARIES,
    CONFLICTS,
    EMBEDDED_JUDGE,
    FAIRNESS,
    LEDGER,
    MIX,
    PERSONALIZATION,
    POLICY,
    PROPENSITIES,
    PROVENANCE,
    SCORER,
    SPEED,
    TOP_WORDS,
    VERDICT,
    Domain,
)
from tasks.label_records import read_labeling
from tasks.run import Run, current_run
from tasks.settings import Settings
from tasks.step import step

Tiers = Mapping[str, tuple[Artifact | None, Artifact | None]]


@step
def report(
    settings: Settings,
    domain: Domain,
    verdict: Artifact,
    judgments: Artifact,
    impressions: Artifact | None,
    tiers: Tiers,
    ledger: Artifact,
    effects: Artifact | None,
    fairness: Artifact | None,
    promotion: dict[str, Any],
    conflicts: Artifact | None = None,
    mix: Artifact | None = None,
    biases: Artifact | None = None,
) -> dict[str, Any]:
    """Write the run's folder and point ``latest`` at it; returns the content of report.json."""
    run = current_run()
    figures = ledger.json(LEDGER)
    content = {
        "run_key": digest_of([artifact.digest for artifact in run.artifacts])[:16],
        "profile": settings.profile,
        "domain": run.domain,
        **_policy(domain),
        **_provenance(domain),
        "judge": _judge(settings, verdict),
        "labels": _labels(judgments) | _people_grades(run),
        "labeling": read_labeling(judgments),
        "tiers": _tiers(tiers, figures),
        "served_role": settings.promotion.served_role,
        "baselines": figures["baselines"],
        "tradeoff": _mixes(mix) if mix else _tradeoff(settings, figures),
        "mix": mix.json(MIX) if mix else None,
        "conflicts": conflicts.json(CONFLICTS) if conflicts else None,
        "biases": biases.json(BIASES) if biases else None,
        "gains": figures["gains"],
        "personalization": effects.json(PERSONALIZATION) if effects else None,
        **_fairness(fairness),
        "promotion": promotion,
        "seconds_by_step": {
            kind: round(sum(one.seconds for one in made), 3) for kind, made in _by_kind(run).items()
        },
        "environment": environment(),
        "skipped": run.skipped,
        "reliability": figures["reliability"],
        "propensities": _propensities(impressions),
        "propensity_method": impressions.json(PROPENSITIES)["method"] if impressions else None,
        "click_words": _click_words(run),
        "lineage": _lineage(run),
    }
    validate_report(content)
    _write(run, settings, content)
    if settings.retention_days is not None:
        clear_expired(run.store, days=settings.retention_days, say=run.say, unattended=True)
    return content


def _by_kind(run: Run) -> dict[str, list[Artifact]]:
    """The run's artifacts by kind, in the order made: soft labels exist once per teacher."""
    found: dict[str, list[Artifact]] = {}
    for artifact in run.artifacts:
        found.setdefault(artifact.kind, []).append(artifact)
    return found


def _policy(domain: Domain) -> dict[str, Any]:
    policy = parse_policy(domain.policy.file(POLICY))
    counts = {
        "name": policy.name,
        "version": policy.version,
        "dimensions": len(policy.dimensions),
        "clauses": len(policy.clauses),
        "precedents": len(policy.precedents),
    }
    return {"policy_version": policy.version, "policy": counts}


def _provenance(domain: Domain) -> dict[str, Any]:
    """Where the data comes from, if its card says so: simulated data must be called that."""
    return domain.data_card.json(PROVENANCE) if domain.data_card else {}


def _judge(settings: Settings, verdict: Artifact) -> dict[str, Any]:
    found, is_llm = verdict.json(VERDICT), settings.judge.kind == "endpoint"
    prompt, canaries = found.pop("prompt", None), verdict.file(CANARIES)
    return {
        "name": settings.judge.model if is_llm else EMBEDDED_JUDGE,
        "is_llm": is_llm,
        "by_grade": found.pop("confusion"),
        **found,
        "prompt": {"name": prompt["name"]} if prompt else None,
        "canaries": verdict.json(CANARIES) if canaries.exists() else None,
        "gate_reads": _reads("verdict"),
        "sealed_reads": _reads("ledger"),
    }


def _reads(kind: str) -> int:
    """How often golden grades were looked at for such an artifact, over the store's life."""
    return len(list(store_root().glob(f"artifacts/{kind}/*/manifest.json")))


def _labels(judgments: Artifact) -> dict[str, float]:
    """Counts of this run: labels found in the store were not asked for again."""
    calls = judgments.json(CALLS)
    counted = {name: float(value) for name, value in calls.items()}
    if judgments.reused:
        nothing = dict.fromkeys(("calls", "billed_calls", "spent_usd", "possibly_billed"), 0.0)
        counted |= nothing | {"reused": counted["labelled"]}
    return counted


def _people_grades(run: Run) -> dict[str, float]:
    made = _by_kind(run).get("people_grades", [])
    return {"people_grades": float(made[-1].counts["pairs"])} if made else {}


def _click_words(run: Run) -> dict[str, Any] | None:
    made = _by_kind(run).get("click_words", [])
    return made[-1].json(TOP_WORDS) if made else None


def _tiers(tiers: Tiers, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for role, measured in figures["tiers"].items():
        scorer, evaluated = tiers[role]
        assert scorer is not None and evaluated is not None
        folder = scorer.file(SCORER)
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        rows.append(
            {
                "role": role,
                "base_model": card["base_model"],
                "parameters": card["parameters"],
                "bytes": (folder / "model.safetensors").stat().st_size,
                **measured,
                **evaluated.json(SPEED),
            }
        )
    order = ("policy_teacher", "click_teacher", "assistant", "student", "pruned_student")
    return sorted(rows, key=lambda row: order.index(row["role"]))


def _mixes(mix: Artifact) -> list[dict[str, Any]]:
    """The students that were tried, with their rules for conflicts, as measured on tune."""
    found = mix.json(MIX)
    points = [
        {
            **{name: value for name, value in one.items() if name != "name"},
            "chosen": one["name"] == found["chosen"],
        }
        for one in found["students"]
    ]
    return sorted(points, key=lambda point: point["alpha"])


def _tradeoff(settings: Settings, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Relevance against clicks by alpha: the single-teacher students are its two ends."""
    students = {role: one for role, one in figures["tiers"].items() if role == "student"}
    points = []
    if "student" in students and students["student"]["clicks"]:
        golden = students["student"]["golden"]
        ndcg = {"value": golden["ndcg_at_10"], "n": golden["n_queries"]}
        points.append(
            {
                "alpha": settings.student.alpha,
                "ndcg_at_10": ndcg | {"low": golden["low"], "high": golden["high"]},
                "click_auc": students["student"]["clicks"]["clicked"],
                "chosen": True,
            }
        )
    for role, alpha in (("click_only", 0.0), ("policy_only", 1.0)):
        one = figures["baselines"].get(role)
        if one and one["click_auc_interval"]:
            ndcg = {"value": one["ndcg_at_10"], "low": one["low"], "high": one["high"]}
            points.append(
                {
                    "alpha": alpha,
                    "ndcg_at_10": ndcg | {"n": one["n_queries"]},
                    "click_auc": one["click_auc_interval"],
                    "chosen": False,
                }
            )
    return _with_front(points)


def _with_front(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By alpha, each marked whether it is on the front."""
    goals = ("ndcg_at_10", "click_auc")
    students = [
        MeasuredStudent(
            str(number), one["alpha"], "none", *(Interval(**one[goal]) for goal in goals)
        )
        for number, one in enumerate(points)
    ]
    best = {one.name for one in front(students)}
    marked = [one | {"on_front": str(number) in best} for number, one in enumerate(points)]
    return sorted(marked, key=lambda point: float(point["alpha"]))


def _fairness(fairness: Artifact | None) -> dict[str, Any]:
    if fairness is None:
        return {"fairness": None, "dataset_fairness": None}
    found = fairness.json(FAIRNESS)
    return {"dataset_fairness": found.pop("dataset"), "fairness": found}


def _propensities(impressions: Artifact | None) -> dict[str, Any]:
    """How often each position is looked at; nothing where the log did not tell."""
    found = impressions.json(PROPENSITIES) if impressions else None
    if found is None or found["method"] == "not_estimated":
        return {}
    columns = zip(found["positions"], found["values"], found["low"], found["high"], strict=True)
    return {
        str(position): {"value": value, "low": low, "high": high}
        for position, value, low, high in columns
    }


def _lineage(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "step": artifact.kind,
            "digest": artifact.digest[:16],
            "inputs": [digest[:16] for digest in artifact.inputs],
            "seconds": artifact.seconds,
            "counts": artifact.counts,
            "reused": artifact.reused,
        }
        for artifact in run.artifacts
    ]


def _write(run: Run, settings: Settings, content: dict[str, Any]) -> None:
    """report.json, report.html and the manifest in a folder of the run; then the link."""
    parent = run.store / run.domain
    folder = parent / "finished" / content["run_key"]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", content)
    write_atomically(folder / "report.html", render_html(content).encode())
    manifest = {
        "settings": settings.model_dump(mode="json"),
        "artifacts": {
            kind: [one.content_digest for one in made] for kind, made in _by_kind(run).items()
        },
        "files": {name: file_sha256(folder / name) for name in ("report.json", "report.html")},
        "lock": lock_sha256(),
    }
    write_json(folder / "manifest.json", manifest)
    link = parent / f".latest.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("finished") / content["run_key"])
    link.replace(parent / "latest")
    sync_folder(parent)
