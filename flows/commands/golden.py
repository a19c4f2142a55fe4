"""`cookbook golden`: choose pairs for people to grade, take their grades in, look at them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from flows.commands.options import DOMAIN, PROJECT, STORE, Domain, Root, Store
from tasks.core.errors import CookbookError

if TYPE_CHECKING:
    from tasks.core.labeling.golden import Candidate, Shown
    from tasks.core.labeling.ratings import RatersAgreement
    from tasks.core.policy import Policy

golden = App(name="golden", help="Golden data: sample, import, split, agreement.")


@golden.command
def sample(
    output: Path,
    /,
    *,
    count: Annotated[int, Parameter(help="Pairs to grade.")] = 500,
    per_query: Annotated[int, Parameter(help="Pairs of one query at most.")] = 12,
    close_share: Annotated[float, Parameter(help="Share drawn from the close calls.")] = 0.4,
    seed: int = 0,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
    store: Store = STORE,
) -> None:
    """Write a worksheet of pairs for raters, as CSV and as a page that shows the clauses.

    The queries of queries.csv with their best documents by BM25 and some at random, the same
    number of each kind of query; close calls are drawn more often: pairs of which the judge of
    the last labels was unsure, or, before there are any, pairs in the middle of their query.
    """
    from tasks.core.labeling.golden import sample_golden, write_worksheet
    from tasks.core.labeling.kept_grades import check_sheet
    from tasks.core.labeling.worksheet_page import render_worksheet
    from tasks.core.labeling.worksheets import PRIVATE
    from tasks.core.store.files import write_atomically

    if min(count, per_query) < 1 or not 0 <= close_share <= 1 or seed < 0:
        raise CookbookError(
            "A sample has 1 pair or more, a share of close calls from 0 to 1 and a seed of 0 or "
            f"more; came --count {count}, --per-query {per_query}, --close-share {close_share:g} "
            f"and --seed {seed}. Give other ones."
        )
    page = output.with_suffix(".html")
    if page == output:
        raise CookbookError(
            f"A sample is written as a CSV, and as a page of the same name in .html; came {output}."
            f" Name the CSV, such as {output.with_suffix('.csv')}."
        )
    check_sheet(output)
    drawn_from = _pool(domain, root, store, per_query, seed)
    chosen = sample_golden(
        drawn_from.candidates, count, close_share=close_share, max_per_query=per_query, seed=seed
    )
    shown, policy = drawn_from.shown, drawn_from.policy
    names = [dimension.id for dimension in policy.dimensions]
    write_worksheet(output, chosen, dimensions=names, shown=shown)
    write_atomically(page, render_worksheet(chosen, policy, shown=shown).encode(), mode=PRIVATE)
    print(f"{len(chosen)} pairs in {output}, and to grade in a browser in {page}.")
    for kind, number in sorted(Counter(pair.kind for pair in chosen).items()):
        print(f"{number:>6}  {kind}")
    print("Give each rater a copy, then `golden import`.")


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
    from tasks.core.labeling.kept_grades import check_disagreements, check_golden
    from tasks.core.labeling.ratings import (
        adjudication_list,
        import_ratings,
        measure_raters,
        read_adjudication,
        write_adjudication,
        write_golden,
    )
    from tasks.core.policy import parse_policy

    paths = find_domain(domain, root, graded=False)
    grades = parse_policy(paths.policy).grade_count
    decided = read_adjudication(settled, grade_count=grades) if settled else None
    pairs = import_ratings(sheets, grade_count=grades, settled=decided)
    _show_agreement(measure_raters(pairs, grade_count=grades), [sheet.name for sheet in sheets])
    waiting = adjudication_list(pairs)
    if waiting:
        target = output.with_name("disagreements.csv")
        check_disagreements(target, decided or {}, grade_count=grades)
        write_adjudication(target, pairs)
        raise CookbookError(
            f"Every pair needs one grade, and raters differ on {len(waiting)}; they are in "
            f"{target}. Fill in the grades, and import again with --settled {target}."
        )
    check_golden(output, pairs)
    written = write_golden(output, pairs)
    ungraded = len(pairs) - written
    left_out = f"; {ungraded} without a grade are left out" if ungraded else ""
    print(f"{written} pairs in {output}{left_out}.")


@golden.command
def split(
    *,
    write: Annotated[
        bool, Parameter(help="Write the split into golden.csv, so that it never moves.")
    ] = False,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
) -> None:
    """Show how many queries and pairs fall to tune, gate and sealed."""
    from tasks.core.domain.golden import SPLITS, assign_splits
    from tasks.settings import GoldenSettings

    settings, golden_data = GoldenSettings(), _graded(domain, root)
    rows = assign_splits(
        golden_data.rows, tune_share=settings.tune_share, gate_share=settings.gate_share
    )
    for name in SPLITS:
        own = [row for row in rows if row["split"] == name]
        print(f"{name:<7}{len({row['query_id'] for row in own}):>7} queries {len(own):>8} pairs")
    if write:
        _write_splits(golden_data.path, {row["query_id"]: row["split"] for row in rows})
        print(f"Written to {golden_data.path}.")


@golden.command
def agreement(*, domain: Domain = DOMAIN, root: Root = PROJECT) -> None:
    """Show how well the raters agree: the ceiling of what a judge can reach."""
    import numpy as np

    from tasks.core.labeling.agreement import human_kappa, kappa_interval

    graded = _graded(domain, root)
    table = np.array([row["raters"] for row in graded.rows], dtype=np.float64)
    queries = np.array([row["query_id"] for row in graded.rows])
    found = human_kappa(table)
    if found is None:
        raise CookbookError(
            "Agreement needs columns rater_1 and rater_2 in golden.csv, with pairs that both "
            "graded; there are none. Have some pairs graded twice."
        )
    print(f"human kappa: {found:.3f} over {len(graded.rows):,} pairs on {graded.grades} grades")
    for first, second in combinations(range(table.shape[1]), 2):
        both = ~np.isnan(table[:, [first, second]]).any(axis=1)
        if both.any():
            one, other = table[both, first], table[both, second]
            kappa = kappa_interval(one, other, queries[both], graded.grades)
            print(
                f"raters {first + 1} and {second + 1}: kappa {kappa.value:.3f} (95% interval "
                f"{kappa.low:.3f} to {kappa.high:.3f}, by query), the same grade on "
                f"{(one == other).mean():.0%} of {both.sum():,} pairs"
            )


def _show_agreement(found: "RatersAgreement", names: Sequence[str]) -> None:
    if found.human_kappa is not None:
        print(f"human kappa: {found.human_kappa:.3f}")
    for (first, second), kappa in found.pairwise.items():
        print(f"{names[first]} and {names[second]}: kappa {kappa:.3f}")
    measured = {name: kappa for name, kappa in found.dimensions.items() if kappa is not None}
    for name, kappa in measured.items():
        print(f"{name}: kappa {kappa:.3f}")
    if len(measured) < len(found.dimensions):
        print(f"{len(found.dimensions) - len(measured)} dimensions have no kappa: too few grades.")


@dataclass(frozen=True)
class _Graded:
    path: Path
    rows: list[dict[str, Any]]
    grades: int


def _graded(domain: str, root: Path) -> _Graded:
    """golden.csv, checked against the domain's documents and members."""
    from tasks.core.domain.corpus import read_documents, read_members
    from tasks.core.domain.golden import read_golden
    from tasks.core.domain.paths import find_domain
    from tasks.core.policy import parse_policy

    paths = find_domain(domain, root)
    grades = parse_policy(paths.policy).grade_count
    rows = read_golden(
        paths.golden,
        grade_count=grades,
        doc_ids={row["doc_id"] for row in read_documents(paths.documents)},
        member_ids={row["member_id"] for row in read_members(paths.members)}
        if paths.members
        else set(),
    )
    return _Graded(paths.golden, rows, grades)


def _write_splits(path: Path, splits: Mapping[str, str]) -> None:
    from tasks.core.domain.golden import COLUMNS
    from tasks.core.domain.readers import read_csv
    from tasks.core.labeling.worksheets import write_csv

    rows = [row | {"split": splits[row["query_id"]]} for _, row in read_csv(path, COLUMNS)]
    write_csv(path, list(rows[0]), rows)


@dataclass(frozen=True)
class _Pool:
    candidates: list["Candidate"]
    policy: "Policy"
    shown: "Shown"


def _pool(domain: str, root: Path, store: Path, per_query: int, seed: int) -> _Pool:
    """Pairs of the domain's traffic that people could grade."""
    from tasks.core.domain.corpus import read_documents, read_members, read_queries
    from tasks.core.domain.paths import find_domain
    from tasks.core.labeling.golden import Shown
    from tasks.core.labeling.golden_pool import golden_pool
    from tasks.core.policy import parse_policy

    paths = find_domain(domain, root, graded=False)
    if paths.queries is None:
        raise CookbookError(
            f"Sampling takes queries from queries.csv; {paths.golden.parent} has none. Add it."
        )
    documents = read_documents(paths.documents)
    members = read_members(paths.members) if paths.members else []
    candidates = golden_pool(
        read_queries(paths.queries),
        documents,
        members,
        per_query=per_query,
        sureness=_stored_sureness(store, domain),
        seed=seed,
    )
    shown = Shown(
        {row["doc_id"]: f"{row['title']} | {row['text']}" for row in documents},
        {row["member_id"]: row["text"] for row in members},
    )
    return _Pool(candidates, parse_policy(paths.policy), shown)


def _stored_sureness(store: Path, domain: str) -> dict[str, float]:
    """Highest grade probability by pair_id, of the last labels; empty where there are none."""
    if not (store / domain / "labels").exists():
        return {}
    from tasks.core.tables import read_rows
    from tasks.exchange import JUDGMENTS
    from tasks.past_labels import past_labels
    from tasks.run import look_into

    with look_into(store, domain):
        past = next(past_labels(), None)
        columns = ["pair_id", "probabilities"]
        rows = read_rows(past.judgments.file(JUDGMENTS), columns) if past else []
    return {row["pair_id"]: max(row["probabilities"]) for row in rows if row["probabilities"]}
