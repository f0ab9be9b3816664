"""The neck of SegLink."""

from collections.abc import Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from .decode import STRIDES

# Output channels of the 1x1 and of the 3x3 convolution of each further stage (bgshih/seglink).
_STAGES = ((256, 512), (128, 256), (128, 256))


class SegLinkNeck(nn.Module):
    """The backbone's three maps as they are, and three further stages, each half as large.

    A stage is a 1x1 and a 3x3 convolution of stride 2, each with ReLU, in single precision. There
    is no normalisation: the last maps have a handful of cells.
    """

    def __init__(self, input_shape: Sequence[ShapeSpec]):
        """Build the neck.

        Args:
            input_shape: shapes of the maps of strides 8, 16 and 32.

        Raises:
            ValueError: other strides.
        """
        super().__init__()
        strides = tuple(shape.stride for shape in input_shape)
        if strides != STRIDES[:3]:
            raise ValueError(
                f"SegLinkHead reads maps of strides {STRIDES[:3]}, and MODEL.TEXT_HEAD.IN_FEATURES "
                f"has {strides} of at least 8"
            )
        self.stages = nn.ModuleList()
        channels = input_shape[-1].channels
        for reduced, widened in _STAGES:
            convs = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, widened, 3, 2, 1)
            for conv in convs:
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.stages.append(nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU()))
            channels = widened
        self.out_channels = [shape.channels for shape in input_shape] + [w for _, w in _STAGES]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Turn maps (N, C_i, h_i, w_i), finest first, into one for each of STRIDES."""
        levels = list(features)
        # Not in bfloat16: of maps that are one cell wide, oneDNN's convolutions of stride 2 (torch
        # 2.15, CPUs with AMX) then use memory that nothing was written to.
        with torch.autocast(levels[-1].device.type, enabled=False):
            for stage in self.stages:
                levels.append(stage(levels[-1].float()))
        return levels
