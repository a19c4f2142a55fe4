"""Queries with their intent, as people labeled them: what classification learns from."""

from pathlib import Path

from tasks.core.domain.golden import SPLITS
from tasks.core.domain.readers import read_csv
from tasks.core.errors import CookbookError
from tasks.core.tables import Row
from tasks.core.text import normalize_query

COLUMNS = ("query", "intent")


def read_intents(path: Path) -> list[Row]:
    """Rows of intents.csv: query, intent, split (empty if the file has none), each query once.

    Raises:
        CookbookError: there is no file, a field is empty, a query has two intents, fewer than
            two intents are named, or a split is unknown.
    """
    if not path.is_file():
        raise CookbookError(
            f"Intents are learned from {path}, and there is none. Write it: a row per query, with "
            "the columns query and intent."
        )
    found: dict[str, Row] = {}
    for number, raw in read_csv(path, COLUMNS):
        row = _row(raw, f"{path}, line {number}")
        known = found.setdefault(normalize_query(row["query"]), row)
        if known["intent"] != row["intent"]:
            raise CookbookError(
                f"{path}, line {number}: a query has one intent; {row['query']!r} came with "
                f"{known['intent']!r} and {row['intent']!r}. Keep one of them."
            )
    if len({row["intent"] for row in found.values()}) < 2:
        raise CookbookError(
            f"{path} needs queries of two intents or more; with fewer there is nothing to tell "
            "apart. Label more queries."
        )
    return list(found.values())


def _row(raw: dict[str, str], where: str) -> Row:
    row = {name: raw.get(name, "").strip() for name in (*COLUMNS, "split")}
    if missing := [name for name in COLUMNS if not row[name]]:
        raise CookbookError(f"{where}: {', '.join(missing)} must not be empty. Fill it in.")
    if row["split"] and row["split"] not in SPLITS:
        raise CookbookError(f"{where}: split is one of {', '.join(SPLITS)}; came {row['split']!r}.")
    return row
