"""Deformable 3x3 convolutions (DCNv2, arXiv 1811.11168) for detectron2's ResNets.

detectron2's own need its compiled part; these go through ``torchvision.ops``. They take the place
of the plain convolutions of a ResNet that is built already, under the same names, so that plain
weights load by name; what is new are the offsets, ``<block>.conv2.offset.*``.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d
from detectron2.modeling import ResNet
from torch import nn
from torchvision.ops import deform_conv2d


class DeformConv2d(Conv2d):
    """A convolution whose taps move, and are weighted, as a second convolution predicts.

    The second convolution starts at zero, which leaves every tap where it is. A tap's weight is
    2 sigmoid(m), so it starts at 1 and the layer at what it was as a plain convolution (as Apache
    MXNet's gluon.contrib ModulatedDeformableConvolution; the paper's sigmoid(m) would halve it).
    """

    def __init__(self, conv: Conv2d, *, modulated: bool = True, offset_groups: int = 1):
        """Take over the weights, the norm and the activation of a plain convolution.

        Args:
            conv: the plain convolution.
            modulated: whether taps are weighted (DCNv2) or only moved (DCNv1).
            offset_groups: groups of input channels whose taps move alike.
        """
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
            bias=conv.bias is not None,
            norm=conv.norm,
            activation=conv.activation,
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.modulated = modulated
        taps = self.kernel_size[0] * self.kernel_size[1]
        self._shifts = 2 * taps * offset_groups
        self.offset = nn.Conv2d(
            self.in_channels,
            self._shifts + (taps * offset_groups if modulated else 0),
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(cast(torch.Tensor, self.offset.bias))
        # Also of a stage that is frozen already.
        self.offset.requires_grad_(self.weight.requires_grad)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H', W')."""
        # Positions lose too much in 16 bits, and not every device has the operator in them.
        with torch.autocast(x.device.type, enabled=False):
            offset = F.conv2d(
                x.float(),
                self.offset.weight.float(),
                cast(torch.Tensor, self.offset.bias).float(),
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
            )
            weights = 2.0 * offset[:, self._shifts :].sigmoid() if self.modulated else None
            moved = deform_conv2d(
                x.float(),
                offset[:, : self._shifts],
                self.weight.float(),
                None if self.bias is None else self.bias.float(),
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                mask=weights,
            )
        moved = moved.to(x.dtype)
        if self.norm is not None:
            moved = self.norm(moved)
        return moved if self.activation is None else self.activation(moved)


def make_deformable(
    resnet: ResNet, stages: Sequence[bool], *, modulated: bool, offset_groups: int
) -> None:
    """Replace the 3x3 convolution ``conv2`` of every block of some stages, in place.

    Args:
        resnet: of basic or of bottleneck blocks; both have one ``conv2``.
        stages: for each of res2, res3, ... whether it becomes deformable.
        modulated, offset_groups: see :class:`DeformConv2d`.

    Raises:
        ValueError: as many flags as stages are needed, or the blocks have no such convolution.
    """
    if len(stages) != len(resnet.stages):
        raise ValueError(
            f"MODEL.RESNETS.DEFORM_ON_PER_STAGE has {len(stages)} entries for "
            f"{len(resnet.stages)} stages: give one for each of res2 to res5"
        )
    for stage, chosen in zip(resnet.stages, stages):
        for block in stage if chosen else ():
            if not hasattr(block, "conv2"):
                raise ValueError(
                    f"MODEL.RESNETS.DEFORM_ON_PER_STAGE is for ResNets; a {type(block).__name__} "
                    "has no 3x3 convolution conv2 to replace"
                )
            block.conv2 = DeformConv2d(
                block.conv2, modulated=modulated, offset_groups=offset_groups
            )
