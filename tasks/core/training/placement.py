"""Where a model trains: on this process's device, whole in every process, or split over them.

Split (FSDP2), each process holds its share of the weights, gradients and moments; a layer's
weights come together while it computes, and part again.

Source: torch.distributed.fsdp.fully_shard.
"""

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tasks.core.errors import CookbookError
from tasks.core.training.architecture import layers, plain_model
from tasks.core.training.passes import Forward
from tasks.core.training.precision import best_device, compute_dtype, frozen_matrices

PLACED_HERE = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def find_devices() -> Accelerator:
    """This process's device, and the processes beside it.

    Raises:
        CookbookError: accelerate is configured to split the model in a way of its own.
    """
    # Mixed precision is the loop's own: accelerate's ties the model into a ring of references, so
    # that a model done with would keep its memory on the card until Python looks for rings.
    shared = DistributedDataParallelKwargs(gradient_as_bucket_view=True)  # one copy of gradients
    accelerator = Accelerator(
        mixed_precision="no", cpu=best_device().type == "cpu", kwargs_handlers=[shared]
    )
    kind = accelerator.distributed_type
    if kind not in PLACED_HERE:
        raise CookbookError(
            f"Training splits models by itself; the configuration of accelerate asks for "
            f"{kind.value}, whose parts a checkpoint would not gather. Configure accelerate for "
            "several CPUs or GPUs alone, and set split_weights."
        )
    return accelerator


def place(forward: Forward, accelerator: Accelerator, *, splits: bool) -> nn.Module:
    """The model as steps call it; split, a copy's parameters are others than before."""
    if not splits:
        model: nn.Module = accelerator.prepare(forward)
        return model
    for weight in frozen_matrices(forward):  # the model is a copy, and need not come back
        weight.data = weight.data.to(compute_dtype(accelerator.device))
    mesh = init_device_mesh(accelerator.device.type, (dist.get_world_size(),))
    for layer in layers(plain_model(forward.model)):
        fully_shard(layer, mesh=mesh)
    fully_shard(forward, mesh=mesh)
    return forward


def whole(tensor: Tensor) -> Tensor:
    """The tensor as one; every process has to ask for a split one at the same time."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def as_split(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor that every process holds, split as ``like`` is, if that is split."""
    if not isinstance(like, DTensor):
        return value
    there = value.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def take_over(trained: nn.Module, into: nn.Module) -> None:
    """Copy what was trained, gathered from all processes, into a whole model of the same names."""
    kept = dict(into.named_parameters())
    for name, parameter in trained.named_parameters():
        if parameter.requires_grad:
            kept[name].copy_(whole(parameter))
