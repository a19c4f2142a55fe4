"""Groups reach no prompt, label, training row, feature, model or log: a marker would be found.

Every group of the shared domain carries a marker; the run's whole store, its output and
Prefect's own database are searched for it, tables cell by cell.
"""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.inputs import InputTemplate
from tasks.core.report.schema import validate_report
from tests.flows.conftest import GROUP_MARKER
from tests.flows.smoke import report_of

pytestmark = pytest.mark.slow

# The catalog is the user's own file as a table; the rest name groups, and nobody in them.
ALLOWED = (
    "artifacts/catalog/",
    "artifacts/conflicts/",
    "artifacts/fairness/",
    "job_search/finished/",
    "registry/",
)


def holds_marker(path: Path) -> bool:
    if path.suffix == ".parquet":
        return GROUP_MARKER in str(pq.read_table(path).to_pydict())
    return GROUP_MARKER.encode() in path.read_bytes()


def marked(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path.relative_to(folder).as_posix() for path in files if holds_marker(path))


def test_the_marker_is_where_it_may_be_and_nowhere_else(store: Path) -> None:
    found = marked(store)
    allowed = {place for place in ALLOWED if any(place in path for path in found)}
    assert {"artifacts/catalog/", "artifacts/fairness/", "job_search/finished/"} <= allowed
    assert [path for path in found if not any(place in path for place in ALLOWED)] == []


def test_a_registered_model_names_compared_groups_in_its_card_alone(store: Path) -> None:
    versions = store / "job_search" / "registry" / "versions"
    assert {Path(path).name for path in marked(versions)} <= {"manifest.json"}


def test_neither_output_nor_the_servers_database_holds_it(root: Path, store: Path) -> None:
    assert GROUP_MARKER not in (store / "first_output.txt").read_text()
    assert marked(root.parent / "prefect") == []


def test_no_text_that_a_model_or_a_judge_reads_holds_it(store: Path) -> None:
    (folder,) = {path.parent for path in store.glob("artifacts/catalog/*/documents.parquet")}
    catalog = Catalog.load(folder)
    rows = [
        {"query": "nurse", "doc_id": doc_id, "member_id": member_id}
        for doc_id, member_id in zip(catalog.documents, catalog.members, strict=False)
    ]
    pairs = catalog.pairs(InputTemplate(max_tokens=64), rows)
    texts = [*(f"{pair.left} {pair.right}" for pair in pairs), *catalog.retrieval_texts()]
    assert len(texts) > 500
    assert [text for text in texts if GROUP_MARKER in text] == []


def test_the_report_compares_the_marked_groups(store: Path) -> None:
    """Else the other tests would pass on a run that read no groups at all."""
    report = report_of(store)
    validate_report(report)
    found = report["fairness"]
    assert any(name.startswith("member gender: zqgroup_") for name in found["groups"])
    tiers = {metric["tier"] for metric in found["metrics"]}
    assert {"judge", "policy_teacher", "click_teacher", "pruned_student", "personalized"} <= tiers
    assert {growth["teacher"] for growth in found["growth"]} == {
        "judge", "policy_teacher", "click_teacher", "pruned_student",
    }  # fmt: skip
    assert {metric["tier"] for metric in found["twins"]["metrics"]} == {
        "judge", "policy_teacher", "pruned_student",
    }  # fmt: skip
    # The log keeps the promotion's own words; a later run's report says that nothing changed.
    log = (store / "job_search" / "registry" / "log.jsonl").read_text(encoding="utf-8")
    promoted = [one for one in map(json.loads, log.splitlines()) if one["event"] == "promoted"]
    assert re.search("[Ff]airness|[Nn]o gap", promoted[0]["reason"])
