"""STKM's image encoder as a detectron2 backbone: trunk, FPN fusion, spatial positions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, get_norm
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import Tensor, nn

from ...backbone.trunk import RESNET_FEATURES, ResNetTrunk, build_resnet_trunk
from ...detection.layers import conv_norm_relu
from ...detection.psenet.neck import PSENetNeck

TOKEN_STRIDE = 8


class STKMFusion(nn.Module):
    """A feature pyramid joined to one map at stride 8.

    The pyramid is that of PSENet's neck (1x1 laterals, bilinear sums, 3x3 smoothing, each with norm
    and ReLU; CVI-SZU/STKM model/transformers.py). The release joins the levels at stride 4, has a
    3x3 convolution and halves the map by max-pooling; the paper's formula joins them at the scale
    of P3 and has a 1x1 convolution.
    """

    def __init__(
        self,
        *,
        input_shape: dict[str, ShapeSpec],
        fpn_channels: int,
        embed_dim: int,
        norm: str,
        fusion: str = "pooled",
    ):
        """
        Args:
            input_shape: the maps to fuse, finest first, each at twice the stride of the last.
            fpn_channels: channels of every level.
            embed_dim: channels of the output map.
            norm: see :func:`detectron2.layers.get_norm`.
            fusion: "pooled" (the release) or "p3" (the paper).

        Raises:
            ValueError: there is no such fusion, or no map at the stride it needs.
        """
        super().__init__()
        strides = {"pooled": TOKEN_STRIDE // 2, "p3": TOKEN_STRIDE}
        if fusion not in strides:
            raise ValueError(f'MODEL.STKM.FUSION is "pooled" or "p3", not {fusion!r}')
        available = [shape.stride for shape in input_shape.values()]
        if strides[fusion] not in available:
            raise ValueError(
                f"MODEL.STKM.FUSION {fusion!r} needs a map of stride {strides[fusion]} among "
                f"IN_FEATURES; the strides are {available}"
            )
        self.in_features = list(input_shape)
        self.pooled = fusion == "pooled"
        self.scale = available.index(strides[fusion])
        self.neck = PSENetNeck(list(input_shape.values()), fpn_channels, norm)
        kernel = 3 if self.pooled else 1
        self.project = conv_norm_relu(self.neck.out_channels, embed_dim, kernel, norm)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Fuse the trunk's maps into (N, embed_dim, H / 8, W / 8)."""
        levels = self.neck.pyramid([features[name] for name in self.in_features])
        x = self.project(self.neck.join(levels, levels[self.scale]))
        return F.max_pool2d(x, 2) if self.pooled else x


class SpatialPosition(nn.Module):
    """The adaptive spatial position module: what is added tells where a token is.

    A map of (row / H, column / W) through a 1x1 convolution, norm and sigmoid (paper section 3.1).
    """

    def __init__(self, embed_dim: int, norm: str):
        """
        Args:
            embed_dim: channels of the map it is added to.
            norm: see :func:`detectron2.layers.get_norm`.
        """
        super().__init__()
        self.conv = nn.Conv2d(2, embed_dim, 1, bias=not norm)
        self.norm = get_norm(norm, embed_dim) or nn.Identity()

    def positions(self, size: Sequence[int]) -> Tensor:
        """Return the (1, embed_dim, H, W) positions of a map of ``size`` (H, W), in (0, 1)."""
        # One map for the whole batch: the statistics of equal maps are those of one.
        device = self.conv.weight.device
        axes = [torch.arange(n, dtype=torch.float32, device=device) / n for n in size]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).to(self.conv.weight.dtype)
        return self.norm(self.conv(grid[None])).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Add positions to (N, embed_dim, H, W)."""
        return x + self.positions(x.shape[-2:])


class STKMImageEncoder(ResNetTrunk):
    """ResNet trunk, FPN fusion and spatial positions; the output is ``fused`` (N, d, H/8, W/8)."""

    @configurable
    def __init__(
        self,
        *,
        bottom_up: nn.Module,
        fusion: nn.Module,
        position: nn.Module,
        embed_dim: int,
        checkpointing: bool = False,
    ):
        """
        Args:
            bottom_up: the ResNet.
            fusion: module from the trunk's maps to (N, embed_dim, H / 8, W / 8).
            position: module that adds to the tokens where they are.
            embed_dim: channels of the output.
            checkpointing: recompute the trunk's stages in the backward pass.
        """
        super().__init__(bottom_up, checkpointing=checkpointing)
        self.fusion = fusion
        self.position = position
        self.embed_dim = embed_dim

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        node = cfg.MODEL.STKM
        trunk = build_resnet_trunk(cfg, input_shape)
        shapes = trunk.output_shape()
        return {
            "bottom_up": trunk.bottom_up,
            "fusion": STKMFusion(
                input_shape={name: shapes[name] for name in RESNET_FEATURES},
                fpn_channels=node.FPN_CHANNELS,
                embed_dim=node.EMBED_DIM,
                norm=node.NORM,
                fusion=node.FUSION,
            ),
            "position": SpatialPosition(node.EMBED_DIM, node.NORM),
            "embed_dim": node.EMBED_DIM,
            "checkpointing": trunk.checkpointing,
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return the shape of ``fused``."""
        return {"fused": ShapeSpec(channels=self.embed_dim, stride=TOKEN_STRIDE)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """
        Args:
            x: normalised images (N, 3, H, W), sides multiples of 32.

        Returns:
            dict[str, Tensor]: ``fused`` (N, d, H / 8, W / 8).
        """
        return {"fused": self.position(self.fusion(super().forward(x)))}


@BACKBONE_REGISTRY.register()
def build_stkm_image_encoder(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the image encoder of ``MODEL.STKM`` over ``MODEL.RESNETS``."""
    return STKMImageEncoder(cfg, input_shape)
