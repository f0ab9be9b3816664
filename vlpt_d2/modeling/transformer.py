"""Pre-norm transformer blocks of the image, text and cross-modal encoders.

Layer order and constants follow the release (AlibabaResearch/AdvancedLiterateMachinery,
OCR/VLPT-STD/models/encoders.py): LayerNorm before each part, GELU, dropout after the attention
projection and the MLP layers, none on the attention weights, LayerNorm epsilon 1e-6.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

LAYER_NORM_EPS = 1e-6
# Hidden width of every MLP over that of its block.
MLP_RATIO = 4


class Attention(nn.Module):
    """Multi-head attention with dropout on the projected output."""

    def __init__(self, dim: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        query: torch.Tensor,
        memory: torch.Tensor,
        padding: torch.Tensor | None = None,
        *,
        keys: torch.Tensor | None = None,
        blocked: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Args:
            query: (N, Q, dim).
            memory: values, and keys unless those are given, (N, M, dim).
            padding: (N, M) bool, True where ``memory`` is padding.
            keys: (N, M, dim).
            blocked: (Q, M) bool, True where a query must not see a key.
        """
        keys = memory if keys is None else keys
        out, _ = self.attention(
            query, keys, memory, key_padding_mask=padding, attn_mask=blocked, need_weights=False
        )
        return self.dropout(out)


class Mlp(nn.Sequential):
    """Two linear layers with GELU between, the hidden one four times as wide."""

    def __init__(self, dim: int, dropout: float):
        hidden = dim * MLP_RATIO
        super().__init__(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )


class Block(nn.Module):
    """Self-attention and MLP, each with a residual connection."""

    def __init__(self, dim: int, num_heads: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attention = Attention(dim, num_heads, dropout)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, dropout)

    def forward(
        self,
        x: torch.Tensor,
        padding: torch.Tensor | None = None,
        blocked: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map (N, L, dim) tokens to (N, L, dim).

        Args:
            x: tokens.
            padding: (N, L) bool, True at padding.
            blocked: (L, L) bool, True where a token (row) must not see another (column), as of
                :func:`causal_mask`.
        """
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, padding, blocked=blocked)
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """Self-attention over text, cross-attention from text to the image, MLP.

    One LayerNorm serves both the query and the image tokens of the cross-attention, as in the
    release. Without ``cross_attention`` the middle part is not built.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        dropout: float,
        cross_attention: bool = True,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attention = Attention(dim, num_heads, dropout)
        self.cross_attention: Attention | None = None
        if cross_attention:
            self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
            self.cross_attention = Attention(dim, num_heads, dropout)
        self.norm3 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, dropout)

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, text_padding: torch.Tensor
    ) -> torch.Tensor:
        """
        Args:
            text: (N, K, dim).
            image: (N, 1 + S, dim), never updated.
            text_padding: (N, K) bool, True at padding.

        Returns:
            Tensor: (N, K, dim).
        """
        normed = self.norm1(text)
        text = text + self.attention(normed, normed, text_padding)
        if self.cross_attention is not None:
            text = text + self.cross_attention(self.norm2(text), self.norm2(image))
        return text + self.mlp(self.norm3(text))


def causal_mask(length: int, device: torch.device | None = None) -> torch.Tensor:
    """(length, length) bool, True where a token (row) must not see a later one (column)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu(1)


def resized_positions(
    table: torch.Tensor, grid: Sequence[int], size: Sequence[int], leading: int = 0
) -> torch.Tensor:
    """Interpolate learned positions to the size of another map.

    Args:
        table: (1, leading + rows * columns, d).
        grid: rows and columns of the table.
        size: (H, W) of the map.
        leading: rows at the table's beginning that belong to no place and are kept.

    Returns:
        Tensor: (1, leading + H * W, d).
    """
    if tuple(size) == tuple(grid):
        return table
    kept, planes = table[:, :leading], table[:, leading:]
    planes = planes.transpose(1, 2).unflatten(2, tuple(grid))
    # Autocast has no bicubic in half precision on every device.
    planes = F.interpolate(planes, size=tuple(size), mode="bicubic", align_corners=False)
    return torch.cat([kept, planes.flatten(2).transpose(1, 2)], dim=1)


def init_transformer_weights(module: nn.Module, std: float) -> None:
    """Normal(0, std) linear and embedding weights, zero biases, as in the release and in BERT.

    Args:
        module: initialised in place, all submodules included.
        std: standard deviation; 0.02 in the release.
    """
    for m in module.modules():
        if isinstance(m, nn.Linear | nn.Embedding):
            nn.init.normal_(m.weight, std=std)
            bias = getattr(m, "bias", None)
            if bias is not None:
                nn.init.zeros_(bias)
        elif isinstance(m, nn.MultiheadAttention):
            nn.init.normal_(m.in_proj_weight, std=std)
            nn.init.zeros_(m.in_proj_bias)
        elif isinstance(m, nn.LayerNorm):
            nn.init.ones_(m.weight)
            nn.init.zeros_(m.bias)


@torch.no_grad()
def init_clip_blocks(blocks: Iterable[Any], dim: int) -> None:
    """Initialise blocks with an :class:`Attention` and an :class:`Mlp` as CLIP does, in place.

    Normal weights that keep the scale of what goes through, smaller by sqrt(2 x depth) where they
    write into the residual stream; zero biases (openai/CLIP, clip/model.py,
    initialize_parameters).

    Args:
        blocks: modules with ``attention`` and ``mlp``.
        dim: their width.
    """
    blocks = list(blocks)
    residual = (2 * dim * max(len(blocks), 1)) ** -0.5
    for block in blocks:
        attention, (first, *_, last, _) = block.attention.attention, block.mlp
        for weight, std in (
            (attention.in_proj_weight, dim**-0.5),
            (attention.out_proj.weight, residual),
            (first.weight, (2 * dim) ** -0.5),
            (last.weight, residual),
        ):
            nn.init.normal_(weight, std=std)
        for bias in (attention.in_proj_bias, attention.out_proj.bias, first.bias, last.bias):
            nn.init.zeros_(bias)
