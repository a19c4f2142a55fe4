"""The gate orders candidates as they are served: each member's list by itself, calibrated."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from tasks.core.domain.catalog import Catalog
from tasks.core.training.scorer import PairScorer, relevance
from tasks.exchange import SCORER, Domain
from tasks.gate_split import OnGate, by_query, on_gate
from tasks.run import open_run
from tests.core.training.tiny import lively_scorer
from tests.test_distill import made
from tests.test_people_grades import write_catalog


def test_the_gate_measures_each_member_s_list_of_a_query_by_itself() -> None:
    """All that annie is offered is a better match than all that alice is; both orders are right."""
    rows = [
        {"query_id": "q", "member_id": member, "doc_id": f"d{grade}", "grade": grade}
        for member in ("alice", "annie")
        for grade in range(3)
    ]
    plain = np.array([np.eye(5)[row["grade"] + 2 * (row["member_id"] == "annie")] for row in rows])
    assert by_query(OnGate(plain, relevance(plain)).ndcg(rows)) == {"q": 1.0}


def test_the_gate_ranks_by_calibrated_grades_and_cuts_uncalibrated_ones(tmp_path: Path) -> None:
    """Expected grades change places with the temperature where a model is not evenly sure."""
    scorer = lively_scorer("random_encoder")
    scorer.calibration = {"temperature": 3.0}
    with open_run(tmp_path, "toy"):
        catalog = made("catalog", write_catalog)
        model = made("student", lambda out: scorer.save(out / SCORER))
    documents = Catalog.load(catalog.folder)
    rows = [
        {"query": query, "query_id": query, "member_id": None, "doc_id": doc_id, "grade": 1}
        for query in ("nurse", "pilot by night")
        for doc_id in documents.documents
    ]
    domain = Domain(catalog, catalog, catalog, None, None, None)
    found = on_gate(domain, model.file(SCORER), rows)
    serving = PairScorer.load(model.file(SCORER), for_scoring=True)
    logits = serving.logits(documents.pairs(serving.template, rows))
    assert found.plain == pytest.approx(softmax(logits, axis=1), abs=1e-5)
    assert found.relevance == pytest.approx(relevance(softmax(logits / 3, axis=1)), abs=1e-5)
    assert np.abs(found.relevance - relevance(found.plain)).max() > 1e-3
