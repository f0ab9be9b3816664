"""CLIP's ResNet (Radford et al., ICML 2021; openai/CLIP clip/model.py) in detectron2's parts.

It differs from torchvision's in two ways: the stem is three 3x3 convolutions and an average pool,
and no convolution but the first has a stride: blocks that halve the map average 2x2 pixels before
their last convolution and before their shortcut. oCLIP's released weights are of this kind. CLIP's
attention pool is not part of it.
"""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, Conv2d, ShapeSpec, get_norm
from detectron2.modeling import ResNet
from fvcore.nn import weight_init

from .variant import stack_blocks, unsuitable_keys

__all__ = ["ClipBottleneck", "ClipStem", "build_clip_resnet"]

_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ClipStem(CNNBlockBase):
    """Three 3x3 convolutions, the first of stride 2, and a 2x2 average pool."""

    def __init__(self, in_channels: int, out_channels: int, norm: str):
        """
        Args:
            in_channels: of the image.
            out_channels: of the last convolution; the first two have half of them.
            norm: after each convolution, see :func:`detectron2.layers.get_norm`.
        """
        super().__init__(in_channels, out_channels, 4)
        self.conv1 = _conv(in_channels, out_channels // 2, 3, norm, stride=2)
        self.conv2 = _conv(out_channels // 2, out_channels // 2, 3, norm)
        self.conv3 = _conv(out_channels // 2, out_channels, 3, norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / 4, W / 4)."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(conv(x))
        return F.avg_pool2d(x, 2)


class ClipBottleneck(CNNBlockBase):
    """A bottleneck block whose stride is an average pool, in the branch and in the shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int = 1,
        norm: str = "BN",
    ):
        """
        Args:
            in_channels: of the input.
            out_channels: of the output.
            bottleneck_channels: of the 3x3 convolution.
            stride: side of the averaged squares.
            norm: after each convolution.
        """
        super().__init__(in_channels, out_channels, stride)
        self.shortcut = None
        if stride > 1 or in_channels != out_channels:
            self.shortcut = _conv(in_channels, out_channels, 1, norm)
        self.conv1 = _conv(in_channels, bottleneck_channels, 1, norm)
        self.conv2 = _conv(bottleneck_channels, bottleneck_channels, 3, norm)
        self.conv3 = _conv(bottleneck_channels, out_channels, 1, norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        out = F.relu_(self.conv1(x))
        out = F.relu_(self.conv2(out))
        if self.stride > 1:
            out, x = F.avg_pool2d(out, self.stride), F.avg_pool2d(x, self.stride)
        out = self.conv3(out)
        out += x if self.shortcut is None else self.shortcut(x)
        return F.relu_(out)


def _conv(in_channels: int, out_channels: int, size: int, norm: str, stride: int = 1) -> Conv2d:
    conv = Conv2d(
        in_channels,
        out_channels,
        size,
        stride=stride,
        padding=size // 2,
        bias=False,
        norm=get_norm(norm, out_channels),
    )
    weight_init.c2_msra_fill(conv)
    return conv


def build_clip_resnet(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """Build CLIP's variant of the ResNet of MODEL.RESNETS.

    Args:
        cfg: reads MODEL.RESNETS and MODEL.BACKBONE.FREEZE_AT, which mean what they do for
            detectron2's ResNet.
        input_shape: gives the number of input channels.

    Raises:
        ValueError: the variant does not have what a key asks for.
    """
    node = cfg.MODEL.RESNETS
    wrong = unsuitable_keys(node, _BLOCKS)
    if wrong:
        raise ValueError(
            f"{'; '.join(wrong)}: MODEL.RESNETS.VARIANT clip is a ResNet of depth 50, 101 or 152 "
            "whose strides are average pools, without groups or dilation (STRIDE_IN_1X1 False)"
        )

    def block(in_channels: int, out_channels: int, stage: int, index: int) -> ClipBottleneck:
        return ClipBottleneck(
            in_channels,
            out_channels,
            bottleneck_channels=node.WIDTH_PER_GROUP * 2**stage,
            stride=2 if stage > 0 and index == 0 else 1,
            norm=node.NORM,
        )

    stem = ClipStem(input_shape.channels, node.STEM_OUT_CHANNELS, node.NORM)
    return stack_blocks(cfg, stem, _BLOCKS[node.DEPTH], block)
