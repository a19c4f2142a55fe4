"""The shipped files keep the promises of the data card: hard enough, graded widely enough."""

import csv
import gzip
import json
from pathlib import Path

import bm25s
import numpy as np
import pytest
from sklearn.metrics import ndcg_score

FOLDER = Path(__file__).parents[3] / "golden_data" / "job_search"
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def golden() -> Rows:
    """golden.csv with the noise-free grade as `truth`."""
    with (FOLDER / "golden.csv").open() as file:
        rows = list(csv.DictReader(file))
    with gzip.open(FOLDER / "truth" / "grades.csv.gz", "rt") as file:
        truth = list(csv.DictReader(file))
    return [row | {"truth": known["grade"]} for row, known in zip(rows, truth, strict=True)]


def test_every_grade_has_at_least_eight_percent_of_the_pairs(golden: Rows) -> None:
    shares = np.bincount([int(row["truth"]) for row in golden], minlength=5) / len(golden)
    assert shares.min() >= 0.08


def test_half_of_400_golden_queries_with_20_candidates_are_sealed(golden: Rows) -> None:
    split = {row["query_id"]: row["split"] for row in golden}
    assert len(golden) == 20 * len(split) == 8000
    assert list(split.values()).count("sealed") == 200


def test_bm25_does_not_solve_the_sealed_queries(golden: Rows) -> None:
    with gzip.open(FOLDER / "documents.jsonl.gz", "rt") as file:
        documents = [json.loads(line) for line in file]
    number = {document["doc_id"]: i for i, document in enumerate(documents)}
    texts = [f"{document['title']}. {document['text']}" for document in documents]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    values = []
    sealed = [row for row in golden if row["split"] == "sealed"]
    for start in range(0, len(sealed), 20):
        rows = sealed[start : start + 20]
        words = bm25s.tokenize([rows[0]["query"]], return_ids=False, show_progress=False)[0]
        scores = index.get_scores(words)[[number[row["doc_id"]] for row in rows]]
        gains = 2.0 ** np.array([int(row["truth"]) for row in rows]) - 1
        if gains.any():
            values.append(ndcg_score([gains], [scores], k=10))
    assert 0.6 < np.mean(values) < 0.75


def test_position_ten_has_at_least_500_clicks() -> None:
    with gzip.open(FOLDER / "impressions.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["position"] == "10"]
    assert sum(row["clicked"] == "1" for row in rows) >= 500


def test_most_members_have_enough_rows_to_learn_their_taste() -> None:
    with gzip.open(FOLDER / "impressions.csv.gz", "rt") as file:
        counts: dict[str, int] = {}
        for row in csv.DictReader(file):
            counts[row["member_id"]] = counts.get(row["member_id"], 0) + 1
    assert sum(200 <= count <= 800 for count in counts.values()) >= 500
