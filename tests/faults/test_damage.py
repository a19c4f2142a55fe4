"""Damaged artifacts are found by hash and made again."""

import shutil
from pathlib import Path

import pytest

from tests.flows.smoke import content_digests, smoke_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def damage(path: Path, how: int) -> None:
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path.write_bytes([content[: len(content) // 2], bytes(flipped), b""][how % 3])


def test_artifacts_cut_emptied_or_altered_are_made_again(
    root: Path,
    undisturbed: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    store = tmp_path / "runs"
    shutil.copytree(undisturbed, store, symlinks=True)
    files = sorted(
        path
        for suffix in ("parquet", "safetensors", "json")
        for path in store.glob(f"artifacts/*/*/**/*.{suffix}")
        if path.stat().st_size
    )
    for number, path in enumerate(files[::3]):
        damage(path, number)
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight
    rebuilt = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    assert len(rebuilt) > 0
