"""The golden-data workbench as a product manager walks it: sample, import, settle, split, agree."""

import csv
import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from flows.cli import main
from flows.commands.pipeline import _show_labels
from tasks.core.store.lock import run_lock
from tests.core.labeling.conftest import POLICY_TEXT

DOMAIN = "wards"
HOSTILE = '=HYPERLINK("http://evil.example")'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A domain with queries to sample from, and no golden data yet."""
    policy, data = tmp_path / "policy" / DOMAIN, tmp_path / "golden_data" / DOMAIN
    policy.mkdir(parents=True)
    data.mkdir(parents=True)
    (policy / "policy.md").write_text(POLICY_TEXT, encoding="utf-8")
    titles = ["ward nurse", "night nurse", "head nurse", "cook", "driver", HOSTILE]
    documents = [
        {"doc_id": f"d{n}", "title": title, "text": f"{title} in town {n}", "attributes": {}}
        for n, title in enumerate(titles * 3)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in documents)
    (data / "documents.jsonl").write_text(lines, encoding="utf-8")
    asked = "".join(f"q{n},{query}\n" for n, query in enumerate(("nurse", "cook", "driver")))
    (data / "queries.csv").write_text("query_id,query\n" + asked, encoding="utf-8")
    return tmp_path


def golden(command: str, *arguments: object, root: Path) -> None:
    names = ["--domain", DOMAIN, "--root", str(root)]
    main(["golden", command, *map(str, arguments), *names])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as lines:
        sheet = csv.DictWriter(lines, list(rows[0]))
        sheet.writeheader()
        sheet.writerows(rows)


def graded(rows: list[dict[str, str]], *, off: int) -> list[dict[str, str]]:
    """A rater's sheet: the grade is the document's number mod 4, and ``off`` rows differ."""
    grades = [int(row["doc_id"][1:]) % 4 for row in rows]
    return [
        row | {"grade": str((grade + 3) % 4 if place < off else grade)}
        for place, (row, grade) in enumerate(zip(rows, grades, strict=True))
    ]


@pytest.fixture
def sheet(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "sheet.csv"
    golden("sample", path, "--count", 20, "--store", tmp_path / "runs", root=root)
    return path


def test_a_sample_is_a_sheet_and_a_page_to_grade_in(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.csv"
    golden("sample", sheet, "--count", 20, "--store", tmp_path / "runs", root=root)
    rows, shown = read(sheet), capsys.readouterr().out
    assert f"{len(rows)} pairs in {sheet}" in shown
    assert all(row["grade"] == row["dim_NEED"] == "" and row["document"] for row in rows)
    assert not any(cell.startswith("=") for row in rows for cell in row.values())
    for written in (sheet, sheet.with_suffix(".html")):  # they show what members wrote
        assert written.stat().st_mode & 0o777 == 0o600
    page = sheet.with_suffix(".html").read_text(encoding="utf-8")
    assert "NEED-2" in page
    assert "http://" not in page.replace("http://evil.example", "")


def test_a_sheet_is_not_named_as_its_page(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page would be written over it."""
    said = refused(capsys, "sample", tmp_path / "sheet.html", root=root)
    assert f"such as {tmp_path / 'sheet.csv'}" in said
    assert not (tmp_path / "sheet.html").exists()


def test_a_sample_is_drawn_beside_a_training(root: Path, tmp_path: Path) -> None:
    """It only looks at the last labels; a training holds the store for hours."""
    store = tmp_path / "runs"
    (store / DOMAIN / "labels").mkdir(parents=True)
    with run_lock(store):
        golden("sample", tmp_path / "sheet.csv", "--count", 20, "--store", store, root=root)
    assert len(read(tmp_path / "sheet.csv")) > 0


def test_what_was_labeled_is_told_although_the_next_run_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tasks.past_labels.past_labels", lambda: iter([Mock()]))
    monkeypatch.setattr("tasks.label_records.read_labeling", Mock())
    monkeypatch.setattr("tasks.core.report.label_lines.label_lines", lambda _: ["20 labels"])
    with run_lock(tmp_path):
        _show_labels(tmp_path, DOMAIN)
    assert capsys.readouterr().out == "20 labels\n"


def test_raters_disagreements_come_back_with_what_they_read(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read(sheet)
    anna, ben, out = tmp_path / "anna.csv", tmp_path / "ben.csv", tmp_path / "golden.csv"
    write(anna, graded(rows, off=0))
    write(ben, graded(rows, off=3))
    with pytest.raises(SystemExit) as end:
        golden("import", anna, ben, "--output", out, root=root)
    said = capsys.readouterr()
    assert end.value.code == 2
    assert "human kappa:" in said.out
    assert "2 dimensions have no kappa" in said.out
    assert "raters differ on 3" in said.err
    assert not out.exists()
    waiting = read(tmp_path / "disagreements.csv")
    assert [row["document"] for row in waiting if row["document"]] != []
    assert {row["document"] for row in waiting} <= {row["document"] for row in rows}
    settled = tmp_path / "settled.csv"
    write(settled, [row | {"grade": "2"} for row in waiting])
    golden("import", anna, ben, "--output", out, "--settled", settled, root=root)
    found = read(out)
    assert len(found) == len(rows)
    assert {row["split"] for row in found} <= {"tune", "gate", "sealed"}
    by_pair = {(row["query_id"], row["doc_id"]): row["grade"] for row in found}
    assert all(by_pair[row["query_id"], row["doc_id"]] == "2" for row in waiting)


def refused(
    capsys: pytest.CaptureFixture[str], command: str, *arguments: object, root: Path
) -> str:
    with pytest.raises(SystemExit) as end:
        golden(command, *arguments, root=root)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_disagreements_that_are_half_settled_keep_what_was_filled_in(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, ben, out = tmp_path / "anna.csv", tmp_path / "ben.csv", tmp_path / "golden.csv"
    write(anna, graded(read(sheet), off=0))
    write(ben, graded(read(sheet), off=3))
    listed, sheets = tmp_path / "disagreements.csv", (anna, ben, "--output", out)
    refused(capsys, "import", *sheets, root=root)
    half = [row | {"grade": grade} for row, grade in zip(read(listed), ("2", "", "1"), strict=True)]
    write(listed, half)

    filled_in = listed.read_bytes()
    assert f"2 grades filled in there would be lost. Import again with --settled {listed}" in (
        refused(capsys, "import", *sheets, root=root)
    )
    assert listed.read_bytes() == filled_in

    said = refused(capsys, "import", *sheets, "--settled", listed, root=root)
    assert "raters differ on 1;" in said
    again = read(listed)
    assert [row["grade"] for row in again] == ["", "2", "1"]  # what is open stands first
    write(listed, [row | {"grade": row["grade"] or "0"} for row in again])
    golden("import", *sheets, "--settled", listed, root=root)
    grades = {(row["query_id"], row["doc_id"]): row["grade"] for row in read(out)}
    expected = zip(half, ("2", "0", "1"), strict=True)
    assert all(grades[row["query_id"], row["doc_id"]] == grade for row, grade in expected)


def test_golden_data_of_other_pairs_are_not_written_over(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, out, rows = tmp_path / "anna.csv", tmp_path / "golden.csv", graded(read(sheet), off=0)
    write(anna, rows)
    golden("import", anna, anna, "--output", out, root=root)
    golden("import", anna, anna, "--output", out, root=root)  # the same pairs: nothing is lost
    before = out.read_bytes()
    queries = {row["query_id"] for row in rows}
    fewer = [next(row for row in rows if row["query_id"] == query) for query in sorted(queries)]
    write(anna, fewer)
    said = refused(capsys, "import", anna, anna, "--output", out, root=root)
    assert f"{out} has {len(rows) - len(fewer)} graded pairs" in said
    assert out.read_bytes() == before


def test_a_sheet_that_somebody_graded_is_not_written_over(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = (sheet, "--count", 20, "--store", tmp_path / "runs")
    golden("sample", *again, root=root)  # nobody has graded it yet
    rows = read(sheet)
    write(sheet, [rows[0] | {"dim_NEED": "1"}, *rows[1:]])
    before = sheet.read_bytes()
    assert f"{sheet} has grades for 1 of its pairs" in refused(capsys, "sample", *again, root=root)
    assert sheet.read_bytes() == before


def test_a_split_is_shown_then_written_and_stays(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "golden_data" / DOMAIN / "golden.csv"
    rows = [
        {name: row[name] for name in ("query_id", "query", "doc_id", "grade")}
        for row in graded(read(sheet), off=0)
    ]
    write(path, rows)
    golden("split", root=root)
    shown = capsys.readouterr().out
    assert "split" not in read(path)[0]
    golden("split", "--write", root=root)
    assert capsys.readouterr().out.startswith(shown)
    written = path.read_bytes()
    golden("split", "--write", root=root)
    assert path.read_bytes() == written
    for line in shown.splitlines():
        name, _, _, pairs, _ = line.split()
        assert sum(row["split"] == name for row in read(path)) == int(pairs)


def test_agreement_needs_two_raters_and_measures_them(
    root: Path, sheet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "golden_data" / DOMAIN / "golden.csv"
    rows = graded(read(sheet), off=0)
    plain = [{name: row[name] for name in ("query_id", "query", "doc_id", "grade")} for row in rows]
    write(path, plain)
    with pytest.raises(SystemExit) as end:
        golden("agreement", root=root)
    assert end.value.code == 2
    assert "rater_1 and rater_2" in capsys.readouterr().err
    both = [row | {"rater_1": row["grade"], "rater_2": row["grade"]} for row in plain]
    write(path, both)
    golden("agreement", root=root)
    assert "human kappa: 1.000" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_one_sentence(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = tmp_path / "lost.csv"
    for command, arguments in (
        ("import", (sheet, lost, "--output", tmp_path / "golden.csv")),
        ("sample", (tmp_path / "nowhere" / "sheet.csv", "--store", tmp_path / "runs")),
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            golden(command, *arguments, root=root)
        error = capsys.readouterr().err
        assert end.value.code == 2
        assert error.startswith("cookbook: ")
        assert error.count("\n") == 1


def test_pairs_that_nobody_graded_are_counted_and_not_passed_over(
    root: Path, sheet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = graded(read(sheet), off=0)
    anna, ben, out = tmp_path / "anna.csv", tmp_path / "ben.csv", tmp_path / "golden.csv"
    for path in (anna, ben):
        write(path, [*rows[:-1], rows[-1] | {"grade": ""}])
    golden("import", anna, ben, "--output", out, root=root)
    assert f"{len(rows) - 1} pairs in {out}; 1 without a grade" in capsys.readouterr().out
