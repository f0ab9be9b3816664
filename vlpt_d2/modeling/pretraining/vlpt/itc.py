"""Image-text contrast (paper 3.4; release models/losses.py)."""

import torch
from detectron2.config import CfgNode, configurable
from torch import nn

from ...transformer import init_transformer_weights
from ..contrast import ContrastiveTask
from ..task import PRETEXT_TASK_REGISTRY
from .batch import EncodedBatch, TokenBatch


@PRETEXT_TASK_REGISTRY.register()
class ITC(ContrastiveTask[TokenBatch, EncodedBatch]):
    """The contrast of projections of the image's [CLS] and the caption's [CLS]."""

    @configurable
    def __init__(
        self,
        *,
        embed_dim: int,
        weight: float,
        gather_gradient: bool,
        match_equal_captions: bool,
        init_std: float,
    ):
        """
        Args:
            embed_dim: width of the tokens and of the contrasted vectors.
            weight, gather_gradient, match_equal_captions: see
                :class:`~..contrast.ContrastiveTask`.
            init_std: standard deviation of the initialisation.
        """
        super().__init__(
            image_projection=nn.Linear(embed_dim, embed_dim),
            text_projection=nn.Linear(embed_dim, embed_dim),
            weight=weight,
            gather_gradient=gather_gradient,
            match_equal_captions=match_equal_captions,
        )
        init_transformer_weights(self, init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode, special_ids: list[int], table_shape: tuple) -> dict:
        node = cfg.MODEL.VLPT.ITC
        return {
            "embed_dim": cfg.MODEL.IMAGE_ENCODER.EMBED_DIM,
            "weight": node.WEIGHT,
            "gather_gradient": node.GATHER_GRADIENT,
            "match_equal_captions": node.MATCH_EQUAL_CAPTIONS,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    def text_vectors(self, encoded: EncodedBatch) -> torch.Tensor:
        return encoded.text[:, 0]
