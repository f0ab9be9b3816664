"""The character-aware text encoder: one vector for each word."""

import torch
from detectron2.config import CfgNode, configurable
from torch import nn

from ...transformer import LAYER_NORM_EPS, Block, causal_mask, init_clip_blocks
from .characters import EOS, VOCABULARY_SIZE


class WordEncoder(nn.Module):
    """A transformer over the characters of a word; the vector of its end stands for the word.

    A character sees those before it only, and words do not see each other (oCLIP, section 3.2;
    release src/clip/model.py, encode_text).
    """

    @configurable
    def __init__(
        self,
        *,
        embed_dim: int,
        max_characters: int,
        depth: int,
        width: int = 64,
        num_heads: int = 8,
    ):
        """
        Args:
            embed_dim: width d of the words' vectors.
            max_characters: longest word, its end included.
            depth: number of blocks.
            width: of the transformer.
            num_heads: attention heads; divides ``width``.
        """
        super().__init__()
        self.embed_dim = embed_dim
        self.characters = nn.Embedding(VOCABULARY_SIZE, width)
        self.position = nn.Parameter(torch.zeros(max_characters, width))
        self.blocks = nn.ModuleList(Block(width, num_heads, dropout=0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.projection = nn.Linear(width, embed_dim, bias=False)
        # Standard deviations of CLIP and of the release.
        nn.init.normal_(self.characters.weight, std=0.02)
        nn.init.normal_(self.position, std=0.01)
        nn.init.normal_(self.projection.weight, std=width**-0.5)
        init_clip_blocks(self.blocks, width)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node = cfg.MODEL.OCLIP.WORDS
        return {
            "embed_dim": cfg.MODEL.OCLIP.EMBED_DIM,
            "max_characters": node.MAX_CHARACTERS,
            "depth": node.DEPTH,
        }

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """
        Args:
            ids: (N, W, L) characters of W words, L <= max_characters.

        Returns:
            Tensor: (N, W, d); rows without a word hold something finite without meaning.
        """
        words = ids.flatten(0, 1)
        length = words.shape[1]
        blocked = causal_mask(length, words.device)
        x = self.characters(words) + self.position[:length]
        for block in self.blocks:
            x = block(x, blocked=blocked)
        end = (words == EOS).int().argmax(dim=1)
        x = x[torch.arange(len(x), device=x.device), end]
        return self.projection(self.norm(x)).unflatten(0, ids.shape[:2])
