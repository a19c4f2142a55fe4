"""The step that reads the whole log, and how its words join a click teacher's rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from tasks.click_words import learn_click_words
from tasks.core.domain.catalog import DOCUMENTS, MEMBERS
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import columns_of, read_rows, write_table
from tasks.exchange import (
    CLICK_WORDS,
    IMPRESSIONS,
    JUDGMENTS,
    PROPENSITIES,
    TOP_WORDS,
    TRAINING_LOG,
    Domain,
)
from tasks.run import open_run
from tasks.settings import BaseModelSettings, ClickWordsSettings
from tasks.train_teachers import clicks_of
from tests.test_distill import made

ENCODER = BaseModelSettings(source="random_encoder", name="tiny")
MEMBER_ROWS = [{"member_id": "m0", "text": "surgeon", "attributes": "{}", "groups": "{}"}]


def write_catalog(folder: Path) -> None:
    rows = [
        {"doc_id": f"d{number}", "title": "remote work" if number % 2 else "office work"}
        | {"text": "night shifts", "attributes": "{}", "groups": "{}"}
        for number in range(8)
    ]
    write_table(folder / DOCUMENTS, columns_of(rows))
    write_table(folder / MEMBERS, columns_of(MEMBER_ROWS))


def pair(name: str, query: str, document: str) -> dict[str, Any]:
    """What says which texts make up a pair."""
    return {"pair_id": name, "query_id": query, "query": f"{query} jobs"} | {
        "member_id": "m0",
        "doc_id": document,
    }


def write_log(folder: Path) -> None:
    """Remote work is clicked in 3 of 4 impressions, office work in 1 of 4; two rows were kept."""
    log = [
        {"query": f"q{number % 5} jobs", "doc_id": f"d{number % 8}", "weight": 1.0}
        | {"clicked": int((number // 8 % 4 == 0) != bool(number % 2))}
        for number in range(320)
    ]
    kept = [
        pair("a", "q0", "d0")
        | {"impression_id": "i0", "clicked": 0, "weight": 2.0, "use": "train"},
        pair("b", "q0", "d1")
        | {"impression_id": "i0", "clicked": 1, "weight": 2.0, "use": "train"},
    ]
    write_table(folder / TRAINING_LOG, columns_of(log))
    write_table(folder / IMPRESSIONS, columns_of(kept))
    (folder / PROPENSITIES).write_text(json.dumps({"actions": ["clicked"]}))


def write_judgments(folder: Path) -> None:
    graded = [pair("b", "q0", "d1"), pair("c", "q9", "d2"), pair("d", "q9", "d3")]
    write_table(folder / JUDGMENTS, columns_of([row | {"use": "train"} for row in graded]))


def learned(store: Path, settings: ClickWordsSettings) -> Artifact | None:
    """What the step makes, without Prefect around it."""
    step: Any = learn_click_words
    with open_run(store, "toy"):
        catalog = made("catalog", write_catalog)
        domain = Domain(catalog, catalog, catalog, None, None, None)
        judgments, log = made("judgments", write_judgments), made("impressions", write_log)
        assert step.fn(domain, judgments, None, None, ENCODER, settings) is None
        found: Artifact | None = step.fn(domain, judgments, None, log, ENCODER, settings)
    return found


def test_every_pair_that_may_teach_gets_what_the_whole_log_says_of_its_words(
    tmp_path: Path,
) -> None:
    found = learned(tmp_path, ClickWordsSettings(l2=1.0))
    assert found is not None
    assert found.counts["rows"] == 320
    chances = {
        row["pair_id"]: expit(row["logits"][0]) for row in read_rows(found.file(CLICK_WORDS))
    }
    assert list(chances) == ["b", "c", "d", "a"]
    remote, office = [chances["b"], chances["d"]], [chances["a"], chances["c"]]
    np.testing.assert_allclose(remote, 0.75, atol=0.03)
    np.testing.assert_allclose(office, 0.25, atol=0.03)
    top = found.json(TOP_WORDS)["clicked"]
    assert "remote" in top["more"][0]
    assert "office" in top["less"][0]


def test_without_a_share_no_model_is_made(tmp_path: Path) -> None:
    assert learned(tmp_path, ClickWordsSettings(share=0)) is None


def test_pairs_never_shown_join_with_what_is_expected_and_weigh_nothing() -> None:
    """A pair shown twice keeps both rows; lists are impressions, then queries."""
    shown = [
        pair("a", "q0", "d0") | {"impression_id": "i0", "clicked": 1, "weight": 4.0},
        pair("b", "q0", "d1") | {"impression_id": "i0", "clicked": 0, "weight": 4.0},
        pair("a", "q0", "d0") | {"impression_id": "i1", "clicked": 0, "weight": 2.0},
    ]
    known = [
        pair("c", "q9", "d2") | {"logits": [2.0]},
        pair("a", "q0", "d0") | {"logits": [-1.0]},
        pair("b", "q0", "d1") | {"logits": [0.0]},
    ]
    given = clicks_of(shown, ["clicked"]).with_expected(known)
    assert [row["pair_id"] for row in given.rows] == ["a", "b", "a", "c"]
    assert given.taken.tolist() == [[1.0], [0.0], [0.0], [0.0]]
    assert given.weights.tolist() == [[4.0], [1.0], [1.0], [0.0]]
    assert given.expected is not None
    np.testing.assert_allclose(given.expected[:, 0], expit([-1.0, 0.0, -1.0, 2.0]))
    assert given.lists().tolist() == [0, 0, 1, 2]
