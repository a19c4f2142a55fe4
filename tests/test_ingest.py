"""The step `ingest`: files that are each in order and contradict each other."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.core.domain.impressions import REQUIRED
from tasks.core.errors import CookbookError
from tasks.exchange import Domain
from tasks.ingest import ingest
from tasks.run import open_run
from tasks.settings import GoldenSettings
from tests.core.labeling.conftest import POLICY_TEXT

VALUES = ["i1", "q1", "chef", "m1", "d1", "1", "0", "1", "2026-01-31T08:00:00Z"]
SHOWN = dict(zip(REQUIRED, VALUES, strict=True))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Golden data, traffic and a log, whose query_ids all mean the same query."""
    policy, data = (tmp_path / part / "shop" for part in ("policy", "golden_data"))
    policy.mkdir(parents=True)
    data.mkdir(parents=True)
    (policy / "policy.md").write_text(POLICY_TEXT, encoding="utf-8")
    (data / "documents.jsonl").write_text(
        "".join(json.dumps({"doc_id": f"d{n}", "title": "a", "text": "b"}) + "\n" for n in range(4))
    )
    graded = [
        {"query_id": f"g{q}", "query": f"hose {q}", "doc_id": f"d{d}", "grade": (q + d) % 3}
        for q in range(12)
        for d in range(4)
    ]
    write(data / "golden.csv", graded)
    write(data / "queries.csv", [{"query_id": "q1", "query": "chef"}])
    write(data / "impressions.csv", [SHOWN, SHOWN | {"query_id": "g1", "query": "Hose 1"}])
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def ingested(root: Path) -> Domain:
    step: Any = ingest
    with open_run(root / "runs", "shop"):
        found: Domain = step.fn("shop", root, GoldenSettings())
    return found


def test_files_that_agree_are_read(root: Path) -> None:
    found = ingested(root)
    assert found.traffic is not None
    assert found.traffic.counts["queries"] == 1


@pytest.mark.parametrize(
    ("file", "rows", "other"),
    [
        ("queries.csv", [{"query_id": "g1", "query": "red rake"}], "golden.csv"),
        ("impressions.csv", [SHOWN | {"query_id": "g1", "query": "red rake"}], "golden.csv"),
        ("impressions.csv", [SHOWN | {"query": "red rake"}], "queries.csv"),
    ],
)
def test_a_query_id_that_means_two_queries_in_two_files_is_refused(
    root: Path, file: str, rows: list[dict[str, Any]], other: str
) -> None:
    """Numbered from 1 in both, their pairs got one id, and the traffic's labels the grades."""
    write(root / "golden_data" / "shop" / file, rows)
    for _ in range(2):  # also where each file was read before
        with pytest.raises(CookbookError) as caught:
            ingested(root)
        said = str(caught.value)
        assert f"{file}: a query_id has one query in all files" in said
        assert f"{rows[0]['query_id']!r} came with 'red rake' here and with" in said
        assert said.partition("here and with")[2].partition("Give")[0].strip().endswith(f"{other}.")


def test_grades_of_a_dimension_that_the_policy_lacks_are_told(root: Path) -> None:
    """Mistyped, the column would switch off a check of the judge, and nobody knew."""
    golden = root / "golden_data" / "shop" / "golden.csv"
    with golden.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for column, told in (("dim_NEED", 0), ("dim_NEEDS", 1), ("dim_need", 1)):
        write(golden, [row | {column: row["grade"]} for row in rows])
        step: Any = ingest
        with open_run(root / "runs", "shop") as run:
            step.fn("shop", root, GoldenSettings())
        found = [one["reason"] for one in run.skipped if one["step"] == "grades by dimension"]
        assert len(found) == told
        assert all(column.removeprefix("dim_") in one and "dim_NEED, dim_" in one for one in found)


def test_golden_data_without_an_order_is_refused(root: Path) -> None:
    rows = [
        {"query_id": f"g{q}", "query": f"hose {q}", "doc_id": "d1", "grade": q % 3}
        for q in range(12)
    ]
    write(root / "golden_data" / "shop" / "golden.csv", rows)
    with pytest.raises(CookbookError, match="has one grade for all its documents"):
        ingested(root)
