"""The oCLIP meta-architecture."""

from dataclasses import replace

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone
from torch import nn

from ..contrast import ContrastiveTask
from ..multi_task import MultiTaskPretraining
from .decoder import MaskedCharacters
from .evaluator import OclipEvaluator
from .word_encoder import WordEncoder
from .words import EncodedWords, WordBatch


class WordContrast(ContrastiveTask[WordBatch, EncodedWords]):
    """The contrast of the image's global token and the mean of its words' vectors.

    Both were projected where they come from. The release's mean is over all slots, those without
    a word too.
    """

    @configurable
    def __init__(self, *, weight: float = 1.0):
        """
        Args:
            weight: factor of the loss.
        """
        super().__init__(
            image_projection=nn.Identity(), text_projection=nn.Identity(), weight=weight
        )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        return {"weight": cfg.MODEL.OCLIP.ITC.WEIGHT}

    def text_vectors(self, encoded: EncodedWords) -> torch.Tensor:
        present = encoded.tokens.present[..., None]
        total = encoded.text.masked_fill(~present, 0.0).sum(dim=1)
        return total / present.sum(dim=1).clamp(min=1)


@META_ARCH_REGISTRY.register()
class OCLIP(MultiTaskPretraining[WordBatch, EncodedWords]):
    """oCLIP pre-training (Xue et al., "Language Matters", ECCV 2022) on the shared ResNet trunk.

    Training: a list of samples of :class:`~.mapper.OclipMapper` to a dict of
    losses. Inference: a list of samples to a list of dicts, what
    :class:`~.evaluator.OclipEvaluator` adds up.
    """

    @classmethod
    def build_evaluator(cls, cfg: CfgNode) -> OclipEvaluator:
        return OclipEvaluator(cfg)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        return {
            "backbone": build_backbone(cfg),
            "text_encoder": WordEncoder(cfg),
            "tasks": {"ITC": WordContrast(cfg), "CHARACTERS": MaskedCharacters(cfg)},
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def tokens(self, samples: list[dict]) -> WordBatch:
        return WordBatch.from_samples(samples, self.device)

    def encode(self, samples: list[dict]) -> EncodedWords:
        tokens = self.tokens(samples)
        image, grid = self.encode_images(samples)
        return EncodedWords(image, self.text_encoder(tokens.ids), tokens, grid)

    def unmasked(self, encoded: EncodedWords) -> EncodedWords:
        return replace(encoded, text=self.text_encoder(encoded.tokens.original_ids))

    def sample_metrics(self, samples: list[dict]) -> dict[str, torch.Tensor | float]:
        """Return the means of what the mapper left out."""
        counts = [s.get("word_counts", {}) for s in samples]
        return {
            f"words/{name}": float(np.float32(np.mean([c[name] for c in counts])))
            for name in counts[0]
        }
