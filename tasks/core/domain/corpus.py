"""Documents, members and traffic queries: what is ranked, for whom, and what they ask."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.domain.query_texts import QueryTexts
from tasks.core.domain.readers import parse_json_line, read_csv, read_json_lines
from tasks.core.errors import CookbookError
from tasks.core.tables import Row

# Longer texts are cut here, before any model or prompt sees them.
MAX_TEXT_CHARACTERS = 20_000


def read_documents(path: Path) -> list[Row]:
    """Rows doc_id, title, text, attributes (JSON), groups (JSON), in the file's order.

    Raises:
        CookbookError: no documents, a missing field, or a doc_id that stands twice.
    """
    return _entities(path, "doc_id", ("title", "text"))


def read_members(path: Path) -> list[Row]:
    """Rows member_id, text, attributes (JSON), groups (JSON), in the file's order."""
    return _entities(path, "member_id", ("text",))


def read_queries(path: Path) -> list[Row]:
    """Traffic: rows query_id, query, member_id ("" where nobody in particular asks).

    Rows without a word are left out.

    Raises:
        CookbookError: a query_id is empty, or has two texts.
    """
    rows, texts = [], QueryTexts()
    for number, raw in read_csv(path, ("query_id", "query")):
        if raw["query"].strip():
            texts.add(raw["query_id"], raw["query"], f"{path}, line {number}")
            names = {name: raw[name] for name in ("query_id", "query")}
            rows.append(names | {"member_id": raw.get("member_id", "").strip()})
    return rows


def _entities(path: Path, key: str, texts: tuple[str, ...]) -> list[Row]:
    rows: dict[str, Row] = {}
    for number, raw in read_json_lines(path):
        where = f"{path}, line {number}"
        row: Row = {key: _text(raw, key, where)}
        row |= {name: _text(raw, name, where)[:MAX_TEXT_CHARACTERS] for name in texts}
        row |= {name: _object(raw, name, where) for name in ("attributes", "groups")}
        # A pair's id joins three ids by line breaks: with one inside, two pairs could share it.
        if not row[key] or row[key] in rows or "\n" in row[key]:
            raise CookbookError(
                f"{where}: each row has a {key} of its own, on one line; came {row[key]!r} again, "
                "empty or broken. Remove one of the rows, or rename it."
            )
        rows[row[key]] = row
    if not rows:
        raise CookbookError(f"{path} needs at least one row, and is empty.")
    return list(rows.values())


def _text(raw: Mapping[str, Any], name: str, where: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str):
        came = "nothing" if value is None else type(value).__name__
        raise CookbookError(f"{where}: {name} must be text; came {came}. Add it, in double quotes.")
    return value


def _object(raw: Mapping[str, Any], name: str, where: str) -> str:
    value = raw.get(name) or {}
    if isinstance(value, str):
        value = parse_json_line(value, f"{where}, {name}")
    if not isinstance(value, Mapping):
        raise CookbookError(
            f"{where}: {name} must be a JSON object; came {type(value).__name__}. "
            f'Write it as {{"key": "value"}}.'
        )
    # A Parquet table may hold dates; as text they mean the same.
    return json.dumps(value, ensure_ascii=False, default=str)
