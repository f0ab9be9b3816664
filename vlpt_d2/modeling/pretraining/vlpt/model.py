"""The pre-training meta-architecture: image encoder, text encoder and the configured tasks."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from torch import nn

from ....data.text.tokenizer import build_tokenizer
from ..evaluator import PretrainEvaluator
from ..multi_task import MultiTaskPretraining
from ..task import PRETEXT_TASK_REGISTRY, PretextTask
from .batch import EncodedBatch, TokenBatch
from .text_encoder import build_text_encoder


@META_ARCH_REGISTRY.register()
class VLPT(MultiTaskPretraining[TokenBatch, EncodedBatch]):
    """VLPT-STD pre-training (Song et al., CVPR 2022).

    Training: a list of samples of :class:`~.mapper.PretrainMapper` to a dict
    of losses. Inference: a list of samples to a list of dicts, what
    :class:`~..evaluator.PretrainEvaluator` adds up.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        text_encoder: Any,
        tasks: dict[str, PretextTask],
        pixel_mean: list[float],
        pixel_std: list[float],
        normalization: str = "global",
        init_std: float = 0.02,
    ):
        """
        Args:
            backbone, tasks, pixel_mean, pixel_std: see
                :class:`~vlpt_d2.modeling.pretraining.multi_task.MultiTaskPretraining`.
            text_encoder: ids and mask (N, K) to (N, K, d).
            normalization: "global" or "local"; see ``MODEL.VLPT.NORMALIZATION``.
            init_std: standard deviation of the modality embedding's initialisation.
        """
        super().__init__(
            backbone=backbone,
            text_encoder=text_encoder,
            tasks=tasks,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
            normalization=normalization,
        )
        width, text_width = backbone.output_shape()["fused"].channels, text_encoder.embed_dim
        if width != text_width:
            raise ValueError(
                f"image tokens have {width} channels and text tokens {text_width}: the text "
                "encoder has to give MODEL.IMAGE_ENCODER.EMBED_DIM"
            )
        # Added to all tokens of a modality.
        self.modality = nn.Embedding(2, width)
        nn.init.normal_(self.modality.weight, std=init_std)

    @property
    def has_unused_parameters(self) -> bool:
        """Whether losses leave parameters out: WIP reads only the text encoder's word table."""
        return set(self.tasks) == {"WIP"}

    @classmethod
    def build_evaluator(cls, cfg: CfgNode) -> PretrainEvaluator:
        return PretrainEvaluator(cfg)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node = cfg.MODEL.VLPT
        unknown = [name for name in node.TASKS if name not in PRETEXT_TASK_REGISTRY]
        if unknown or not node.TASKS or len(set(node.TASKS)) != len(node.TASKS):
            known = ", ".join(name for name, _ in PRETEXT_TASK_REGISTRY)
            raise ValueError(
                f"MODEL.VLPT.TASKS is {list(node.TASKS)}; name one or more of {known}, each once"
            )
        text_encoder = build_text_encoder(cfg)
        tokenizer = build_tokenizer(cfg.MODEL.TEXT_ENCODER.TOKENIZER)
        shape = tuple(text_encoder.word_embeddings.weight.shape)
        return {
            "backbone": build_backbone(cfg),
            "text_encoder": text_encoder,
            "tasks": {
                name: PRETEXT_TASK_REGISTRY.get(name)(cfg, tokenizer.special_ids, shape)
                for name in node.TASKS
            },
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "normalization": node.NORMALIZATION,
            "init_std": node.INIT_STD,
        }

    def sample_metrics(self, samples: list[dict]) -> dict[str, torch.Tensor | float]:
        """Return how many tokens of a caption did not fit, the mean of the captions."""
        return {"caption/cut_tokens": float(np.mean([s.get("cut_tokens", 0) for s in samples]))}

    def tokens(self, samples: list[dict]) -> TokenBatch:
        return TokenBatch.from_samples(samples, self.device)

    def encode(self, samples: list[dict]) -> EncodedBatch:
        """Run both encoders and add the modality embedding."""
        return self.with_captions(*self.encode_images(samples), self.tokens(samples))

    def visual_tokens(
        self, features: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[int, int]]:
        image, grid = super().visual_tokens(features)
        return image + self.modality.weight[1], grid

    def with_captions(
        self, image: torch.Tensor, grid: tuple[int, int], tokens: TokenBatch
    ) -> EncodedBatch:
        """Encode captions, and pair them with images that are encoded already.

        Args:
            image: (N, 1 + h * w, d) of :meth:`encode_images`.
            grid: (h, w).
            tokens: N captions.
        """
        text = self.encode_text(tokens.input_ids, tokens)
        return EncodedBatch(image, text, tokens, self.text_encoder.word_embeddings.weight, grid)

    def encode_text(self, input_ids: torch.Tensor, tokens: TokenBatch) -> torch.Tensor:
        """Encode captions, masked or whole, to (N, K, d) with the modality embedding."""
        return self.text_encoder(input_ids, tokens.attention_mask) + self.modality.weight[0]

    def unmasked(self, encoded: EncodedBatch) -> EncodedBatch:
        tokens = encoded.tokens
        return replace(encoded, text=self.encode_text(tokens.original_ids, tokens))
