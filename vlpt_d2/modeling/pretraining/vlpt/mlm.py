"""Masked language modelling on the cross-modal encoder (paper 3.4; release models/losses.py)."""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torch import nn

from ...attention_maps import recorded_attention
from ...transformer import init_transformer_weights
from ..batch import full_precision
from ..task import PRETEXT_TASK_REGISTRY, PretextTask, accuracy, mean_over
from .batch import EncodedBatch, TokenBatch
from .cross_encoder import CrossModalEncoder

# Epsilon of the LayerNorm in BERT's prediction head (transformers, BertConfig.layer_norm_eps).
HEAD_NORM_EPS = 1e-12


@PRETEXT_TASK_REGISTRY.register()
class MLM(PretextTask[TokenBatch, EncodedBatch]):
    """Predict the masked tokens from the caption and the image.

    The vocabulary layer is not tied to the embedding table and runs on masked positions alone.
    """

    @configurable
    def __init__(
        self,
        *,
        cross_encoder: CrossModalEncoder,
        embed_dim: int,
        vocabulary_size: int,
        weight: float = 1.0,
        init_std: float = 0.02,
    ):
        """
        Args:
            cross_encoder: module from (text, image, attention_mask) to text tokens.
            embed_dim: width of the tokens.
            vocabulary_size: number of ids to choose from.
            weight: factor of the loss.
            init_std: standard deviation of the head's initialisation.
        """
        super().__init__()
        self.weight = weight
        self.cross_encoder = cross_encoder
        self.head = nn.Sequential(
            nn.Linear(embed_dim, embed_dim),
            nn.GELU(),
            nn.LayerNorm(embed_dim, eps=HEAD_NORM_EPS),
            nn.Linear(embed_dim, vocabulary_size),
        )
        init_transformer_weights(self.head, init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode, special_ids: list[int], table_shape: tuple) -> dict:
        return {
            "cross_encoder": CrossModalEncoder(cfg),
            "embed_dim": cfg.MODEL.IMAGE_ENCODER.EMBED_DIM,
            "vocabulary_size": table_shape[0],
            "weight": cfg.MODEL.VLPT.MLM.WEIGHT,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    def count(self, tokens: TokenBatch) -> torch.Tensor:
        return tokens.masked.sum()

    def logits(self, encoded: EncodedBatch) -> torch.Tensor:
        """(M, V) logits of the M masked tokens, in row-major order."""
        hidden = self.cross_encoder(encoded.text, encoded.image, encoded.tokens.attention_mask)
        return full_precision(self.head(hidden.flatten(0, 1)[encoded.tokens.masked_places]))

    def forward(
        self, encoded: EncodedBatch, count: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.logits(encoded)
        labels = encoded.tokens.mlm_labels.flatten()[encoded.tokens.masked_places]
        loss = mean_over(F.cross_entropy(logits, labels, reduction="sum"), count)
        return loss, {"mlm/accuracy": accuracy(logits.argmax(dim=1) == labels)}

    def evaluate(self, encoded: EncodedBatch) -> dict[str, torch.Tensor]:
        """Count what is predicted rightly, and say where each token looks.

        Returns:
            ``mlm_correct`` and ``mlm_total``, (N,); where text attends to the image, ``attention``
            (N, layers, K, h, w), the mean over heads of the cross-attention on image tokens.
        """
        masked, places = encoded.tokens.masked, encoded.tokens.masked_places
        correct = torch.zeros_like(masked)
        labels = encoded.tokens.mlm_labels.flatten()[places]
        with recorded_attention(self.cross_encoder.cross_attentions) as layers:
            correct.view(-1)[places] = self.logits(encoded).argmax(dim=1) == labels
        measured = {"mlm_correct": correct.sum(dim=1), "mlm_total": masked.sum(dim=1)}
        if layers and encoded.grid is not None:
            # Without [CLS], which has no place in the image.
            places = torch.stack([p.mean(dim=1)[:, :, 1:] for p in layers], dim=1)
            measured["attention"] = places.unflatten(3, encoded.grid)
        return measured
