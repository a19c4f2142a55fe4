"""Files are whole or absent; digests stand for content."""

import hashlib
import math
import os
from pathlib import Path

import pytest

from tasks.core.store import files
from tasks.core.store.files import (
    canonical_json,
    digest_of,
    file_sha256,
    sync_tree,
    write_atomically,
    write_json,
)


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(path) == expected


def test_a_digest_depends_on_content_and_not_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.5})
    assert digest_of({"a": "1"}) != digest_of({"a": 1})
    assert digest_of("x") == hashlib.sha256(b'"x"').hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_json_lacks_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"loss": value})


def test_a_failed_write_keeps_the_old_content_and_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "current.json"
    write_json(path, {"version": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"version": 2})
    assert path.read_text() == '{\n "version": 1\n}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["current.json"]


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    write_atomically(tmp_path / "journal", b"member", mode=0o600)
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def test_a_tree_is_synced_file_by_file_before_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table").write_text("rows")
    (tmp_path / "card").write_text("{}")
    synced: list[str] = []

    def remember(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(files.os, "fsync", remember)
    sync_tree(tmp_path)
    assert synced == ["card", "table", "deep", tmp_path.name]
