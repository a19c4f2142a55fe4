"""Step: queries that the LLM judge writes, where there is one; every clause gets its share."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tasks.asking import open_judge
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.outgoing import outgoing_document, outgoing_member
from tasks.core.labeling.query_aims import Aim, aims_at_holes, aims_in_turn, lasting_draws
from tasks.core.labeling.query_writer import PER_REQUEST, WriteRequest, write_queries
from tasks.core.policy import Policy, parse_policy
from tasks.core.retrieval.query_kinds import query_kinds
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, write_stream
from tasks.exchange import COVERAGE, POLICY, WRITTEN, Domain, golden_rows
from tasks.settings import BaseModelSettings, JudgeSettings, SynthesisSettings
from tasks.step import make, step

_SCHEMA = pa.schema([(name, pa.string()) for name in ("query", "member_id", "pair_id")])


@step
def write_llm_queries(
    domain: Domain,
    judge: Artifact,
    verdict: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
    synthesis: SynthesisSettings,
    judgments: Artifact | None = None,
) -> Artifact | None:
    """Ask a judge that passed for queries; None where it is no LLM, and templates write them.

    Each request names one clause, a document, a member and a kind of query that golden tune data
    holds, so that no clause and no kind is left to chance. With a first round's ``judgments`` the
    clauses and kinds are those alone that no label exercises.
    """
    if settings.kind != "endpoint" or not synthesis.generated_queries:
        return None

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        policy = parse_policy(domain.policy.file(POLICY))
        golden = golden_rows(domain, "tune")
        holes = judgments.json(COVERAGE)["holes"] if judgments else None
        aims = _aims(policy, catalog, golden, synthesis, holes)
        asked = _requests(aims, catalog, settings, synthesis)
        with open_judge(domain, judge, encoder, settings) as llm:
            found = write_queries(llm, asked)
        rows = [
            # The name stands in the journal where a label has its pair_id.
            {"query": query, "member_id": request.member_id, "pair_id": name}
            for request, name, queries in zip(asked, found.names, found.queries, strict=True)
            for query in queries
        ][: synthesis.generated_queries]
        write_stream(bench.out / WRITTEN, rows, _SCHEMA)
        unusable = sum(not queries for queries in found.queries)
        return {"queries": len(rows), "calls": found.calls, "unusable": unusable}

    return make(
        "written_queries",
        build,
        module=__name__,
        settings={
            "judge": settings.model_dump(mode="json"),
            "count": synthesis.generated_queries,
            "seed": synthesis.seed,
        },
        upstream=[domain.policy, domain.golden, domain.catalog, judge, verdict, judgments],
    )


def _aims(
    policy: Policy,
    catalog: Catalog,
    golden: Sequence[Row],
    synthesis: SynthesisSettings,
    holes: Sequence[str] | None,
) -> list[Aim]:
    kinds = sorted(set(query_kinds(golden, catalog.documents.values(), catalog.members).values()))
    clauses = {clause.id: clause.text for clause in policy.clauses}
    count = -(-synthesis.generated_queries // PER_REQUEST)
    if holes is not None:
        return aims_at_holes(clauses, kinds, holes, count)
    generator = np.random.default_rng(synthesis.seed)
    return aims_in_turn(list(clauses.values()), kinds, count, generator)


def _requests(
    aims: Sequence[Aim], catalog: Catalog, settings: JudgeSettings, synthesis: SynthesisSettings
) -> list[WriteRequest]:
    """One request for each aim; a catalog that grows leaves most of them as they were."""
    count, seed = len(aims), synthesis.seed
    shown = lasting_draws([*catalog.documents], count, [seed, 0])
    asking = (
        lasting_draws([*catalog.members], count, [seed, 1]) if catalog.members else [""] * count
    )
    return [
        WriteRequest(
            clause=clause,
            document=outgoing_document(catalog.documents[doc_id], allowed=settings.sent_attributes),
            member=outgoing_member(catalog.members[member_id]) if member_id else "",
            kind=kind,
            member_id=member_id,
        )
        for (clause, kind), doc_id, member_id in zip(aims, shown, asking, strict=True)
    ]
