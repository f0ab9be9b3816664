"""The neck of SAE."""

from collections.abc import Sequence

from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import conv_norm_relu
from ..psenet.neck import PSENetNeck


class SAENeck(nn.Module):
    """Two branches alike on the same levels: one for the embedding, one for the segmentation."""

    def __init__(self, input_shape: Sequence[ShapeSpec], channels: int = 128, norm: str = "BN"):
        """Build the neck.

        Args:
            input_shape: shapes of the levels, finest first.
            channels: of each level; a branch's output has as many times this as there are levels.
            norm: see :func:`detectron2.layers.get_norm`.
        """
        super().__init__()
        self.embedding = _Branch(input_shape, channels, norm)
        self.segmentation = _Branch(input_shape, channels, norm)
        self.out_channels = self.embedding.out_channels
        self.stride = self.embedding.stride

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn maps (N, C_i, h_i, w_i), finest first, into two (N, out_channels, h_0, w_0)."""
        return self.embedding(features), self.segmentation(features)


class _Branch(PSENetNeck):
    """A feature pyramid with a way back up: finer levels are added to coarser ones, too."""

    def __init__(self, input_shape: Sequence[ShapeSpec], channels: int, norm: str):
        super().__init__(input_shape, channels, norm)
        self.reductions = nn.ModuleList(
            conv_norm_relu(channels, channels, 3, norm, stride=2) for _ in input_shape[1:]
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        levels = self.pyramid(features)
        for i, reduction in enumerate(self.reductions):
            levels[i + 1] = levels[i + 1] + reduction(levels[i])
        return self.join(levels, levels[0])
