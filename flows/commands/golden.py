"""`cookbook golden`: choose pairs for people to grade, take their grades in, look at them."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flows.commands.options import DOMAIN, PROJECT, Domain, Root
from tasks.core.errors import CookbookError

golden = App(name="golden", help="Golden data: sample, import, split, agreement.")


@golden.command
def sample(
    output: Path,
    /,
    *,
    count: Annotated[int, Parameter(help="Pairs to grade.")] = 500,
    per_query: Annotated[int, Parameter(help="Candidates looked at per query.")] = 12,
    seed: int = 0,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
) -> None:
    """Write a worksheet of pairs for raters: queries.csv with their best documents by BM25."""
    from tasks.core.domain.corpus import read_documents, read_queries
    from tasks.core.domain.paths import find_domain
    from tasks.core.labeling.golden import Candidate, sample_golden, write_worksheet
    from tasks.core.policy import parse_policy
    from tasks.core.retrieval.bm25 import Bm25Index, top

    paths = find_domain(domain, root, graded=False)
    if paths.queries is None:
        raise CookbookError(
            f"Sampling takes queries from queries.csv; {paths.golden.parent} has none. Add it."
        )
    documents = read_documents(paths.documents)
    shown = {row["doc_id"]: f"{row['title']} | {row['text']}" for row in documents}
    index, doc_ids = Bm25Index(list(shown.values())), list(shown)
    candidates = (
        Candidate(row["query_id"], row["query"], row["member_id"], doc_ids[position])
        for row in read_queries(paths.queries)
        for position in top(index.scores(row["query"]), per_query)
    )
    chosen = sample_golden(candidates, count, max_per_query=per_query, seed=seed)
    dimensions = [dimension.id for dimension in parse_policy(paths.policy).dimensions]
    write_worksheet(output, chosen, dimensions=dimensions, shown=shown)
    print(f"{len(chosen)} pairs in {output}. Give each rater a copy, then `golden import`.")


@golden.command(name="import")
def import_sheets(
    sheets: list[Path],
    /,
    *,
    output: Annotated[Path, Parameter(help="golden.csv to write.")],
    settled: Annotated[
        Path | None, Parameter(help="Worksheet of disagreements with grades filled in.")
    ] = None,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
) -> None:
    """Join the worksheets of two or more raters into golden.csv.

    Where raters differ, a worksheet of disagreements is written beside the output; fill it in
    and import again with `--settled`.
    """
    from tasks.core.domain.paths import find_domain
    from tasks.core.labeling.ratings import (
        adjudication_list,
        import_ratings,
        read_adjudication,
        write_adjudication,
        write_golden,
    )
    from tasks.core.policy import parse_policy

    paths = find_domain(domain, root, graded=False)
    grades = parse_policy(paths.policy).grade_count
    decided = read_adjudication(settled, grade_count=grades) if settled else None
    pairs = import_ratings(sheets, grade_count=grades, settled=decided)
    waiting = adjudication_list(pairs)
    if waiting:
        target = output.with_name("disagreements.csv")
        write_adjudication(target, pairs)
        raise CookbookError(
            f"Every pair needs one grade, and raters differ on {len(waiting)}; they are in "
            f"{target}. Fill in the grades, and import again with --settled {target}."
        )
    print(f"{write_golden(output, pairs)} pairs in {output}.")


@golden.command
def split(*, domain: Domain = DOMAIN, root: Root = PROJECT) -> None:
    """Show how many queries and pairs fall to tune, gate and sealed."""
    from tasks.core.domain.golden import SPLITS, assign_splits
    from tasks.settings import GoldenSettings

    settings, (rows, _) = GoldenSettings(), _rows(domain, root)
    rows = assign_splits(rows, tune_share=settings.tune_share, gate_share=settings.gate_share)
    for name in SPLITS:
        own = [row for row in rows if row["split"] == name]
        print(f"{name:<7}{len({row['query_id'] for row in own}):>7} queries {len(own):>8} pairs")


@golden.command
def agreement(*, domain: Domain = DOMAIN, root: Root = PROJECT) -> None:
    """Show how well the raters agree: the ceiling of what a judge can reach."""
    import numpy as np

    from tasks.core.labeling.agreement import human_kappa

    rows, grades = _rows(domain, root)
    found = human_kappa(np.array([row["raters"] for row in rows], dtype=np.float64))
    if found is None:
        raise CookbookError(
            "Agreement needs columns rater_1 and rater_2 in golden.csv, with pairs that both "
            "graded; there are none. Have some pairs graded twice."
        )
    print(f"human kappa: {found:.3f} over {len(rows):,} pairs on {grades} grades")


def _rows(domain: str, root: Path) -> tuple[list[dict[str, object]], int]:
    from tasks.core.domain.corpus import read_documents
    from tasks.core.domain.golden import read_golden
    from tasks.core.domain.paths import find_domain
    from tasks.core.policy import parse_policy

    paths = find_domain(domain, root)
    known = {row["doc_id"] for row in read_documents(paths.documents)}
    grades = parse_policy(paths.policy).grade_count
    return read_golden(paths.golden, grade_count=grades, doc_ids=known), grades
