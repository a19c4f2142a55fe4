"""Golden data: pairs graded by people, checked row by row, split by query."""

import hashlib
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from tasks.core.domain.query_texts import QueryTexts
from tasks.core.domain.readers import read_csv
from tasks.core.errors import CookbookError
from tasks.core.tables import Row
from tasks.core.text import normalize_query, pair_id

SPLITS = ("tune", "gate", "sealed")
COLUMNS = ("query_id", "query", "doc_id", "grade")


def read_golden(
    path: Path,
    *,
    grade_count: int,
    doc_ids: Collection[str],
    member_ids: Collection[str] | None = None,
) -> list[Row]:
    """Rows of golden.csv: ids, query, grade, split (empty if the file has none), raters, dims.

    ``raters`` are in the order of the file's columns, None where empty; ``dimensions`` are
    {id, grade} of the columns dim_<ID> that are not empty.

    ``member_ids`` are the known members; None leaves them unchecked.

    Raises:
        CookbookError: no rows, one query only, an unknown doc_id or member_id, a grade off the
            scale, the same pair with two grades, a query_id with two texts, an unknown split.
    """
    rows: dict[str, Row] = {}
    texts = QueryTexts()
    for number, raw in read_csv(path, COLUMNS):
        where = f"{path}, line {number}"
        row = _row(raw, where, grade_count, doc_ids)
        _check_member(row["member_id"], where, member_ids)
        texts.add(row["query_id"], row["query"], where)
        known = rows.setdefault(row["pair_id"], row)
        if known["grade"] != row["grade"]:
            raise CookbookError(
                f"{where}: a pair has one grade; query {row['query_id']} with document "
                f"{row['doc_id']} came with {known['grade']} and {row['grade']}. Keep one of them."
            )
    queries = {normalize_query(row["query"]) for row in rows.values()}
    if len(queries) < 3:
        raise CookbookError(
            f"{path} needs pairs of at least 3 different queries, one for each of tune, gate and "
            f"sealed; came {len(queries)}. Grade more queries."
        )
    return list(rows.values())


def _check_member(member_id: str, where: str, known: Collection[str] | None) -> None:
    """An unknown member would count as nobody, and the judge be held to grades for somebody."""
    if member_id and known is not None and member_id not in known:
        raise CookbookError(
            f"{where}: member_id must be one of the members; {member_id!r} is not among them. Add "
            "the member to the members file, or leave member_id empty where nobody asks."
        )


def _row(raw: dict[str, str], where: str, grade_count: int, doc_ids: Collection[str]) -> Row:
    missing = [name for name in ("query_id", "query", "doc_id") if not raw[name].strip()]
    if missing:
        raise CookbookError(f"{where}: {', '.join(missing)} must not be empty. Fill it in.")
    if raw["doc_id"] not in doc_ids:
        raise CookbookError(
            f"{where}: doc_id must be one of the documents; {raw['doc_id']!r} is not among them. "
            "Add the document, or remove the row."
        )
    split = raw.get("split", "").strip()
    if split and split not in SPLITS:
        raise CookbookError(f"{where}: split is one of {', '.join(SPLITS)}; came {split!r}.")
    member_id = raw.get("member_id", "").strip()
    return {
        "pair_id": pair_id(raw["query_id"], member_id or None, raw["doc_id"]),
        "query_id": raw["query_id"],
        "query": raw["query"],
        "member_id": member_id,
        "doc_id": raw["doc_id"],
        "grade": parse_grade(raw["grade"], grade_count, where),
        "split": split,
        "raters": _optional_grades(raw, "rater_", grade_count, where),
        "dimensions": _dimensions(raw, grade_count, where),
    }


def parse_grade(text: str, grade_count: int, where: str) -> int:
    """A whole grade on the scale.

    Raises:
        CookbookError: it is no number, not whole, or off the scale.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer() or not 0 <= value < grade_count:
        raise CookbookError(
            f"{where}: a grade is a whole number from 0 to {grade_count - 1}, as the policy's "
            f"front matter says; came {text!r}. Correct it, or change the policy's grades."
        )
    return int(value)


def _dimensions(raw: dict[str, str], grade_count: int, where: str) -> list[dict[str, int | str]]:
    return [
        {"id": name.removeprefix("dim_"), "grade": parse_grade(value, grade_count, where)}
        for name, value in raw.items()
        if name.startswith("dim_") and value.strip()
    ]


def _optional_grades(
    raw: dict[str, str], prefix: str, grade_count: int, where: str
) -> list[int | None]:
    values = [value.strip() for name, value in raw.items() if name.startswith(prefix)]
    return [parse_grade(value, grade_count, where) if value else None for value in values]


def assign_splits(rows: Sequence[Row], *, tune_share: float, gate_share: float) -> list[Row]:
    """Rows with a split each: the file's own where it gives one, else by shares of queries.

    A query falls to a split by the order of its normalized form's hash, so that copies of a
    query stay together and a new row moves no old one far.

    Raises:
        CookbookError: one normalized query stands in two splits, or a split is empty.
    """
    forms = sorted({normalize_query(row["query"]) for row in rows}, key=_hash)
    # Each split gets a query, however few there are.
    n_tune = min(max(1, round(tune_share * len(forms))), max(1, len(forms) - 2))
    n_gate = min(max(1, round(gate_share * len(forms))), max(1, len(forms) - n_tune - 1))
    names = ["tune"] * n_tune + ["gate"] * n_gate
    names += ["sealed"] * (len(forms) - len(names))
    assigned = dict(zip(forms, names, strict=False))
    assigned |= {normalize_query(row["query"]): row["split"] for row in rows if row["split"]}
    result = [
        {**row, "split": row["split"] or assigned[normalize_query(row["query"])]} for row in rows
    ]
    _check_splits(result)
    return result


def _check_splits(rows: Sequence[Row]) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        form = normalize_query(row["query"])
        if seen.setdefault(form, row["split"]) != row["split"]:
            raise CookbookError(
                f"A query lies in one split; {row['query']!r} (or the same words in another order) "
                f"lies in {seen[form]} and {row['split']}. Give all its rows the same split."
            )
    empty = [split for split in SPLITS if split not in seen.values()]
    if empty:
        raise CookbookError(
            f"Each of {', '.join(SPLITS)} needs at least one query; {', '.join(empty)} has none. "
            "Grade more queries, or change the split column."
        )


def check_grades(rows: Sequence[Row]) -> None:
    """Every split must hold two grades at least: one alone neither fits a judge nor measures it.

    Gate and sealed must also hold a list, what one member is offered for one query, with two.
    Elsewhere any order is the best one, so that NDCG would be 1 whatever is measured.

    Raises:
        CookbookError: a split has one grade only, or nothing that can be put into order.
    """
    for split in SPLITS:
        grades = {row["grade"] for row in rows if row["split"] == split}
        if len(grades) < 2:
            raise CookbookError(
                f"Each of {', '.join(SPLITS)} needs pairs of at least two different grades; all of "
                f"{split} have {min(grades)}. Grade more queries, or change the split column."
            )
    for split in ("gate", "sealed"):
        if not _can_be_ordered([row for row in rows if row["split"] == split]):
            raise CookbookError(
                f"Ranking is measured on queries of gate and sealed with documents of different "
                f"grades; every query of {split} has one grade for all its documents, so that "
                "every order of them is the best one. Grade more documents of each query, good "
                "and bad ones."
            )


def _can_be_ordered(rows: Sequence[Row]) -> bool:
    first: dict[tuple[str, str], int] = {}
    return any(
        first.setdefault((row["query_id"], row["member_id"]), row["grade"]) != row["grade"]
        for row in rows
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
