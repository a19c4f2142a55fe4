"""The commands of docs/operations.md, given in their order where a run has ended."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from flows.cli import main
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model
from tests.flows.smoke import cookbook, report_of
from tests.test_docs import PROJECT, commands

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(root: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a person works: a finished run below it, three versions, and pairs to be scored."""
    folder = tmp_path_factory.mktemp("operations")
    shutil.copytree(store, folder / "runs", symlinks=True)
    registry = Registry(folder / "runs" / "job_search" / "registry")
    first = registry.current()
    assert first is not None
    for _ in range(2):
        registry.promote(_another(registry, first), reason="another run", by="test")
    pair = {"query_id": "1", "query": "nurse", "doc_id": "j00001", "member_id": "m00001"}
    lines = [json.dumps(pair | {"doc_id": f"j{number:05}"}) + "\n" for number in range(1, 200)]
    (folder / "pairs.jsonl").write_text("".join(lines))
    return folder


def _another(registry: Registry, model: Model) -> str:
    """The same files under a further name, as a run would register them with another card."""
    files = {path.name: path for path in model.folder.iterdir() if path.name != "manifest.json"}
    return registry.register(files, {**model.card, "copies": len(registry.versions())})


def served(folder: Path) -> str | None:
    return Registry(folder / "runs" / "job_search" / "registry").served_version()


# What each command says where it did what the page promises, by the words it begins with.
PROMISED = {
    "models list": "v0003",
    "models show": '"version": "v0002"',
    "models rollback": "v0002",
    "models promote": "v0003",
    "models export": "exported",
    "models reproduce": "v0002",
    "score": "199 pairs scored by v0003",
    "explain": '"lineage"',
    "drift": "stability index",
    "clean": "",
}


def test_the_page_can_be_followed_from_top_to_bottom(folder: Path, root: Path) -> None:
    followed = []
    for line in commands(PROJECT / "docs" / "operations.md"):
        begin = next(one for one in PROMISED if line.startswith(one))
        words = shlex.split(line)
        if "PAIR_ID" in words:
            first = (folder / "scores.jsonl").read_text().splitlines()[0]
            words[words.index("PAIR_ID")] = json.loads(first)["pair_id"]
        if begin in ("score", "explain", "models reproduce"):
            words += ["--root", str(root)]
        said = cookbook(folder, *words)
        print(line, "->", said[:300])
        assert PROMISED[begin] in said, (line, said)
        followed.append(begin)
        if begin == "models rollback":
            assert served(folder) == "v0002"
    assert {*followed} == PROMISED.keys()
    assert served(folder) == "v0003"
    assert (folder / "exported" / "scorer" / "model.safetensors").is_file()


def test_a_version_of_settings_that_are_gone_names_the_commit_that_knows_them(
    folder: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = folder / "runs"
    for path in (runs / "job_search" / "finished").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["settings"] |= {"renamed_since": 1}
        path.write_text(json.dumps(manifest))
    commit = report_of(runs)["environment"]["commit"]
    with pytest.raises(SystemExit):
        main(["models", "reproduce", "v0001", "--root", str(root), "--store", str(runs)])
    said = " ".join(capsys.readouterr().err.split())
    assert f"recorded at commit {commit}, and 1 of them are unknown here" in said
    assert list(runs.glob(".reproduce*")) == []
