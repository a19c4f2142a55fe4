"""The value that candidates are ranked by, and which lines may be scored."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.domain.catalog import Catalog
from tasks.core.domain.corpus import MAX_TEXT_CHARACTERS, read_documents
from tasks.core.errors import CookbookError
from tasks.core.serving import Mix, ServedModel, open_model, score_file
from tasks.core.store.registry import Registry
from tasks.core.text import pair_id
from tests.core.training.tiny import tiny_scorer

EMPTY = Catalog({}, {})
FIELDS = ("query_id", "query", "doc_id", "member_id", "title", "text", "attributes", "groups")
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def test_the_value_is_the_weighted_mean_above_the_floor_and_relevance_alone_below() -> None:
    mix = Mix(relevance_weight=0.75, relevance_floor=0.5)
    values = mix(np.array([0.8, 0.4]), np.array([0.2, 1.0]))
    # 0.75 * 0.8 + 0.25 * 0.2 and 0.75 * 0.4: a sure click lifts nothing irrelevant.
    np.testing.assert_allclose(values, [0.65, 0.3])


def test_without_clicks_the_value_is_the_relevance() -> None:
    relevances = np.array([0.1, 0.9])
    np.testing.assert_array_equal(Mix()(relevances, None), relevances)


def test_a_registry_without_a_model_in_service_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CookbookError, match="model in service"):
        open_model(Registry(tmp_path))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "line 2: a line holds one JSON object"),
        ("[]", "line 2: a line holds one JSON object"),
        ('{"query_id": 7, "query": "nurse", "title": "a", "text": "b"}', "query_id is not"),
        ('{"query_id": "7", "query": "nurse", "doc_id": "absent"}', "'absent'"),
        ('{"query_id": "7", "query": "nurse", "title": "a"}', "title and text"),
        ('{"query_id": "7", "query": "nurse", "title": "a", "text": NaN}', "NaN"),
        (
            '{"query_id": "7", "query": "n", "title": "a", "text": "b", "attributes": [1]}',
            "attributes are one JSON object",
        ),
    ],
)
def test_a_broken_line_is_named_and_leaves_nothing_behind(
    tmp_path: Path, line: str, expected: str
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = json.dumps({"query_id": "1", "query": "nurse", "title": "Nurse", "text": "Nights."})
    source.write_text(f"{good}\n{line}\n")
    nothing_loaded = ServedModel.__new__(ServedModel)  # the lines are read before any model is
    with pytest.raises(CookbookError, match=expected):
        score_file(nothing_loaded, source, target, EMPTY)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_missing_input_is_a_clear_error(tmp_path: Path) -> None:
    nothing_loaded = ServedModel.__new__(ServedModel)
    with pytest.raises(CookbookError, match=r"no .*absent\.jsonl"):
        score_file(nothing_loaded, tmp_path / "absent.jsonl", tmp_path / "out", EMPTY)


@pytest.mark.parametrize("target", ["absent/scores.jsonl", "."])
def test_a_target_that_cannot_be_written_is_told_before_anything_is_scored(
    tmp_path: Path, tiny: ServedModel, target: str
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("never read")
    with pytest.raises(CookbookError, match="a folder that exists"):
        score_file(tiny, source, tmp_path / target, EMPTY)


def test_a_weight_that_is_no_share_is_a_clear_error() -> None:
    with pytest.raises(CookbookError, match="shares from 0 to 1"):
        Mix(relevance_weight=7.0)


def test_a_scored_pair_says_the_id_by_which_it_is_explained(tiny: ServedModel) -> None:
    row = {"query_id": "q", "query": "nurse", "title": "Nurse", "text": "Nights."}
    named, nameless = tiny.score([{**row, "doc_id": "d"}, row], EMPTY, Mix())
    assert named["pair_id"] == pair_id("q", None, "d")
    assert "pair_id" not in nameless


@pytest.fixture(scope="module")
def tiny() -> ServedModel:
    return ServedModel("v0001", tiny_scorer("random_encoder"), None)


def test_a_text_in_a_line_is_read_as_the_same_one_of_a_document(tmp_path: Path) -> None:
    """What a domain's documents lose at their cut must not come to the front of a line's text."""
    text = "We are a friendly place to be in. " * 700 + "Icu it is."
    assert len(text) > MAX_TEXT_CHARACTERS
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps({"doc_id": "d1", "title": "Nurse", "text": text}) + "\n")
    catalog = Catalog({row["doc_id"]: row for row in read_documents(path)}, {})
    scorer = tiny_scorer("random_encoder")
    scorer.template = replace(scorer.template, worths={"icu": 6.0})
    served = ServedModel("v0001", scorer, None)
    asked = {"query_id": "q", "query": "nurse"}
    in_line = served.text_read({**asked, "title": "Nurse", "text": text}, catalog)
    assert in_line == served.text_read({**asked, "doc_id": "d1"}, catalog)
    assert "icu" not in in_line


@settings(max_examples=40)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8) | JSON), max_size=3)
)
def test_any_objects_are_scored_or_a_clear_error(
    tiny: ServedModel, tmp_path: Path, rows: list[dict[str, object]]
) -> None:
    """With the fields that every pair has, so that most get past the first check."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    needed = {"query_id": "1", "query": "nurse", "title": "Nurse", "text": "Nights."}
    lines = [json.dumps(needed | row) for row in rows]
    source.write_text("".join(f"{line}\n" for line in lines))
    try:
        count = score_file(tiny, source, target, EMPTY)
    except CookbookError:
        return
    with target.open(encoding="utf-8") as lines_written:  # str.splitlines() ends lines in texts too
        scored = [json.loads(line) for line in lines_written]
    assert count == len(scored) == len(rows)
    assert all(0.0 <= row["relevance"] <= 1.0 for row in scored)
