"""Steps: prepare the judge and hold it against golden data before it may label."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from tasks.asking import (
    MODEL,
    PROMPT,
    golden_pair,
    label_request,
    open_judge,
    open_llm,
)
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.labeling.canary import (
    CanaryReading,
    check_canaries,
    choose_canaries,
    read_canaries,
)
from tasks.core.labeling.embedded_model import fit_embedded_model
from tasks.core.labeling.examination import Checks, Examination, examine
from tasks.core.labeling.judge import GoldenPair, Judge
from tasks.core.labeling.outcomes import Progress
from tasks.core.labeling.prompt_search import affordable_pairs, prompt_candidates, search_prompts
from tasks.core.labeling.prompts import DEFAULT_PROMPT
from tasks.core.labeling.slices import silence_by_slice, silence_warnings
from tasks.core.labeling.weaknesses import JudgeLimits
from tasks.core.policies.parse import parse_policy
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, columns_of, write_table
from tasks.core.training.base_models import BaseModel
from tasks.exchange import CANARIES, GATE_GRADES, POLICY, VERDICT, Domain, golden_rows
from tasks.run import current_run
from tasks.settings import BaseModelSettings, JudgeSettings
from tasks.step import make, step

UNCHECKED = (
    "the embedded judge reads no prompt and cannot change under its name: prompt search, wobble, "
    "hostile twins and canaries are for an LLM"
)


@step
def prepare_judge(domain: Domain, encoder: BaseModelSettings, settings: JudgeSettings) -> Artifact:
    """Fit the embedded judge on the tune split, or search there for an LLM's best prompt."""
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        rows = golden_rows(domain, "tune")
        if settings.kind == "endpoint":
            with open_llm(domain, settings, run=bench.digest) as judge:
                found = _search(judge, _golden_pairs(catalog, rows, settings), settings)
            write_json(bench.out / PROMPT, found)
            return {"looks": found["search"]["looks"] if found["search"] else 0}
        model = fit_embedded_model(
            TextEncoder.of(base),
            [golden_pair(catalog, row, settings) for row in rows],
            np.array([row["grade"] for row in rows]),
            len(parse_policy(domain.policy.file(POLICY)).grades),
            catalog.retrieval_texts(),
        )
        model.save(bench.out / MODEL)
        return {"golden_pairs": len(rows)}

    return make(
        "judge",
        build,
        module=__name__,
        settings=_described(settings, base),
        upstream=[domain.policy, domain.golden, domain.catalog],
    )


@step
def validate_judge(
    domain: Domain, judge: Artifact, encoder: BaseModelSettings, settings: JudgeSettings
) -> Artifact:
    """Grade the gate split and compare with people; try an LLM's patience and credulity.

    Raises:
        CookbookError: the judge is below the floor, so that nothing may be labeled with it.
    """
    if settings.kind == "embedded":
        current_run().skip("judge_checks", UNCHECKED)

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        with open_judge(domain, judge, encoder, settings) as asked:
            found = _examined(domain, catalog, asked, settings)
            if asked.endpoint.is_llm and found.verdict.passed and settings.checks.canary_pairs:
                reading = _read_canaries(domain, catalog, asked, settings, on=_today())
                # What a judge says depends on the day, so it is no part of the content digest.
                write_json(bench.out / CANARIES, asdict(reading))
            prompt = judge.json(PROMPT) if asked.endpoint.is_llm else {}
        silence = _silence(catalog, golden_rows(domain, "gate"), found)
        write_json(bench.out / VERDICT, prompt | found.to_json() | {"silence": silence})
        graded = [{"pair_id": pair, "grade": grade} for pair, grade in found.grades.items()]
        write_table(bench.out / GATE_GRADES, columns_of(graded))
        passed = int(found.verdict.passed)
        return {"pairs": len(graded), "passed": passed, "gate_calls": found.calls}

    artifact = make(
        "verdict",
        build,
        module=__name__,
        settings=settings,
        upstream=[domain.policy, domain.golden, domain.catalog, judge],
    )
    verdict = artifact.json(VERDICT)
    for warning in verdict["silence"]:
        current_run().say(warning)
    if not verdict["passed"]:
        raise CookbookError(
            f"Labeling needs a judge that agrees with people. {verdict['reason']} Nothing was "
            f"labeled. Improve the policy or the judge, or grade more golden pairs."
        )
    return artifact


@step
def watch_canaries(
    domain: Domain,
    judge: Artifact,
    verdict: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
) -> Artifact | None:
    """Ask an LLM about a few golden pairs again on each day that a run takes place.

    Raises:
        CookbookError: it grades them worse than when it passed; the model has changed.
    """
    if settings.kind != "endpoint" or not settings.checks.canary_pairs:
        return None
    today = _today()

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        with open_judge(domain, judge, encoder, settings) as asked:
            reading = _read_canaries(domain, catalog, asked, settings, on=today)
        write_json(bench.out / CANARIES, asdict(reading))
        return {"pairs": reading.pairs}

    artifact = make(
        "canaries",
        build,
        module=__name__,
        settings=settings,
        upstream=[domain.policy, domain.golden, domain.catalog, judge, verdict],
        outside={"day": today.isoformat()},
    )
    first, now = (CanaryReading(**one.json(CANARIES)) for one in (verdict, artifact))
    check_canaries(first, now, max_exact_drop=settings.checks.canary_drop)
    return artifact


def _described(settings: JudgeSettings, base: BaseModel) -> dict[str, Any]:
    """What makes it this judge and no other; an endpoint's address and limits do not."""
    sent = {"kind": settings.kind, "sent_attributes": settings.sent_attributes}
    if settings.kind == "embedded":
        return sent | {"encoder": base.fingerprint()}
    return sent | {
        "model": settings.model,
        "pinned_model": settings.pinned_model,
        "answers": settings.answers.model_dump(mode="json"),
        "prompt_search_calls": settings.checks.prompt_search_calls,
        "seed": settings.seed,
    }


def _search(judge: Judge, tune: Sequence[GoldenPair], settings: JudgeSettings) -> dict[str, Any]:
    """The prompt to ask with, and what finding it took; the plain one where nothing is searched."""
    calls = settings.checks.prompt_search_calls
    if not calls:
        return {"prompt": asdict(DEFAULT_PROMPT), "search": None}
    candidates = prompt_candidates(judge.policy)
    pairs = affordable_pairs(tune, len(candidates), calls, seed=settings.seed)
    found = search_prompts(judge, candidates, pairs, max_calls=calls, seed=settings.seed)
    return {"prompt": asdict(found.best), "search": found.to_json()}


def _examined(
    domain: Domain, catalog: Catalog, judge: Judge, settings: JudgeSettings
) -> Examination:
    rows = golden_rows(domain, "gate")
    raters = np.array([row["raters"] for row in rows], dtype=np.float64)
    return examine(
        judge,
        _golden_pairs(catalog, rows, settings),
        raters if raters.shape[1] > 1 else None,
        floor_kappa=settings.floor_kappa,
        floor_human_share=settings.floor_human_share,
        checks=_checks(settings) if judge.endpoint.is_llm else None,
        max_quarantine_share=settings.max_quarantine_share,
        seed=settings.seed,
        on_progress=_shown(len(rows)),
    )


def _silence(catalog: Catalog, rows: Sequence[Row], found: Examination) -> list[str]:
    """Warnings of groups whose pairs the judge leaves without a label more often than others'."""
    by_key: dict[str, dict[str, str]] = {}
    for row in rows:
        groups = json.loads(catalog.documents[row["doc_id"]]["groups"])
        if row["member_id"] in catalog.members:
            groups |= json.loads(catalog.members[row["member_id"]]["groups"])
        for key, value in groups.items():
            by_key.setdefault(key, {})[row["pair_id"]] = f"{key} {value}"
    return [
        warning
        for slices in by_key.values()
        for warning in silence_warnings(silence_by_slice(slices, found.grades, slices))
    ]


def _checks(settings: JudgeSettings) -> Checks:
    checks = settings.checks
    return Checks(
        wobble_pairs=checks.wobble_pairs,
        twin_pairs=checks.twin_pairs,
        limits=JudgeLimits(
            bias=checks.bias,
            moved_share=checks.moved_share,
            mean_move=checks.mean_move,
            raised_share=checks.raised_share,
            noise_share=checks.noise_share,
            dimension_kappa=checks.dimension_kappa,
        ),
    )


def _read_canaries(
    domain: Domain, catalog: Catalog, judge: Judge, settings: JudgeSettings, *, on: date
) -> CanaryReading:
    tune = _golden_pairs(catalog, golden_rows(domain, "tune"), settings)
    canaries = choose_canaries(tune, settings.checks.canary_pairs, seed=settings.seed)
    return read_canaries(judge, canaries, on=on)


def _golden_pairs(
    catalog: Catalog, rows: Sequence[Row], settings: JudgeSettings
) -> list[GoldenPair]:
    return [
        GoldenPair(
            request=label_request(catalog, row, settings),
            query_id=row["query_id"],
            grade=row["grade"],
            dimension_grades={one["id"]: one["grade"] for one in row["dimensions"]},
        )
        for row in rows
    ]


def _shown(pairs: int) -> Callable[[Progress], None]:
    run = current_run()

    def show(seen: Progress) -> None:
        run.progress("verdict", seen.finished, pairs, f"${seen.spent_usd:.2f}")

    return show


def _today() -> date:
    return datetime.now(UTC).date()
