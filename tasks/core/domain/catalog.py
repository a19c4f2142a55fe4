"""Documents and members by id, and the texts that models and judges read of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.inputs import (
    InputTemplate,
    PairText,
    render_attributes_json,
    render_candidate,
    render_query,
)
from tasks.core.tables import Row, read_rows
from tasks.core.text import sanitize

# Between the fields of a document in one text.
FIELD_MARK = " | "
DOCUMENTS, MEMBERS = "documents.parquet", "members.parquet"


@dataclass(frozen=True)
class Catalog:
    """What is ranked and for whom; a domain without members has none."""

    documents: Mapping[str, Row]
    members: Mapping[str, Row]

    @classmethod
    def load(cls, folder: Path) -> "Catalog":
        documents = {row["doc_id"]: row for row in read_rows(folder / DOCUMENTS)}
        members = {row["member_id"]: row for row in read_rows(folder / MEMBERS)}
        return cls(documents, members)

    def member_text(self, member_id: str) -> str:
        """The member's text; empty where nobody in particular asks."""
        return str(self.members[member_id]["text"]) if member_id in self.members else ""

    def pairs(self, template: InputTemplate, rows: Iterable[Row]) -> list[PairText]:
        """Texts of rows with query, member_id and doc_id, as a scorer reads them."""
        rights: dict[str, str] = {}  # rows share candidates, whose sentences are put in order once
        pairs = []
        for row in rows:
            doc_id = row["doc_id"]
            if doc_id not in rights:
                rights[doc_id] = render_candidate(template, self.documents[doc_id])
            left = render_query(template, row["query"], self.member_text(row["member_id"]))
            pairs.append(PairText(left, rights[doc_id]))
        return pairs

    def scorer_texts(self, template: InputTemplate, rows: Iterable[Row]) -> list[str]:
        """Each side of a pair that a scorer may read, once: all documents, members and queries.

        Queries are those of ``rows``, with their member and without.
        """
        documents = [render_candidate(template, row) for row in self.documents.values()]
        members = [render_query(template, "", row["text"]) for row in self.members.values()]
        asked = (
            render_query(template, row["query"], member)
            for row in rows
            for member in ("", self.member_text(row["member_id"]))
        )
        return list(dict.fromkeys((*documents, *members, *asked)))

    def judged_text(self, doc_id: str) -> str:
        """A document as a judge reads it: title, text and attributes, never its groups."""
        document = self.documents[doc_id]
        parts = (
            document["title"],
            document["text"],
            render_attributes_json(document["attributes"]),
        )
        return FIELD_MARK.join(sanitize(part) for part in parts if part)

    def retrieval_texts(self) -> list[str]:
        """One text a document, in the catalog's order: title, text, attributes."""
        return [self.judged_text(doc_id) for doc_id in self.documents]


def doc_positions(catalog: Catalog) -> dict[str, int]:
    """Position of each document in the catalog's order."""
    return {doc_id: position for position, doc_id in enumerate(catalog.documents)}
