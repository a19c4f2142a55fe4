"""A request to the judge bears the member for the journal, and only texts leave the machine."""

from tasks.asking import label_request
from tasks.core.domain.catalog import Catalog
from tasks.settings import JudgeSettings


def test_a_request_names_the_member_whom_its_answer_is_about() -> None:
    """Without the name the answer could never be found when the member is to be forgotten."""
    document = {"title": "ward nurse", "text": "in town", "attributes": "{}"}
    member = {"member_id": "m1", "text": "a nurse", "attributes": "{}"}
    catalog, settings = Catalog({"d": document}, {"m1": member}), JudgeSettings()
    row = {"pair_id": "p", "query": "nurse", "doc_id": "d"}
    owners = {who: label_request(catalog, row | {"member_id": who}, settings) for who in ("m1", "")}
    assert {who: request.member_id for who, request in owners.items()} == {"m1": "m1", "": ""}
