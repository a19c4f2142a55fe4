"""Checkpoints for exact resume: safetensors and JSON, complete only once their marker stands.

accelerate's save_state writes pickles, which run code when loaded; this holds the same things
without: trained weights, the optimizer's moments, and the position in the data.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasks.core.store.faults import fault_point
from tasks.core.store.files import file_sha256, sync_tree, write_json
from tasks.core.training.placement import as_split, whole

MARKER = "complete.json"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    *,
    writes: bool = True,
) -> None:
    """Write ``folder/step-N``; the others go only after the new one is complete.

    Of several processes one ``writes``; all call, since each may hold a share of the weights.
    """
    target = folder / f"step-{state['step']:08d}"
    if writes:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
    _save_gathered(dict(_trainable(model)), target / "weights.safetensors", writes=writes)
    fault_point("checkpoint:after_weights")
    _save_gathered(_moments(optimizer), target / "optimizer.safetensors", writes=writes)
    if not writes:
        return
    (target / "state.json").write_text(json.dumps(state, sort_keys=True))
    sync_tree(target)
    fault_point("checkpoint:before_marker")
    files = sorted(path for path in target.iterdir() if path.name != MARKER)
    write_json(target / MARKER, {path.name: file_sha256(path) for path in files})
    for other in folder.glob("step-*"):
        if other != target:
            shutil.rmtree(other)


@torch.no_grad()
def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore the newest complete checkpoint in place; None where there is none."""
    for target in sorted(folder.glob("step-*"), reverse=True):
        if not _complete(target):
            continue
        trained = dict(_trainable(model))
        for name, value in load_file(target / "weights.safetensors").items():
            trained[name].copy_(as_split(value, trained[name]))
        _restore_moments(optimizer, load_file(target / "optimizer.safetensors"))
        state: dict[str, Any] = json.loads((target / "state.json").read_text())
        return state
    return None


def _complete(target: Path) -> bool:
    try:
        hashes = json.loads((target / MARKER).read_text())
        return all(file_sha256(target / name) == value for name, value in hashes.items())
    except (OSError, ValueError):
        return False


def _trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _save_gathered(tensors: Mapping[str, Tensor], path: Path, *, writes: bool) -> None:
    """Each tensor as one, on the CPU; who does not write gathers them one by one for who does."""
    found = {}
    for name, tensor in tensors.items():
        value = whole(tensor.detach())
        if writes:
            found[name] = value.cpu().contiguous().clone()
    if writes:
        save_file(found, path)


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, moments in state.items()
        for name, value in moments.items()
    }


def _restore_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        like = parameters[int(index)]
        split = as_split(value, like) if value.shape == like.shape else value
        state.setdefault(int(index), {})[name] = split
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
