"""The visual-textual decoder: the masked character of a word, looked up in the image."""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torch import nn

from ...transformer import LAYER_NORM_EPS, Attention, Mlp, init_clip_blocks, resized_positions
from ..batch import full_precision
from ..task import PretextTask, accuracy, mean_over
from .characters import VOCABULARY_SIZE
from .words import EncodedWords, WordBatch


class LookupBlock(nn.Module):
    """Cross-attention from words to the image, and an MLP, with residual connections.

    As in the release (src/clip/model.py, ResidualAttentionBlockDecoder) the query goes into the
    attention as it is, and the attention's output is normalised before it is added.
    """

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.attention = Attention(dim, num_heads, dropout=0.0)
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, dropout=0.0)

    def forward(self, words: torch.Tensor, image: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Map words (N, W, dim) to (N, W, dim), given values and keys (N, S, dim)."""
        words = words + self.norm1(self.attention(words, image, keys=keys))
        return words + self.mlp(self.norm2(words))


class VisualTextualDecoder(nn.Module):
    """Blocks of cross-attention, the keys with learned positions; words do not see each other."""

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        position_grid: tuple[int, int],
    ):
        """
        Args:
            embed_dim: width d of words and image tokens.
            depth: number of blocks.
            num_heads: attention heads; divides ``embed_dim``.
            position_grid: rows and columns of the position table.
        """
        super().__init__()
        rows, columns = position_grid
        self.position_grid = rows, columns
        self.position = nn.Parameter(torch.randn(1, rows * columns, embed_dim) * embed_dim**-0.5)
        self.blocks = nn.ModuleList(LookupBlock(embed_dim, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        init_clip_blocks(self.blocks, embed_dim)

    def forward(
        self, words: torch.Tensor, image: torch.Tensor, size: tuple[int, int]
    ) -> torch.Tensor:
        """
        Args:
            words: (N, W, d).
            image: (N, h * w, d), the tokens of a map in rows, without the global one.
            size: (h, w) of the map.

        Returns:
            Tensor: (N, W, d).
        """
        keys = image + resized_positions(self.position, self.position_grid, size)
        for block in self.blocks:
            words = block(words, image, keys)
        return self.norm(words)


class MaskedCharacters(PretextTask[WordBatch, EncodedWords]):
    """Predict the masked character of each word from the rest of the word and the image."""

    @configurable
    def __init__(self, *, decoder: nn.Module, embed_dim: int):
        """
        Args:
            decoder: module from (words, image tokens, size of the map) to words.
            embed_dim: width of the words.
        """
        super().__init__()
        self.weight = 1.0
        self.decoder = decoder
        self.head = nn.Linear(embed_dim, VOCABULARY_SIZE)
        nn.init.normal_(self.head.weight, std=embed_dim**-0.5)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node = cfg.MODEL.OCLIP.DECODER
        decoder = VisualTextualDecoder(
            embed_dim=cfg.MODEL.OCLIP.EMBED_DIM,
            depth=node.DEPTH,
            num_heads=node.NUM_HEADS,
            position_grid=cfg.MODEL.OCLIP.POSITION_GRID,
        )
        return {"decoder": decoder, "embed_dim": cfg.MODEL.OCLIP.EMBED_DIM}

    def count(self, tokens: WordBatch) -> torch.Tensor:
        return tokens.masked.sum()

    def logits(self, encoded: EncodedWords) -> torch.Tensor:
        """(M, V) logits of the M masked characters, in row-major order of the words."""
        decoded = self.decoder(encoded.text, encoded.image[:, 1:], encoded.grid)
        return full_precision(self.head(decoded.flatten(0, 1)[encoded.tokens.masked_places]))

    def forward(
        self, encoded: EncodedWords, count: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(encoded)
        labels = encoded.tokens.labels.flatten()[encoded.tokens.masked_places]
        loss = mean_over(F.cross_entropy(logits, labels, reduction="sum"), count)
        return loss, {"characters/accuracy": accuracy(logits.argmax(dim=1) == labels)}

    def evaluate(self, encoded: EncodedWords) -> dict[str, torch.Tensor]:
        masked, places = encoded.tokens.masked, encoded.tokens.masked_places
        correct = torch.zeros_like(masked)
        labels = encoded.tokens.labels.flatten()[places]
        correct.view(-1)[places] = self.logits(encoded).argmax(dim=1) == labels
        return {"characters_correct": correct.sum(dim=1), "characters_total": masked.sum(dim=1)}
