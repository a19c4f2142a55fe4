"""Each mistake a user can make in a domain's files: one sentence, exit code 2, nothing half-made.

The whole command runs, with one Prefect server for all. Endpoints that are down, refuse the key
or do not know the model are in tests/core/labeling/test_client.py, a broken line of `score` in
test_smoke_run.py, and a disk without room in tests/faults/test_full_disk.py.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.context import refresh_global_settings_context

from flows.cli import main
from flows.local_server import check_server, prefect_server
from tasks.core.store.lock import run_lock
from tasks.core.training import base_models
from tests.flows.smoke import half_files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your_own_domain.md"
DOCUMENT = '{{"doc_id": "p{}", "title": "Garden hose {}", "text": "A hose of {} m."}}\n'


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server: starting one for each case would take a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        with prefect_server() as address:
            check_server(address)
            # Another module may have imported Prefect before: it would go by what it read then,
            # and start a server of its own, with the user's own database.
            refresh_global_settings_context()
            yield
    refresh_global_settings_context()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The garden shop of docs/your_own_domain.md, with grades."""
    policy = re.search(r"```markdown\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert policy is not None
    (tmp_path / "policy" / "garden").mkdir(parents=True)
    (tmp_path / "policy" / "garden" / "policy.md").write_text(policy[1])
    data = tmp_path / "golden_data" / "garden"
    data.mkdir(parents=True)
    documents = "".join(DOCUMENT.format(number, number, number) for number in range(12))
    (data / "documents.jsonl").write_text(documents)
    rows = [f"q{q},hose {q} m,p{p},{(q + p) % 3}" for q in range(45) for p in range(4)]
    (data / "golden.csv").write_text("query_id,query,doc_id,grade\n" + "\n".join(rows) + "\n")
    return tmp_path


def fails(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the smoke profile on the garden shop; the one line that it ends with."""
    arguments = ["run", "--profile", "smoke", "--domain", "garden", "--root", str(root)]
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments, "--store", str(root / "runs")])
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("cookbook: "), error
    assert error.count("\n") == 1, error
    assert half_files(root / "runs") == []
    assert not (root / "runs" / "garden" / "latest").exists()
    return error


def policy(old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / "policy" / "garden" / "policy.md"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def golden(more: bytes, *, alone: bool = False) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / "golden_data" / "garden" / "golden.csv"
        path.write_bytes(more if alone else path.read_bytes() + more)

    return edit


HEADER = b"query_id,query,doc_id,grade\n"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param(policy("---\npolicy: garden", "policy: garden"), "front matter", id="none"),
        pytest.param(policy("policy: garden", "policy: [garden"), "front matter", id="malformed"),
        pytest.param(policy("### KIND-2", "### KIND-1"), "KIND-1 twice", id="clause twice"),
        pytest.param(policy("### SPEC-1", "### KIND-3"), "SPEC", id="dimension without clause"),
        pytest.param(golden(b"q0,hose 0 m,p99,1\n"), "'p99'", id="unknown document"),
        pytest.param(golden(b"q0,hose 0 m,p9,3\n"), "from 0 to 2", id="off the scale"),
        pytest.param(golden(b"q0,hose 0 m,p9,NaN\n"), "'NaN'", id="not a number"),
        pytest.param(golden(b"q0,hose 0 m,p0,1\n"), "one grade", id="two grades"),
        pytest.param(golden(b"q0,hose \xff,p9,1\n"), "UTF-8", id="not UTF-8"),
        pytest.param(golden(b"", alone=True), "query_id, query", id="empty file"),
        pytest.param(golden(HEADER, alone=True), "golden.csv", id="header alone"),
        pytest.param(
            golden(HEADER + b"q0,hose,p1,1\nq0,hose,p2,0\n", alone=True), "quer", id="one query"
        ),
    ],
)
def test_a_broken_file_is_one_sentence_and_leaves_nothing_half(
    root: Path, capsys: pytest.CaptureFixture[str], edit: Callable[[Path], None], says: str
) -> None:
    edit(root)
    assert says in fails(root, capsys)


def test_a_missing_file_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "golden_data" / "garden" / "documents.jsonl").unlink()
    assert "documents.jsonl" in fails(root, capsys)


def test_a_store_that_another_run_holds_is_one_sentence(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_lock(root / "runs"):
        assert "must be free" in fails(root, capsys)


def test_embedded_weights_of_another_hash_are_one_sentence(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smoke profile's random encoder takes its tokenizer from the same package."""
    monkeypatch.setattr(base_models, "EMBEDDED_SHA256", "0" * 64)
    assert f"sha256 {'0' * 64}" in fails(root, capsys)
