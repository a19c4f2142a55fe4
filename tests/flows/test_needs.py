"""The estimate of a run's disk is above what runs took, and a run that lacks it never starts."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from flows.needs import check_bases, check_packages, needed_bytes
from flows.profiles import PROFILES, changed, laptop, single_gpu, smoke
from tasks.core.domain.paths import find_domain
from tasks.core.errors import CookbookError
from tasks.settings import BaseModelSettings, ShardSettings

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


def test_a_package_that_is_missing_is_told_before_labels_are_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Personalization comes last, hours after the judge was billed."""
    monkeypatch.setattr("flows.needs.find_spec", lambda name: None)
    with pytest.raises(CookbookError, match=r"needs optuna .*'\.\[tuning\]'.*tuning_trials to 0"):
        check_packages(single_gpu(), SHIPPED)
    on_ray = changed(laptop().personalization, shards=ShardSettings(ray_address="head:6379"))
    with pytest.raises(CookbookError, match=r"needs ray .*'\.\[ray\]'"):
        check_packages(changed(laptop(), personalization=on_ray), SHIPPED)
    check_packages(laptop(), SHIPPED)
    check_packages(single_gpu(), replace(SHIPPED, impressions=None))  # nobody to learn from


def test_the_gpu_installation_has_what_the_gpu_profiles_tune_with() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert any(profile().personalization.tuning_trials for profile in PROFILES.values())
    assert "relevance-cookbook[tuning]" in extras["gpu"]


def test_a_base_that_cannot_be_had_is_told_before_labels_are_paid(tmp_path: Path) -> None:
    """A student's base is loaded hours after the judge was billed."""
    mistyped = BaseModelSettings(source="hub", name=str(tmp_path / "no_such_model"))
    with pytest.raises(CookbookError, match=r"no_such_model.* is not to be had .*`hf download"):
        check_bases(changed(laptop(), student=changed(laptop().student, base=mistyped)))
    check_bases(laptop())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    there = BaseModelSettings(source="hub", name=str(tmp_path))
    check_bases(changed(laptop(), student=changed(laptop().student, base=there)))
