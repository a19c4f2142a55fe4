"""A version that was damaged gets its bytes back, under its own name, whatever kills the run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core.store.registry import Registry

CARD = {"gate": {"ndcg": 0.8}}


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_card(path: Path) -> None:
    path.write_text(path.read_text().replace("0.8", "0.9"))


def other_hash(path: Path) -> None:
    """Of a file, so that the manifest and not the file is wrong."""
    name = '"scorer/weights": "'
    before, after = path.read_text().split(name)
    path.write_text(before + name + ("1" if after[0] == "0" else "0") + after[1:])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    scorer = tmp_path / "scorer"
    (scorer / "calibration").mkdir(parents=True)
    (scorer / "weights").write_text("weights")
    (scorer / "calibration" / "bins.json").write_text("{}")
    return {"scorer": scorer}


@pytest.fixture
def registry(tmp_path: Path, files: dict[str, Path]) -> Registry:
    """v0001, in service."""
    made = Registry(tmp_path / "registry")
    made.promote(made.register(files, CARD), reason="first", by="run")
    return made


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("scorer/weights", flipped),
        ("scorer/weights", Path.unlink),
        ("scorer/extra", lambda path: path.write_text("one too many")),
        ("manifest.json", other_card),
        ("manifest.json", other_hash),
    ],
)
def test_a_run_that_makes_a_damaged_version_again_mends_it(
    registry: Registry, files: dict[str, Path], name: str, damage: Callable[[Path], object]
) -> None:
    whole = registry.model("v0001")
    damage(whole.folder / name)
    assert registry.register(files, CARD) == "v0001"
    assert registry.current() == whole
    assert [path.name for path in whole.folder.parent.iterdir()] == ["v0001"]


def test_an_intact_version_is_left_alone(registry: Registry, files: dict[str, Path]) -> None:
    weights = registry.model("v0001").file("scorer/weights")
    before = weights.stat()
    registry.register(files, CARD)
    assert (weights.stat().st_ino, weights.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )


REGISTER = """
import sys
from pathlib import Path
from tasks.core.store.registry import Registry
folder = Path(sys.argv[1])
Registry(folder / "registry").register({"scorer": folder / "scorer"}, {"gate": {"ndcg": 0.8}})
"""


@pytest.mark.parametrize("point", ["registry_in_restore:1", "registry_in_restore:2"])
def test_a_kill_while_a_version_is_restored_harms_neither_its_name_nor_the_next_run(
    registry: Registry, tmp_path: Path, point: str
) -> None:
    whole = registry.model("v0001")
    for path in ("scorer/weights", "scorer/calibration/bins.json"):
        flipped(whole.file(path))
    script = [sys.executable, "-c", REGISTER, str(tmp_path)]
    armed = {**os.environ, "COOKBOOK_FAULT": point}
    assert subprocess.run(script, env=armed, check=False).returncode == -9
    assert registry.versions() == ["v0001"]
    subprocess.run(script, check=True)
    assert registry.current() == whole
    assert [path.name for path in whole.folder.parent.iterdir()] == ["v0001"]
