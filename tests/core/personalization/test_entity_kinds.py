"""Who shares an effect: ids, or values of an attribute; what is not stated is a value too."""

import json
import re

import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.personalization.entity_kinds import PATTERN, entities_of_kind
from tasks.settings import EffectSettings

CATALOG = Catalog(
    {
        "j1": {"attributes": json.dumps({"company": "Marlow", "level": 3}), "groups": "{}"},
        "j2": {"attributes": "", "groups": json.dumps({"employer_size": "small"})},
    },
    {"m1": {"attributes": json.dumps({"place": "Lisbon"})}},
)
ROWS = [
    {"member_id": "m1", "doc_id": "j1", "query": "nurse"},
    {"member_id": "", "doc_id": "j2", "query": "clerk"},
    {"member_id": "m9", "query": "cook", "attributes": {"company": "Own"}},
]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("member", ["m1", "", "m9"]),
        ("job", ["j1", "j2", ""]),
        ("query", ["nurse", "clerk", "cook"]),
        ("document.company", ["Marlow", "", "Own"]),
        ("document.level", ["3", "", ""]),
        ("member.place", ["Lisbon", "", ""]),
    ],
)
def test_a_row_belongs_to_the_entity_of_its_kind(kind: str, expected: list[str]) -> None:
    assert re.match(PATTERN, kind)
    assert entities_of_kind(kind, ROWS, CATALOG) == expected


def test_a_group_is_no_attribute_and_can_have_no_effect() -> None:
    assert entities_of_kind("document.employer_size", ROWS, CATALOG) == ["", "", ""]


def test_settings_take_the_kinds_that_rows_have_and_no_others() -> None:
    assert EffectSettings(entity="document.company").entity == "document.company"
    for wrong in ("company", "document.", "rater", "document.a/b"):
        assert not re.match(PATTERN, wrong)
        with pytest.raises(ValueError, match="entity"):
            EffectSettings(entity=wrong)
