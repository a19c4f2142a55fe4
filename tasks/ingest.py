"""Step: the user's files, checked and written as tables."""

from pathlib import Path

from tasks.core.domain.catalog import DOCUMENTS, MEMBERS, Catalog
from tasks.core.domain.corpus import read_documents, read_members, read_queries
from tasks.core.domain.golden import assign_splits, check_grades, read_golden
from tasks.core.domain.impressions import add_queries, check_documents, read_impressions
from tasks.core.domain.paths import DomainPaths, find_domain, provenance
from tasks.core.domain.query_texts import QueryTexts
from tasks.core.policies.parse import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import file_sha256, write_json
from tasks.core.tables import Row, columns_of, read_rows, read_table, write_table
from tasks.exchange import GOLDEN, LOG, POLICY, PROVENANCE, QUERIES, Domain
from tasks.run import current_run
from tasks.settings import GoldenSettings
from tasks.step import make, step

NO_CLICKS = "the domain has no impressions"


@step
def ingest(domain: str, root: Path, settings: GoldenSettings) -> Domain:
    """Read and check every file of the domain.

    Raises:
        CookbookError: a file is missing or holds what it cannot; the message names the line.
    """
    paths = find_domain(domain, root)
    policy = _policy(paths)
    catalog = _catalog(paths)
    golden = _golden(paths, policy, catalog, settings)
    if paths.members is None:
        current_run().skip("members", "the domain has no members file: queries are nobody's own")
    if paths.impressions is None:
        for part in ("click_teacher", "personalization"):
            current_run().skip(part, NO_CLICKS)
    _tell_unused_dimensions(policy, golden)
    traffic, impressions = _traffic(paths), _impressions(paths, catalog)
    _check_queries(paths, golden, traffic, impressions)
    return Domain(policy, golden, catalog, traffic, impressions, _data_card(paths))


def _check_queries(
    paths: DomainPaths, golden: Artifact, traffic: Artifact | None, impressions: Artifact | None
) -> None:
    """Each file was checked by itself when it was read; this holds them against each other."""
    texts, names = QueryTexts(), ["query_id", "query"]
    for row in read_rows(golden.file(GOLDEN), names):
        texts.add(row["query_id"], row["query"], str(paths.golden))
    if traffic is not None and traffic.counts["queries"]:
        for row in read_rows(traffic.file(QUERIES), names):
            texts.add(row["query_id"], row["query"], str(paths.queries))
    if impressions is not None and paths.impressions is not None:
        add_queries(texts, read_table(impressions.file(LOG), names), paths.impressions)


def _tell_unused_dimensions(policy: Artifact, golden: Artifact) -> None:
    """A mistyped column would switch off the check of the judge on that dimension unseen."""
    known = [one.id for one in parse_policy(policy.file(POLICY)).dimensions]
    rows = read_rows(golden.file(GOLDEN), ["dimensions"])
    graded = {one["id"] for row in rows for one in row["dimensions"]}
    if unknown := sorted(graded - set(known)):
        current_run().skip(
            "grades by dimension",
            f"golden.csv grades {', '.join(unknown)}, of which the policy has no dimension; its "
            f"columns would be {', '.join(f'dim_{name}' for name in known)}",
        )


def _policy(paths: DomainPaths) -> Artifact:
    def build(bench: Workbench) -> Counts:
        policy = parse_policy(paths.policy)
        (bench.out / POLICY).write_bytes(paths.policy.read_bytes())
        return {
            "dimensions": len(policy.dimensions),
            "clauses": len(policy.clauses),
            "precedents": len(policy.precedents),
        }

    return make("policy", build, module=__name__, outside={"policy": file_sha256(paths.policy)})


def _catalog(paths: DomainPaths) -> Artifact:
    def build(bench: Workbench) -> Counts:
        documents = read_documents(paths.documents)
        members = read_members(paths.members) if paths.members else []
        write_table(bench.out / DOCUMENTS, columns_of(documents))
        write_table(bench.out / MEMBERS, columns_of(members))
        return {"documents": len(documents), "members": len(members)}

    outside = {"documents": file_sha256(paths.documents)}
    if paths.members is not None:
        outside["members"] = file_sha256(paths.members)
    return make("catalog", build, module=__name__, outside=outside)


def _golden(
    paths: DomainPaths, policy: Artifact, catalog: Artifact, settings: GoldenSettings
) -> Artifact:
    def build(bench: Workbench) -> Counts:
        known = Catalog.load(catalog.folder)
        rows = read_golden(
            paths.golden,
            grade_count=parse_policy(policy.file(POLICY)).grade_count,
            doc_ids=known.documents,
            member_ids=known.members,
        )
        rows = assign_splits(rows, tune_share=settings.tune_share, gate_share=settings.gate_share)
        check_grades(rows)
        write_table(bench.out / GOLDEN, columns_of(rows))
        return {"pairs": len(rows), **_queries_by_split(rows)}

    return make(
        "golden",
        build,
        module=__name__,
        settings=settings,
        upstream=[policy, catalog],
        outside={"golden": file_sha256(paths.golden)},
    )


def _queries_by_split(rows: list[Row]) -> Counts:
    queries = {(row["split"], row["query_id"]) for row in rows}
    return {f"{split}_queries": sum(s == split for s, _ in queries) for split, _ in sorted(queries)}


def _data_card(paths: DomainPaths) -> Artifact | None:
    source = paths.data_card
    if source is None:
        return None

    def build(bench: Workbench) -> Counts:
        write_json(bench.out / PROVENANCE, {"data_note": provenance(source)})
        return {}

    return make("data_card", build, module=__name__, outside={"data_card": file_sha256(source)})


def _traffic(paths: DomainPaths) -> Artifact | None:
    source = paths.queries
    if source is None:
        return None

    def build(bench: Workbench) -> Counts:
        rows = read_queries(source)
        return {"queries": write_table(bench.out / QUERIES, columns_of(rows))}

    return make("traffic", build, module=__name__, outside={"queries": file_sha256(source)})


def _impressions(paths: DomainPaths, catalog: Artifact) -> Artifact | None:
    source = paths.impressions
    if source is None:
        return None

    def build(bench: Workbench) -> Counts:
        table = read_impressions(source)
        known = {row["doc_id"] for row in read_rows(catalog.file(DOCUMENTS), ["doc_id"])}
        check_documents(table, known, source)
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        return {"rows": write_table(bench.out / LOG, columns)}

    return make(
        "impression_log",
        build,
        module=__name__,
        upstream=[catalog],
        outside={"impressions": file_sha256(source)},
    )
