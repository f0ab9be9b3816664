"""Models over several processes, on GPUs or on the CPU."""

import inspect
from typing import Any

import torch
from detectron2.layers.batch_norm import NaiveSyncBatchNorm
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["CPUSyncBatchNorm", "distribute", "sync_batch_norms_on_cpu", "unwrap"]


class CPUSyncBatchNorm(NaiveSyncBatchNorm):
    """detectron2's naive synchronised norm, computed in float64.

    ``torch.nn.SyncBatchNorm`` does not run on CPU. The naive one subtracts the squared mean from
    the mean square: under autocast that drowns in rounding, and in float32 one step of a
    freshly initialised ResNet comes out half a percent off (float64: a hundredth of that).
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """
        Args:
            input: of shape (N, C, H, W).
        """
        if not self.training or comm.get_world_size() == 1:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.double()).to(input.dtype)


def sync_batch_norms_on_cpu(model: nn.Module) -> nn.Module:
    """Replace every ``SyncBatchNorm`` by one that runs on CPU; parameters stay the same objects."""
    for name, child in model.named_children():
        if not isinstance(child, nn.SyncBatchNorm):
            sync_batch_norms_on_cpu(child)
            continue
        norm = CPUSyncBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
        norm.weight, norm.bias = child.weight, child.bias
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(norm, buffer, getattr(child, buffer))
        norm.train(child.training)
        setattr(model, name, norm)
    return model


def distribute(model: nn.Module) -> nn.Module:
    """Wrap a model for several processes; with one it is returned as it is.

    Args:
        model: on the device of this process. Has an attribute ``has_unused_parameters``, which is
            true, if not all of its parameters take part in its losses.
    """
    if comm.get_world_size() == 1:
        return model
    # Each process keeps the statistics of its own batch norms; the argument's name changed.
    has_new_name = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    argument = "forward_sync_buffers" if has_new_name else "broadcast_buffers"
    buffers: dict[str, Any] = {argument: False}
    return DistributedDataParallel(
        model,
        # Without a second copy of all gradients.
        gradient_as_bucket_view=True,
        # With ids it would move every tensor of every sample by itself, before the model can.
        device_ids=None,
        **buffers,
        # The search for them waits for the device.
        find_unused_parameters=getattr(model, "has_unused_parameters", False),
    )


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside its wrapper for several processes, if it has one."""
    return model.module if isinstance(model, DistributedDataParallel) else model
