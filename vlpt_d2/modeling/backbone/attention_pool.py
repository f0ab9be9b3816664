"""The oCLIP image encoder as a detectron2 backbone: trunk and CLIP's attention pool."""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import nn

from ..transformer import resized_positions
from .trunk import ResNetTrunk, build_resnet_trunk


class ClipAttentionPool(nn.Module):
    """One layer of attention over the mean token and the tokens of a map.

    openai/CLIP, clip/model.py, AttentionPool2d, but all tokens are queries, as in bytedance/oclip,
    src/clip/model.py. Learned positions are added to all tokens, the mean among them; weights
    and positions start with a standard deviation of 1 / sqrt(channels).
    """

    def __init__(
        self,
        *,
        in_channels: int,
        embed_dim: int,
        num_heads: int,
        position_grid: tuple[int, int],
    ):
        """
        Args:
            in_channels: channels of the map.
            embed_dim: channels of the output.
            num_heads: attention heads; divides ``in_channels``.
            position_grid: rows and columns of the position table.
        """
        super().__init__()
        if in_channels % num_heads:
            raise ValueError(
                f"MODEL.OCLIP.POOL_HEADS {num_heads} does not divide the {in_channels} channels "
                "of res5"
            )
        self.num_heads = num_heads
        self.position_grid = tuple(position_grid)
        rows, columns = self.position_grid
        std = in_channels**-0.5
        self.position = nn.Parameter(torch.randn(1, 1 + rows * columns, in_channels) * std)
        self.query = nn.Linear(in_channels, in_channels)
        self.key = nn.Linear(in_channels, in_channels)
        self.value = nn.Linear(in_channels, in_channels)
        self.project = nn.Linear(in_channels, embed_dim)
        for layer in (self.query, self.key, self.value, self.project):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            x: (N, in_channels, H, W).

        Returns:
            The pooled map (N, embed_dim, H, W) and the global token (N, embed_dim, 1, 1).
        """
        size = tuple(x.shape[-2:])
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        tokens = tokens + resized_positions(self.position, self.position_grid, size, leading=1)
        query, key, value = (
            layer(tokens).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        pooled = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        pooled = self.project(pooled).transpose(1, 2)
        return pooled[:, :, 1:].unflatten(2, size), pooled[:, :, :1].unsqueeze(3)


class OCLIPImageEncoder(ResNetTrunk):
    """ResNet trunk and attention pool (oCLIP, section 3.1).

    Outputs, named as those of :class:`~.image_encoder.VLPTImageEncoder`: ``fused``, the pooled
    map (N, d, H / 32, W / 32), and ``cls``, the global token (N, d, 1, 1). Sides may have
    any length.
    """

    @configurable
    def __init__(
        self,
        *,
        bottom_up: nn.Module,
        pool: nn.Module,
        embed_dim: int,
        checkpointing: bool = False,
    ):
        """
        Args:
            bottom_up: the ResNet.
            pool: module from its last map to the pooled map and the global token.
            embed_dim: channels of both outputs.
            checkpointing: recompute the trunk's stages in the backward pass.
        """
        super().__init__(bottom_up, checkpointing=checkpointing)
        self.pool = pool
        self.embed_dim = embed_dim

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        node = cfg.MODEL.OCLIP
        trunk = build_resnet_trunk(cfg, input_shape)
        pool = ClipAttentionPool(
            in_channels=trunk.output_shape()["res5"].channels,
            embed_dim=node.EMBED_DIM,
            num_heads=node.POOL_HEADS,
            position_grid=node.POSITION_GRID,
        )
        return {
            "bottom_up": trunk.bottom_up,
            "pool": pool,
            "embed_dim": node.EMBED_DIM,
            "checkpointing": cfg.MODEL.IMAGE_ENCODER.CHECKPOINTING,
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return the shapes of ``fused`` and ``cls`` (whose stride is not a number)."""
        stride = self._out_feature_strides["res5"]
        return {
            "fused": ShapeSpec(channels=self.embed_dim, stride=stride),
            "cls": ShapeSpec(channels=self.embed_dim, height=1, width=1),
        }

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        Args:
            x: normalised images (N, 3, H, W).

        Returns:
            dict[str, Tensor]: ``fused`` (N, d, H / 32, W / 32), ``cls`` (N, d, 1, 1).
        """
        fused, cls = self.pool(super().forward(x)["res5"])
        return {"fused": fused, "cls": cls}


@BACKBONE_REGISTRY.register()
def build_oclip_image_encoder(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the image encoder of ``MODEL.OCLIP`` over ``MODEL.RESNETS``."""
    return OCLIPImageEncoder(cfg, input_shape)
