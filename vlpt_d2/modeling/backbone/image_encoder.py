"""The VLPT image encoder as a detectron2 backbone: trunk, fusion, attention pooling."""

from collections.abc import Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import nn

from ..transformer import LAYER_NORM_EPS, Block, init_transformer_weights, resized_positions
from .fusion import FUSION_REGISTRY
from .trunk import ResNetTrunk, build_resnet_trunk, checkpointed

TOKEN_STRIDE = 16


def token_centre(cfg: CfgNode) -> float:
    """Where in its TOKEN_STRIDE pixels a visual token lies, as a share of the side from the first.

    It is the centre of what the fusion samples, if each cell of a map stands for the pixels below
    it, which is what the fusion's own resizing takes them for.
    """
    return getattr(FUSION_REGISTRY.get(cfg.MODEL.IMAGE_ENCODER.FUSION), "TOKEN_CENTRE", 0.5)


class AttentionPooling(nn.Module):
    """Transformer blocks over a learned [CLS] and the visual tokens.

    Release models/encoders.py: learned absolute positions added after [CLS] is prepended,
    dropout, pre-norm blocks with full self-attention, final LayerNorm.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int = 1,
        num_heads: int,
        dropout: float,
        position_grid: tuple[int, int],
        init_std: float = 0.02,
        checkpointing: bool = False,
    ):
        """
        Args:
            embed_dim: width of the tokens.
            depth: number of blocks.
            num_heads: attention heads; divides ``embed_dim``.
            dropout: probability in [0, 1).
            position_grid: rows and columns of the position table.
            init_std: standard deviation of the initialisation.
            checkpointing: recompute the blocks in the backward pass.
        """
        super().__init__()
        self.position_grid = tuple(position_grid)
        self.checkpointing = checkpointing
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        rows, columns = self.position_grid
        self.position = nn.Parameter(torch.zeros(1, 1 + rows * columns, embed_dim))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        init_transformer_weights(self, init_std)
        nn.init.trunc_normal_(self.cls_token, std=init_std)
        nn.init.trunc_normal_(self.position, std=init_std)

    def positions(self, size: Sequence[int]) -> torch.Tensor:
        """Return the (1, 1 + H * W, embed_dim) table for a map of ``size`` (H, W)."""
        return resized_positions(self.position, self.position_grid, size, leading=1)

    def forward(self, fused: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            fused: (N, embed_dim, H, W).

        Returns:
            The map after pooling (N, embed_dim, H, W) and [CLS] (N, embed_dim, 1, 1).
        """
        n, d, h, w = fused.shape
        tokens = fused.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(n, -1, -1).to(tokens.dtype), tokens], dim=1)
        tokens = self.dropout(tokens + self.positions((h, w)))
        recompute = self.checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            tokens = checkpointed(block, tokens) if recompute else block(tokens)
        tokens = self.norm(tokens).transpose(1, 2)
        return tokens[:, :, 1:].reshape(n, d, h, w), tokens[:, :, :1].unsqueeze(3)


class VLPTImageEncoder(ResNetTrunk):
    """ResNet trunk, FPN fusion and attention pooling (paper section 3.1).

    Outputs ``fused`` (N, d, H / 16, W / 16) and ``cls`` (N, d, 1, 1).
    """

    @configurable
    def __init__(
        self,
        *,
        bottom_up: nn.Module,
        fusion: nn.Module,
        pooling: nn.Module,
        embed_dim: int,
        checkpointing: bool = False,
    ):
        """
        Args:
            bottom_up: the ResNet.
            fusion: module from the trunk's maps to (N, embed_dim, H / 16, W / 16).
            pooling: module from that map to the pooled map and [CLS].
            embed_dim: channels of both outputs.
            checkpointing: recompute the trunk's stages in the backward pass.
        """
        super().__init__(bottom_up, checkpointing=checkpointing)
        self.fusion = fusion
        self.pooling = pooling
        self.embed_dim = embed_dim

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict:
        node = cfg.MODEL.IMAGE_ENCODER
        trunk = build_resnet_trunk(cfg, input_shape)
        pooling = AttentionPooling(
            embed_dim=node.EMBED_DIM,
            num_heads=node.NUM_HEADS,
            dropout=node.DROPOUT,
            position_grid=tuple(node.POSITION_GRID),
            init_std=cfg.MODEL.VLPT.INIT_STD,
            checkpointing=node.CHECKPOINTING,
        )
        return {
            "bottom_up": trunk.bottom_up,
            "fusion": FUSION_REGISTRY.get(node.FUSION)(cfg, trunk.output_shape()),
            "pooling": pooling,
            "embed_dim": node.EMBED_DIM,
            "checkpointing": node.CHECKPOINTING,
        }

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return the shapes of ``fused`` and ``cls`` (whose stride is not a number)."""
        return {
            "fused": ShapeSpec(channels=self.embed_dim, stride=TOKEN_STRIDE),
            "cls": ShapeSpec(channels=self.embed_dim, height=1, width=1),
        }

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        Args:
            x: normalised images (N, 3, H, W), sides multiples of 32.

        Returns:
            dict[str, Tensor]: ``fused`` (N, d, H / 16, W / 16), ``cls`` (N, d, 1, 1).
        """
        return self.pool_maps(self.trunk_maps(x))

    def trunk_maps(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the ResNet's maps of images (N, 3, H, W), by name.

        Raises:
            ValueError: if a side is not a multiple of 32.
        """
        if x.shape[-2] % self.size_divisibility or x.shape[-1] % self.size_divisibility:
            raise ValueError(
                f"the image encoder takes sides that are multiples of {self.size_divisibility}, "
                f"not {tuple(x.shape[-2:])}; pad the images (ImageList does)"
            )
        return super().forward(x)

    def pool_maps(self, maps: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what :meth:`forward` does, from :meth:`trunk_maps`."""
        fused, cls = self.pooling(self.fusion(maps))
        return {"fused": fused, "cls": cls}


@BACKBONE_REGISTRY.register()
def build_vlpt_image_encoder(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the image encoder of ``MODEL.IMAGE_ENCODER`` over ``MODEL.RESNETS``."""
    return VLPTImageEncoder(cfg, input_shape)
