"""The character decoder: which character comes next, given the image and those before it."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from torch import Tensor, nn

from ..batch import full_precision
from .attention import PostNormLayer, sinusoids
from .characters import END, NUM_CLASSES, PAD, START

# Channels of a head's queries, keys and values (the release's).
HEAD_DIM = 32


class CharacterDecoder(nn.Module):
    """Character embeddings with trainable positions, post-norm layers, a linear layer to classes.

    Positions start as sinusoids and are trained; embeddings and layers start as torch starts them
    (CVI-SZU/STKM model/transformers.py).
    """

    @configurable
    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        ffn_dim: int,
        dropout: float,
        max_length: int,
    ):
        """
        Args:
            embed_dim: width of the visual tokens and of the layers; even.
            depth: number of layers.
            num_heads: attention heads of each.
            ffn_dim: hidden width of the feed-forward networks.
            dropout: probability in [0, 1).
            max_length: longest sequence.

        Raises:
            ValueError: the width is odd.
        """
        super().__init__()
        if embed_dim % 2:
            raise ValueError(
                f"MODEL.STKM.EMBED_DIM is {embed_dim}; it must be even, half sines, half cosines"
            )
        self.max_length = max_length
        self.embedding = nn.Embedding(NUM_CLASSES, embed_dim, padding_idx=PAD)
        self.position = nn.Parameter(sinusoids(max_length, embed_dim))
        self.layers = nn.ModuleList(
            PostNormLayer(
                dim=embed_dim,
                num_heads=num_heads,
                head_dim=HEAD_DIM,
                ffn_dim=ffn_dim,
                dropout=dropout,
            )
            for _ in range(depth)
        )
        self.output = nn.Linear(embed_dim, NUM_CLASSES)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node = cfg.MODEL.STKM
        return {
            "embed_dim": node.EMBED_DIM,
            "depth": node.DECODER.DEPTH,
            "num_heads": node.DECODER.NUM_HEADS,
            "ffn_dim": node.DECODER.FFN_DIM,
            "dropout": node.DECODER.DROPOUT,
            "max_length": node.MAX_LENGTH,
        }

    def forward(self, targets: Tensor, memory: Tensor) -> Tensor:
        """Predict every character from those before it (teacher forcing).

        Padding follows all characters, so the causal mask hides it from each of them.

        Args:
            targets: (N, L) int64 classes, padded to the right; L is at most ``max_length``.
            memory: (N, S, d) visual tokens.

        Returns:
            Tensor: (N, L, classes) logits of ``targets``; those at padding have no meaning.
        """
        start = targets.new_full((len(targets), 1), START)
        x = self.embedding(torch.cat([start, targets[:, :-1]], dim=1))
        x = x + self.position[: targets.shape[1]]
        for layer in self.layers:
            x = layer(x, memory)
        return full_precision(self.output(x))

    @torch.no_grad()
    def read(self, memory: Tensor) -> Tensor:
        """Read images greedily: at each place the most probable character or flag.

        Keys and values are computed once for every visual token and every character.

        Args:
            memory: (N, S, d) visual tokens.

        Returns:
            Tensor: (N, max_length) int64, up to the first end flag, then padding. Nothing but
            characters, word ends and ends is read.
        """
        read = torch.full((len(memory), self.max_length), PAD, device=memory.device)
        layers: list[Any] = list(self.layers)
        caches = [layer.cache(memory, self.max_length) for layer in layers]
        current = torch.full((len(memory),), START, device=memory.device)
        ended = torch.zeros_like(current, dtype=torch.bool)
        for index in range(self.max_length):
            x = (self.embedding(current) + self.position[index])[:, None]
            for layer, cache in zip(layers, caches):
                x = layer.step(x, cache, index)
            logits = full_precision(self.output(x[:, 0]))
            logits[:, PAD] = logits[:, START] = -torch.inf  # a list would be uploaded
            current = logits.argmax(dim=1).masked_fill(ended, PAD)
            read[:, index] = current
            ended |= current == END
            if bool(ended.all()):
                break
        return read
