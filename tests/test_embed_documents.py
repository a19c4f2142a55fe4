"""Documents are embedded once: whoever needs one later reads the vector, and gets the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.document_vectors import document_vectors
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.tables import write_table
from tasks.core.training.base_models import BaseModel
from tasks.embed_documents import embed_graded, embed_shown
from tasks.exchange import GOLDEN, IMPRESSIONS, Domain, known_vectors
from tasks.run import open_run
from tests.test_distill import made
from tests.test_people_grades import DOCUMENT_ROWS, ENCODER, write_catalog

STEPS: tuple[Any, Any] = (embed_graded, embed_shown)


def test_documents_that_are_graded_or_shown_are_embedded_as_the_encoder_does(
    tmp_path: Path,
) -> None:
    ids = [str(row["doc_id"]) for row in DOCUMENT_ROWS]
    with open_run(tmp_path, "toy"):
        catalog = made("catalog", write_catalog)
        golden = made("golden", lambda out: write_table(out / GOLDEN, {"doc_id": ids[:1] * 3}))
        shown = {"doc_id": ids[1:2] * 2}
        drawn = made("impressions", lambda out: write_table(out / IMPRESSIONS, shown))
        domain = Domain(golden, golden, catalog, None, drawn, None)
        made_of_grades = STEPS[0].fn(domain, ENCODER)
        graded = known_vectors(made_of_grades)
        both = known_vectors(STEPS[1].fn(domain, made_of_grades, drawn, ENCODER))
        assert STEPS[1].fn(domain, made_of_grades, None, ENCODER) is made_of_grades
    encoder = TextEncoder.of(BaseModel(**ENCODER.model_dump()))
    texts = [Catalog.load(catalog.folder).judged_text(doc_id) for doc_id in ids[:2]]
    assert list(both) == ids[:2]
    assert list(graded) == ids[:1]
    np.testing.assert_array_equal(both[ids[0]], graded[ids[0]])  # taken over, bit by bit
    for mine, reference in zip(both.values(), encoder.embed(texts, max_tokens=64), strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-6)


def test_a_known_document_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run(tmp_path, "toy"):
        catalog = Catalog.load(made("catalog", write_catalog).folder)
    encoder = TextEncoder.of(BaseModel(**ENCODER.model_dump()))
    read: list[str] = []
    whole = TextEncoder.embed

    def embed(self: TextEncoder, texts: Any, **options: Any) -> Any:
        read.extend(texts)
        return whole(self, texts, **options)

    monkeypatch.setattr(TextEncoder, "embed", embed)
    fresh = document_vectors(encoder, catalog, ["d2", "d0"], {})
    assert len(read) == 2
    again = document_vectors(encoder, catalog, ["d0", "d1", "d2", "d1"], fresh)
    assert read[2:] == [catalog.judged_text("d1")]
    assert list(again) == ["d0", "d1", "d2"]
    assert all(again[name] is fresh[name] for name in fresh)
