"""Who shares an effect: a member, a job, a query, or all with one value of an attribute."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.core.domain.catalog import Catalog
from tasks.core.tables import Row

# "document.company" is one effect for each value of the documents' attribute `company`.
PATTERN = r"^(member|job|query|(member|document)\.[A-Za-z0-9_ -]{1,64})$"
_COLUMNS = {"member": "member_id", "job": "doc_id", "query": "query"}


def entities_of_kind(kind: str, rows: Sequence[Row], catalog: Catalog) -> list[str]:
    """The entity of each row (n,), such as its member or its document's company.

    Rows without the attribute share the entity "": what is not stated is a value too. A row
    that brings `attributes` of its own is read by those, since its document is not in the
    catalog.
    """
    source, _, attribute = kind.partition(".")
    if not attribute:
        return [_id(row, _COLUMNS[kind]) for row in rows]
    column, table = (
        ("member_id", catalog.members) if source == "member" else ("doc_id", catalog.documents)
    )
    own = source == "document"
    known = {
        key: _value(json.loads(table[key]["attributes"] or "{}"), attribute)
        for key in {_id(row, column) for row in rows}
        if key in table
    }
    return [
        _value(row["attributes"], attribute)
        if own and row.get("attributes")
        else known.get(_id(row, column), "")
        for row in rows
    ]


def _id(row: Row, column: str) -> str:
    return str(row.get(column) or "")


def _value(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    return "" if value is None else str(value)
