"""Guards that training and serving read the same text of a pair."""

from tasks.core.domain.catalog import Catalog
from tasks.core.inputs import InputTemplate, render_pair

TEXTS = {"d1": "We are friendly. Icu it is.", "d2": "We are quick. Triage it is.", "d3": ""}


def test_pairs_are_rendered_each_as_one_alone_is():
    """Candidates are rendered once, whoever asks: as the template says, and no other's text."""
    documents = {
        name: {"title": "Nurse", "text": text, "attributes": "{}"} for name, text in TEXTS.items()
    }
    catalog = Catalog(documents, {"m1": {"member_id": "m1", "text": "A cook"}})
    template = InputTemplate(max_tokens=16, worths={"icu": 3.0, "triage": 3.0})
    rows = [
        {"query": query, "member_id": member, "doc_id": name}
        for name in ("d2", "d1", "d3", "d2")
        for query, member in (("nurse", "m1"), ("nights", ""))
    ]
    expected = [
        render_pair(
            template,
            row["query"],
            "A cook" if row["member_id"] else "",
            documents[row["doc_id"]],
        )
        for row in rows
    ]
    assert catalog.pairs(template, rows) == expected
    assert expected[0].right == "Nurse. Triage it is. We are quick."
