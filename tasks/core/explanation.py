"""Where a pair's score comes from: the model's parts of it, and all that the model came of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.domain.catalog import Catalog
from tasks.core.domain.readers import read_json_lines
from tasks.core.errors import CookbookError
from tasks.core.inspection import FinishedRun
from tasks.core.policy import parse_policy
from tasks.core.serving import Mix, ServedModel
from tasks.core.store.versions import Model
from tasks.core.tables import Row, iterate_rows
from tasks.core.text import pair_id as id_of
from tasks.core.training.scorer import CARD, grade_probabilities

ASKED = ("pair_id", "query_id", "query", "member_id", "doc_id")
_LONG = ("title", "text")


def scored_line(scores: Path, pair_id: str) -> Row | None:
    """The line of a pair in a file that ``cookbook score`` wrote, or None."""
    if not scores.is_file():
        return None
    for _, row in read_json_lines(scores):
        ids = (row.get("query_id"), row.get("member_id"), row.get("doc_id"))
        if ids[0] and ids[2] and id_of(str(ids[0]), ids[1], str(ids[2])) == pair_id:
            return {"member_id": "", **row, "pair_id": pair_id}
    return None


def explain(
    run: FinishedRun,
    pair_id: str,
    *,
    model: Model | None = None,
    catalog: Catalog | None = None,
    scored: Row | None = None,
) -> dict[str, Any]:
    """All that is known of a pair's score: its parts, label, clauses, judge, teachers, lineage.

    Args:
        run: the run that made the model.
        model: the version whose score is explained; without one, what the run recorded alone.
        catalog: documents and members of today.
        scored: the pair's line in a file of scores, for a pair that the run did not see.

    Raises:
        CookbookError: neither the run nor the line knows the pair, or the artifacts are gone.
    """
    label = _find(run, "judgments", "judgments.parquet", pair_id)
    golden = _find(run, "golden", "golden.parquet", pair_id)
    taught = _find(run, "transfer_set", "transfer.parquet", pair_id)
    pair = scored or label or golden or taught
    if pair is None:
        raise CookbookError(
            f"A pair is one that the run labeled, or a line of scores; {pair_id!r} is neither. "
            "Take a pair_id of a file that `cookbook score` wrote, and name it by --scores."
        )
    score = None if model is None or catalog is None else _score(model, pair, scored, catalog)
    return {
        "pair": {name: pair.get(name) for name in ASKED},
        "score": score,
        "label": label and {name: v for name, v in label.items() if name not in (*ASKED, *_LONG)},
        "clauses": _clauses(run, label),
        "golden": golden and {"grade": golden["grade"], "split": golden["split"]},
        "teachers": _teachers(run, pair_id),
        "lineage": lineage(run, model),
    }


def lineage(run: FinishedRun, model: Model | None) -> dict[str, Any]:
    """What the run's models were made of: policy, judge, data, code, and each step's digest."""
    data: dict[str, str] = {}
    steps: dict[str, list[str]] = {}
    for entry in run.report["lineage"]:
        steps.setdefault(entry["step"], []).append(entry["digest"])
        path = run.store / "artifacts" / entry["step"] / entry["digest"] / "manifest.json"
        if path.is_file():
            data |= _json(path)["key"]["outside"]
    return {
        "model": None if model is None else model.version,
        "effects_refreshed_from": None if model is None else model.card.get("made_from"),
        "effects_refreshed_by": None if model is None else model.card.get("refreshed_by"),
        "run": run.report["run_key"],
        "policy_version": run.report["policy_version"],
        "judge": {name: run.report["judge"][name] for name in ("name", "prompt", "kappa")},
        "data_sha256": data,
        "commit": run.report["environment"].get("commit"),
        "lock_sha256": run.manifest["lock"],
        "steps": steps,
    }


def _score(model: Model, pair: Row, scored: Row | None, catalog: Catalog) -> dict[str, Any] | None:
    """What the line says, or else what the model says now; click logit's parts, and the text."""
    if pair["doc_id"] not in catalog.documents and not {"title", "text"} <= pair.keys():
        return None
    served = ServedModel.load(model)
    # A title and a text that are given are the candidate's, even where one is empty.
    asked = {name: pair[name] for name in (*ASKED, "attributes") if pair.get(name)}
    asked |= {name: pair[name] for name in _LONG if name in pair}
    found = scored or served.score([asked], catalog, Mix())[0]
    shown = {name: value for name, value in found.items() if name not in asked and value != ""}
    return {
        **shown,
        "click_logit": served.click_parts(asked, catalog),
        "read": served.text_read(asked, catalog),
    }


def _clauses(run: FinishedRun, label: Row | None) -> dict[str, str]:
    """The clauses that the judge cited, as the policy of that run words them."""
    cited = set(label["clauses"]) if label else set()
    folders = run.folders("policy") if cited else []
    clauses = parse_policy(folders[0] / "policy.md").clauses if folders else ()
    return {clause.id: clause.text for clause in clauses if clause.id in cited}


def _teachers(run: FinishedRun, pair_id: str) -> dict[str, Any]:
    """What each teacher said of the pair: raw logits, and what they mean for what it teaches."""
    goals = {one["name"]: one["kind"] for one in run.manifest["settings"]["student"]["teachers"]}
    found = {}
    for said, name, card in _said(run):
        row = _row([said], "shard-*.parquet", pair_id)
        # Retrieval's order is no model's: it stands with the pair.
        if row is not None and name in goals:
            shown = f"{name}_teacher" if name in ("policy", "click") else name
            found[shown] = _meaning(row["logits"], card, goals[name])
    return found


def _said(run: FinishedRun) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Folders of soft labels, each with its teacher's name among the settings' and its card."""
    for folder in run.folders("click_words"):
        (impressions,) = run.folders("impressions")
        yield folder, "words", _json(impressions / "propensities.json")
    digests = {entry["digest"]: entry["step"] for entry in run.report["lineage"]}
    for entry in run.report["lineage"]:
        if entry["step"] != "soft_labels":
            continue
        for digest in entry["inputs"]:
            if not (step := digests.get(digest, "")).endswith("_teacher"):
                continue
            teacher = run.store / "artifacts" / step / digest
            name = step.removesuffix("_teacher")
            if step == "further_teacher":
                name = _json(teacher / "manifest.json")["key"]["settings"]["name"]
            soft_labels = run.store / "artifacts" / "soft_labels" / entry["digest"]
            yield soft_labels, name, _json(teacher / "scorer" / CARD)


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _meaning(logits: list[float], card: dict[str, Any], goal: str) -> dict[str, Any]:
    """Probabilities of what it was taught: rows that were not taught mean nothing."""
    actions = card["actions"]
    raw = np.array([logits], dtype=np.float64)
    grades = raw.shape[1] - len(actions)
    if goal == "actions":
        probabilities = 1 / (1 + np.exp(-raw[0, grades:]))
        return {"action_probabilities": dict(zip(actions, probabilities.tolist(), strict=True))}
    return {"grade_probabilities": grade_probabilities(raw, grades)[0].tolist()}


def _find(run: FinishedRun, kind: str, name: str, pair_id: str) -> Row | None:
    folders = run.folders(kind)
    if gone := [folder for folder in folders if not folder.is_dir()]:
        raise CookbookError(
            f"A score is explained from what its run made, and {gone[0]} was removed (`cookbook "
            "clean`, `cookbook forget`). Run `cookbook run` again, and explain that model's score."
        )
    return _row(folders, name, pair_id)


def _row(folders: list[Path], name: str, pair_id: str) -> Row | None:
    paths = (path for folder in folders for path in sorted(folder.glob(name)))
    rows = (row for path in paths for row in iterate_rows(path))
    return next((row for row in rows if row["pair_id"] == pair_id), None)
