"""Checkpoints: whole or not used, and never a pickle."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from tasks.core.training.checkpoints import MARKER, load_checkpoint, save_checkpoint


def trained(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model whose first layer is frozen, after some steps of AdamW."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    optimizer = torch.optim.AdamW(model[1].parameters(), lr=0.1, fused=True)
    for step in range(steps):
        model(torch.full((1, 3), step + 1.0)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def checkpoint(folder: Path, step: int) -> Path:
    save_checkpoint(folder, *trained(step), {"step": step})
    return folder / f"step-{step:08d}"


def found_step(folder: Path) -> int | None:
    state = load_checkpoint(folder, *trained(0))
    return None if state is None else state["step"]


def test_weights_and_moments_come_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3)
    model, optimizer = trained(0)
    assert load_checkpoint(tmp_path, model, optimizer) == {"step": 3}
    original, its_optimizer = trained(3)
    for one, two in zip(model.parameters(), original.parameters(), strict=True):
        assert torch.equal(one, two)
    moments, expected = optimizer.state_dict()["state"], its_optimizer.state_dict()["state"]
    assert set(moments) == set(expected) == {0, 1}
    for index in expected:
        assert set(moments[index]) == {"step", "exp_avg", "exp_avg_sq"}
        for name, value in expected[index].items():
            assert torch.equal(moments[index][name], value)


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert found_step(tmp_path) is None


@pytest.mark.parametrize("missing", [MARKER, "weights.safetensors", "optimizer.safetensors"])
def test_a_partial_checkpoint_is_not_used(missing: str, tmp_path: Path) -> None:
    (checkpoint(tmp_path, 2) / missing).unlink()
    assert found_step(tmp_path) is None


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_not_used(name: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 2) / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    assert found_step(tmp_path) is None


def test_a_torn_marker_is_no_marker(tmp_path: Path) -> None:
    marker = checkpoint(tmp_path, 2) / MARKER
    marker.write_text(marker.read_text()[:20])
    assert found_step(tmp_path) is None


def keep_both(folder: Path) -> Path:
    """Steps 2 and 4 side by side, as after a kill before the older one went; returns step 4."""
    aside = shutil.copytree(checkpoint(folder, 2), folder.parent / "aside")
    newer = checkpoint(folder, 4)
    shutil.move(aside, folder / "step-00000002")
    return newer


def test_the_newest_whole_checkpoint_is_used(tmp_path: Path) -> None:
    newer = keep_both(tmp_path / "run")
    assert found_step(tmp_path / "run") == 4
    (newer / MARKER).unlink()
    assert found_step(tmp_path / "run") == 2


def test_a_new_checkpoint_replaces_damaged_ones_of_later_steps(tmp_path: Path) -> None:
    """Sorted by step and kept, the damaged one would make every later resume start again."""
    (keep_both(tmp_path / "run") / MARKER).unlink()
    checkpoint(tmp_path / "run", 3)
    assert found_step(tmp_path / "run") == 3
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["step-00000003"]


def test_a_checkpoint_is_safetensors_and_json(tmp_path: Path) -> None:
    names = {path.name for path in checkpoint(tmp_path, 1).iterdir()}
    assert names == {MARKER, "state.json", "weights.safetensors", "optimizer.safetensors"}


def test_frozen_weights_are_not_written(tmp_path: Path) -> None:
    """Under LoRA they are the base's 7 billion."""
    folder = checkpoint(tmp_path, 1)
    model, optimizer = trained(0)
    with torch.no_grad():
        model[0].weight.fill_(7.0)
    load_checkpoint(folder.parent, model, optimizer)
    assert (model[0].weight == 7.0).all()
