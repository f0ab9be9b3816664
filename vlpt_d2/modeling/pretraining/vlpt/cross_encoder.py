"""The cross-modal encoder: text that looks at the image."""

from typing import cast

import torch
from detectron2.config import CfgNode, configurable
from torch import nn

from ...transformer import LAYER_NORM_EPS, Attention, CrossBlock, init_transformer_weights


class CrossModalEncoder(nn.Module):
    """Blocks of text self-attention, text-to-image cross-attention and MLP (paper 3.3)."""

    @configurable
    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        dropout: float,
        cross_attention: bool = True,
        init_std: float = 0.02,
    ):
        """
        Args:
            embed_dim: width d of text and image tokens.
            depth: number of blocks.
            num_heads: attention heads; divides ``embed_dim``.
            dropout: probability in [0, 1).
            cross_attention: whether text attends to the image.
            init_std: standard deviation of the initialisation.
        """
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossBlock(embed_dim, num_heads, dropout, cross_attention) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        init_transformer_weights(self, init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node, shared = cfg.MODEL.CROSS_ENCODER, cfg.MODEL.IMAGE_ENCODER
        return {
            "embed_dim": shared.EMBED_DIM,
            "depth": node.DEPTH,
            "num_heads": shared.NUM_HEADS,
            "dropout": shared.DROPOUT,
            "cross_attention": node.CROSS_ATTENTION,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    @property
    def cross_attentions(self) -> list[Attention]:
        """The text-to-image attention of each block; none in a model without."""
        attentions = (cast(CrossBlock, block).cross_attention for block in self.blocks)
        return [attention for attention in attentions if attention is not None]

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """
        Args:
            text: (N, K, d).
            image: (N, 1 + S, d).
            attention_mask: (N, K) bool, True at tokens that are not padding.

        Returns:
            Tensor: text tokens (N, K, d).
        """
        for block in self.blocks:
            text = block(text, image, ~attention_mask)
        return self.norm(text)
