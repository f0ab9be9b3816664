"""Restore trainable batch norms that were folded into convolutions.

Some released trunks have their batch norms folded into the convolutions: every norm has running
mean 0, variance 1, weight 1 and the folded bias. That is right in eval mode. In training mode the
norm would divide by the batch's standard deviation, which the weights do not expect. Here each
norm's input is measured, and weight and bias are set so that the function in eval mode stays the
same. Then the two modes agree.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["reestimate_norms"]


class _Moments:
    """Mean and mean square of each channel, in float64, over all batches."""

    def __init__(self, channels: int):
        self.count = 0
        self.total = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)

    def add(self, x: torch.Tensor) -> None:
        x = x.detach().double().transpose(0, 1).flatten(1).cpu()
        self.count += x.shape[1]
        self.total += x.sum(1)
        self.squares += x.square().sum(1)

    def mean_and_variance(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.total / self.count
        return mean, (self.squares / self.count - mean.square()).clamp(min=0)


@torch.no_grad()
def reestimate_norms(model: nn.Module, batches: Iterable[torch.Tensor]) -> int:
    """Measure the input of every batch norm and keep the function of the model in eval mode.

    With w, b, m, v the weight, bias, running mean and variance of a norm before, and M, V the
    measured ones after: ``w' = w * sqrt((V + eps) / (v + eps))`` and
    ``b' = b + w * (M - m) / sqrt(v + eps)``. One pass measures all norms, since none changes
    what the ones after it are given.

    Args:
        model: changed in place; left in the mode it was in. Called with each batch.
        batches: images (N, 3, H, W), normalised as in training. Some hundred images are enough;
            each channel needs more than a few pixels.

    Returns:
        The number of norms.

    Raises:
        ValueError: there is no batch, or no batch norm that can be changed.
    """
    norms = {m: None for m in model.modules() if isinstance(m, (_BatchNorm, FrozenBatchNorm2d))}
    if not norms:
        raise ValueError("the model has no batch norm")
    moments = {norm: _Moments(norm.num_features) for norm in norms}
    handles = [
        norm.register_forward_pre_hook(lambda module, inputs: moments[module].add(inputs[0]))
        for norm in norms
    ]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for batch in batches:
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    if any(m.count == 0 for m in moments.values()):
        raise ValueError("there is no batch of images, or a batch norm that takes no part")
    for norm, measured in cast(dict[Any, _Moments], moments).items():
        mean, variance = measured.mean_and_variance()
        before = (norm.running_var.double().cpu() + norm.eps).sqrt()
        weight, bias = norm.weight.double().cpu(), norm.bias.double().cpu()
        offset = weight * (mean - norm.running_mean.double().cpu()) / before
        norm.weight.copy_(weight * (variance + norm.eps).sqrt() / before)
        norm.bias.copy_(bias + offset)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    return len(norms)
