"""Post-norm decoder layers whose heads have a width of their own, with or without a cache.

Layer order and constants follow the release (CVI-SZU/STKM model/transformers.py): LayerNorm after
each residual sum, ReLU, dropout on what is added and nowhere else.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadAttention(nn.Module):
    """Multi-head attention with a given width of its heads, which need not add up to ``dim``."""

    def __init__(self, dim: int, num_heads: int, head_dim: int):
        """
        Args:
            dim: width of queries, of what they attend to, and of the result.
            num_heads: attention heads.
            head_dim: channels of a head.
        """
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(dim, num_heads * head_dim)
        self.key = nn.Linear(dim, num_heads * head_dim)
        self.value = nn.Linear(dim, num_heads * head_dim)
        self.output = nn.Linear(num_heads * head_dim, dim)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Project (N, M, dim) to keys and values, each (N, heads, M, channels of a head)."""
        return self._heads(self.key(memory)), self._heads(self.value(memory))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, causal: bool = False) -> Tensor:
        """
        Args:
            x: (N, Q, dim), what asks.
            keys: of :meth:`keys_values`.
            values: the same.
            causal: query i sees the keys 0 to i alone.

        Returns:
            Tensor: (N, Q, dim).
        """
        query = self._heads(self.query(x))
        seen = F.scaled_dot_product_attention(query, keys, values, is_causal=causal)
        return self.output(seen.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


@dataclass
class LayerCache:
    """What one layer keeps while it reads character by character.

    Attributes:
        memory: keys and values of the image, each (N, heads, S, channels of a head).
        keys: (N, heads, L, channels of a head), filled up to the current character.
        values: the same.
    """

    memory: tuple[Tensor, Tensor]
    keys: Tensor
    values: Tensor


class PostNormLayer(nn.Module):
    """Masked self-attention, cross-attention to the image, feed-forward network."""

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        head_dim: int,
        ffn_dim: int,
        dropout: float,
    ):
        """
        Args:
            dim: width of the tokens.
            num_heads: attention heads.
            head_dim: channels of a head.
            ffn_dim: hidden width of the feed-forward network.
            dropout: probability in [0, 1).
        """
        super().__init__()
        self.self_attention = HeadAttention(dim, num_heads, head_dim)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attention = HeadAttention(dim, num_heads, head_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.ReLU(), nn.Linear(ffn_dim, dim))
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """
        Args:
            x: (N, L, dim) characters; each sees itself and those before it.
            memory: (N, S, dim) visual tokens.

        Returns:
            Tensor: (N, L, dim).
        """
        own = self.self_attention.keys_values(x)
        return self._layer(x, own, self.cross_attention.keys_values(memory), causal=True)

    def cache(self, memory: Tensor, length: int) -> LayerCache:
        """Project visual tokens (N, S, dim) once, for up to ``length`` calls of :meth:`step`."""
        keys, values = self.cross_attention.keys_values(memory)
        rows = keys.shape[:2]
        return LayerCache(
            (keys, values),
            keys.new_zeros(*rows, length, keys.shape[3]),
            values.new_zeros(*rows, length, values.shape[3]),
        )

    def step(self, x: Tensor, cache: LayerCache, index: int) -> Tensor:
        """Map character number ``index`` (N, 1, dim), after all those before it, to (N, 1, dim)."""
        key, value = self.self_attention.keys_values(x)
        cache.keys[:, :, index : index + 1] = key
        cache.values[:, :, index : index + 1] = value
        own = cache.keys[:, :, : index + 1], cache.values[:, :, : index + 1]
        return self._layer(x, own, cache.memory, causal=False)

    def _layer(
        self,
        x: Tensor,
        own: tuple[Tensor, Tensor],
        memory: tuple[Tensor, Tensor],
        causal: bool,
    ) -> Tensor:
        x = self.norm1(x + self.dropout(self.self_attention(x, *own, causal=causal)))
        x = self.norm2(x + self.dropout(self.cross_attention(x, *memory)))
        return self.norm3(x + self.dropout(self.ffn(x)))


def sinusoids(length: int, dim: int) -> Tensor:
    """(length, dim) sines (even channels) and cosines (odd) of positions ("Attention Is All You
    Need", section 3.5).

    Args:
        length: number of positions.
        dim: even.
    """
    rates = torch.exp(torch.arange(0, dim, 2) * (-torch.log(torch.tensor(10000.0)) / dim))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
