"""The estimate of a run's disk is above what runs took, and a run that lacks it never starts."""

from pathlib import Path

import pytest

from flows.needs import needed_bytes
from flows.profiles import changed, laptop, single_gpu, smoke
from tasks.core.domain.paths import find_domain
from tasks.settings import BaseModelSettings

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = find_domain("job_search", PROJECT)
GIB = 2**30


def test_a_laptop_run_is_estimated_above_what_one_took_and_not_far_above() -> None:
    """Its artifacts, registry and report took 0.87 GiB (2026-11-21), without checkpoints."""
    assert 0.87 * GIB < needed_bytes(laptop(), SHIPPED) < 3 * GIB


def test_a_smoke_run_needs_little() -> None:
    assert needed_bytes(smoke(), SHIPPED) < 0.2 * GIB


def test_large_models_count_by_the_size_in_their_name() -> None:
    """Two teachers of 7 billion weights, 4 bytes each, are 52 GiB alone."""
    needed = needed_bytes(single_gpu(), SHIPPED)
    assert 2 * 7e9 * 4 < needed < 200 * GIB


def test_a_local_folder_counts_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1_000_000))
    base = BaseModelSettings(source="hub", name=str(tmp_path))
    with_folder = changed(laptop(), student=changed(laptop().student, base=base))
    assert needed_bytes(with_folder, SHIPPED) < needed_bytes(laptop(), SHIPPED)


def test_more_pairs_need_more_disk() -> None:
    few, many = (
        changed(laptop(), synthesis=changed(laptop().synthesis, max_pairs=pairs))
        for pairs in (3_200, 1_000_000)
    )
    assert needed_bytes(many, SHIPPED) - needed_bytes(few, SHIPPED) == pytest.approx(
        (1_000_000 - 3_200) * 8_000
    )
