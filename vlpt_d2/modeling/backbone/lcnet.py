"""PP-LCNetV4 (PaddleOCR, PP-OCRv6) as it is deployed, in detectron2's parts.

PaddleOCR trains every convolution with parallel branches and batch norms and merges them into one
convolution with bias. This is the merged network, which the published ONNX files hold. It has
no norms then: it is fine-tuned with low learning rates, or given norms to be trained from scratch.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase, Conv2d, ShapeSpec, get_norm
from detectron2.modeling import ResNet
from torch import nn
from torchvision.ops import SqueezeExcitation

from .variant import stack_blocks, unsuitable_keys

__all__ = ["LCNetBlock", "LCNetStem", "build_lcnet"]

# Blocks of each stage by MODEL.RESNETS.DEPTH, their sum. 13 is PP-OCRv6's small text detector.
_BLOCKS = {13: (2, 3, 5, 3)}


class LCNetStem(CNNBlockBase):
    """Two strided 3x3 convolutions; in between, two 2x2 ones next to a 2x2 max pool."""

    def __init__(self, in_channels: int, out_channels: int, norm: str):
        """
        Args:
            in_channels: of the image.
            out_channels: of the last convolution; a multiple of 4.
            norm: after each convolution, see :func:`detectron2.layers.get_norm`; "" for none.
        """
        super().__init__(in_channels, out_channels, 4)
        half, quarter = out_channels // 2, out_channels // 4
        self.conv1 = _conv(in_channels, half, 3, norm, stride=2, padding=1, activation=F.relu)
        self.conv2 = _conv(half, quarter, 2, norm, activation=F.relu)
        self.conv3 = _conv(quarter, half, 2, norm, activation=F.relu)
        self.conv4 = _conv(2 * half, half, 3, norm, stride=2, padding=1, activation=F.relu)
        self.conv5 = _conv(half, out_channels, 1, norm, activation=F.relu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / 4, W / 4), rounded up."""
        x = _pad_below_and_right(self.conv1(x))
        detail = self.conv3(_pad_below_and_right(self.conv2(x)))
        # The padding's zeros never exceed what a ReLU gives.
        x = torch.cat([F.max_pool2d(x, 2, stride=1), detail], dim=1)
        return self.conv5(self.conv4(x))


class LCNetBlock(CNNBlockBase):
    """A depthwise 3x3 convolution, then two 1x1 convolutions with a GELU between them.

    The 1x1 convolutions have a shortcut around them where they keep the number of channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, squeeze: bool, norm: str
    ):
        """
        Args:
            in_channels: of the input; twice as many are between the 1x1 convolutions.
            out_channels: of the output.
            stride: of the depthwise convolution.
            squeeze: weight the channels after it (squeeze and excitation).
            norm: after each convolution but those of the squeeze; "" for none.
        """
        super().__init__(in_channels, out_channels, stride)
        self.depthwise = _conv(
            in_channels, in_channels, 3, norm, stride=stride, padding=1, groups=in_channels
        )
        self.squeeze = nn.Identity()
        if squeeze:
            self.squeeze = SqueezeExcitation(
                in_channels, in_channels // 4, scale_activation=nn.Hardsigmoid
            )
        self.expand = _conv(in_channels, 2 * in_channels, 1, norm, activation=F.gelu)
        self.project = _conv(2 * in_channels, out_channels, 1, norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride), rounded up."""
        x = self.squeeze(self.depthwise(x))
        out = self.project(self.expand(x))
        return out + x if self.in_channels == self.out_channels else out


def _pad_below_and_right(x: torch.Tensor) -> torch.Tensor:
    """One row and column of zeros, so that 2x2 windows keep the size ("SAME")."""
    return F.pad(x, (0, 1, 0, 1))


def _conv(in_channels: int, out_channels: int, size: int, norm: str, **more) -> Conv2d:
    conv = Conv2d(
        in_channels, out_channels, size, bias=not norm, norm=get_norm(norm, out_channels), **more
    )
    # By fan in: a depthwise convolution sums 9 values, however many channels there are.
    gain: Literal["relu", "linear"] = "relu" if conv.activation else "linear"
    nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity=gain)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def build_lcnet(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """Build PP-LCNetV4 from MODEL.RESNETS.

    Args:
        cfg: reads MODEL.RESNETS (DEPTH, STEM_OUT_CHANNELS, RES2_OUT_CHANNELS, which each later
            stage doubles, NORM, OUT_FEATURES) and MODEL.BACKBONE.FREEZE_AT.
        input_shape: gives the number of input channels.

    Returns:
        detectron2's ResNet class around other blocks: its stages are res2 to res5.

    Raises:
        ValueError: the variant does not have what a key asks for.
    """
    node = cfg.MODEL.RESNETS
    wrong = unsuitable_keys(node, _BLOCKS)
    if node.STEM_OUT_CHANNELS % 4 or node.RES2_OUT_CHANNELS % 4:
        wrong.append("MODEL.RESNETS.STEM_OUT_CHANNELS or RES2_OUT_CHANNELS is not a multiple of 4")
    if wrong:
        raise ValueError(
            f"{'; '.join(wrong)}: MODEL.RESNETS.VARIANT lcnet has a DEPTH of "
            f"{', '.join(map(str, _BLOCKS))} blocks, channels in fours, and neither groups nor "
            "dilation nor strided 1x1 convolutions (_base_/lcnet.yaml)"
        )

    def block(in_channels: int, out_channels: int, stage: int, index: int) -> LCNetBlock:
        return LCNetBlock(
            in_channels,
            out_channels,
            stride=2 if stage > 0 and index == 0 else 1,
            # Every other block, from the first that is not strided.
            squeeze=index % 2 == (stage > 0),
            norm=node.NORM,
        )

    stem = LCNetStem(input_shape.channels, node.STEM_OUT_CHANNELS, node.NORM)
    return stack_blocks(cfg, stem, _BLOCKS[node.DEPTH], block)
