"""What a label run leaves: its judgments, and how they came about."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.carry_over import CarryOver
from tasks.core.labeling.cascade import CascadeRun
from tasks.core.labeling.coverage import measure_coverage
from tasks.core.labeling.drain import Drained
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.outcomes import Progress
from tasks.core.labeling.outgoing import list_sent, masks
from tasks.core.labeling.replies import Judgment
from tasks.core.labeling.suspicion import list_suspicions
from tasks.core.labeling.ways import Way
from tasks.core.policy import Policy
from tasks.core.retrieval.query_kinds import query_kinds
from tasks.core.store.artifacts import Artifact, Counts
from tasks.core.store.files import write_json
from tasks.core.tables import Row, iterate_rows, read_rows, write_stream
from tasks.exchange import (
    CALLS,
    COVERAGE,
    GOLDEN,
    JUDGMENTS,
    POLICY_EDIT,
    QUARANTINE,
    RUNGS,
    SENT,
    SUSPICIOUS,
    Domain,
    use_of,
)
from tasks.to_label import PairRequests

# What a label adds to its pair's row.
_LABEL_FIELDS = (
    pa.field("grade", pa.int64()),
    pa.field("probabilities", pa.list_(pa.float64())),
    pa.field("dimensions", pa.list_(pa.struct({"id": pa.string(), "grade": pa.int64()}))),
    pa.field("clauses", pa.list_(pa.string())),
    pa.field("rationale", pa.string()),
    pa.field("judge", pa.string()),
    pa.field("prompt_hash", pa.string()),
    pa.field("policy_hash", pa.string()),
    pa.field("use", pa.string()),
)


def write_labels(
    out: Path,
    domain: Domain,
    requests: PairRequests,
    way: Way,
    done: Drained,
    edits: Mapping[str, CarryOver],
) -> Counts:
    """The judgments, and beside them how they came about."""
    labelled = write_stream(
        out / JUDGMENTS,
        (
            _judged(row, judgment)
            for row, request in requests.with_rows()
            if (judgment := way.stored(request)) is not None
        ),
        pa.schema([*pq.read_schema(requests.pairs), *_LABEL_FIELDS]),
    )
    write_json(out / CALLS, _calls(done.progress, labelled, way.judges[-1], edits))
    write_json(out / SENT, _sent(requests, way.judges))
    write_json(out / COVERAGE, _coverage(out, domain, requests.catalog, way.judges[-1].policy))
    write_json(out / SUSPICIOUS, _suspicious(requests))
    if edits:
        write_json(out / POLICY_EDIT, {name: one.to_json() for name, one in edits.items()})
    if isinstance(done, CascadeRun):
        write_json(out / RUNGS, done.to_json())
    if done.quarantined:
        _write_quarantine(out / QUARANTINE, requests, done)
    return {"judgments": labelled, "quarantined": len(done.quarantined)}


def read_labeling(judgments: Artifact) -> dict[str, Any]:
    """How the labels came about: edits, rungs, coverage, what was sent, which texts address the
    judge; each where it was recorded."""
    files = {
        "policy_edit": POLICY_EDIT,
        "rungs": RUNGS,
        "coverage": COVERAGE,
        "sent": SENT,
        "suspicious": SUSPICIOUS,
    }
    return {
        name: judgments.json(file) for name, file in files.items() if judgments.file(file).exists()
    }


def _judged(row: Row, judgment: Judgment) -> Row:
    """A pair with its grade, distribution and use."""
    dimensions = judgment.dimension_grades or {}
    return {
        **row,
        "grade": judgment.grade,
        "probabilities": list(judgment.grade_probabilities or ()),
        "dimensions": [{"id": name, "grade": grade} for name, grade in dimensions.items()],
        "clauses": list(judgment.clauses or ()),
        "rationale": judgment.rationale or "",
        "judge": judgment.judge,
        "prompt_hash": judgment.prompt_hash,
        "policy_hash": judgment.policy_hash,
        "use": use_of(row["query_id"]),
    }


def _calls(
    progress: Progress, labelled: int, judge: Judge, edits: Mapping[str, CarryOver]
) -> dict[str, float]:
    """Counts of this run; the money is all that the judge cost so far, its checks included."""
    checks = sum(edit.missed.calls for edit in edits.values())
    return {
        "pairs": progress.finished,
        "labelled": labelled,
        "quarantined": progress.quarantined,
        "calls": progress.calls + checks,
        "billed_calls": progress.billed_calls + checks,
        "reused": progress.reused,
        "spent_usd": judge.journal.spent_usd(judge.run),
        "possibly_billed": progress.possibly_billed,
    }


def _sent(requests: PairRequests, judges: Iterable[Judge]) -> dict[str, Any]:
    """What these pairs send to a judge, field by field, and where to."""
    asked: dict[str, set[str]] = {"doc_id": set(), "member_id": set()}
    for row in iterate_rows(requests.pairs):
        for name, ids in asked.items():
            ids.add(row[name])
    catalog = requests.catalog
    fields = list_sent(
        (catalog.documents[name] for name in sorted(asked["doc_id"])),
        (catalog.members[name] for name in sorted(asked["member_id"]) if name in catalog.members),
        allowed=requests.settings.sent_attributes,
    )
    return {
        "to": [
            {"address": one.base_url, "model": one.model}
            if one.is_llm
            else {"address": "this machine", "model": "embedded"}
            for one in (judge.endpoint for judge in judges)
        ],
        "policy": "the whole document, with every request",
        "query": "its text",
        **{kind: asdict(found) for kind, found in fields.items()},
        "masked_in_texts": masks(),
        "never": ["groups", "query_id", "member_id", "doc_id", "pair_id"],
    }


def _suspicious(requests: PairRequests) -> dict[str, Any]:
    """Which pairs' texts, as their authors wrote them, bear marks of addressing the judge."""
    catalog = requests.catalog

    def text(row: Row) -> str:
        document = catalog.documents[row["doc_id"]]
        member = catalog.member_text(row["member_id"])
        return "\n".join((document["title"], document["text"], member))

    return list_suspicions(
        (row["pair_id"], text(row), row["query"]) for row in iterate_rows(requests.pairs)
    )


def _coverage(out: Path, domain: Domain, catalog: Catalog, policy: Policy) -> dict[str, Any]:
    golden = read_rows(domain.golden.file(GOLDEN), ["query_id", "query", "member_id"])
    asked = {row["query_id"]: row for row in golden}
    for row in iterate_rows(out / JUDGMENTS):
        asked.setdefault(row["query_id"], {name: row[name] for name in golden[0]})
    kinds = query_kinds(asked.values(), catalog.documents.values(), catalog.members)
    wanted = {kinds[row["query_id"]] for row in golden}
    return measure_coverage(policy, iterate_rows(out / JUDGMENTS), kinds, wanted).to_json()


def _write_quarantine(path: Path, requests: PairRequests, done: Drained) -> None:
    """Pairs without a label, why, and the judge's own words."""
    found = {one.pair_id: one for one in done.quarantined}
    rows = (
        {
            **{name: row[name] for name in ("pair_id", "query_id", "member_id", "doc_id")},
            "status": str(found[row["pair_id"]].status),
            "problem": found[row["pair_id"]].problem,
            "raw_text": found[row["pair_id"]].raw_text,
        }
        for row in iterate_rows(requests.pairs)
        if row["pair_id"] in found
    )
    names = ("pair_id", "query_id", "member_id", "doc_id", "status", "problem", "raw_text")
    write_stream(path, rows, pa.schema([(name, pa.string()) for name in names]))
