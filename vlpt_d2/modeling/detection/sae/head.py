"""The SAE head: texts, their centres and an embedding of pixels (Tian et al., CVPR 2019)."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import conv_norm_relu, output_conv
from ..losses import hard_negative_mask, sample_dice_loss
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import STRIDE, decode_maps
from .labels import draw_sae_labels
from .losses import shape_aware_losses
from .neck import SAENeck

# Channels of the embedding (paper, section 3.2).
EMBED_DIM = 8
# Weights of the dice losses of texts and centres, those of the embedding being 1.
TEXT_WEIGHT, CENTRE_WEIGHT = 0.5, 0.5


@TEXT_HEADS_REGISTRY.register()
class SAEHead(TextHead):
    """Maps for each 2 x 2 pixels: four values from one cell of the neck's maps."""

    target_stride = STRIDE
    threshold_keys = {
        "text_thresh": "MODEL.SAE.TEXT_THRESH",
        "score_thresh": "MODEL.SAE.SCORE_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(
        self, *, in_features: list[str], neck: Any, channels: int, norm: str, decoding: dict
    ):
        """Build the head.

        Args:
            in_features, decoding: see :class:`TextHead`.
            neck: module from the list of these maps to one for the embedding and one for the
                segmentation, with ``out_channels`` and ``stride``.
            channels: of the hidden layers.
            norm: their normalisation, as in :func:`detectron2.layers.get_norm`.

        Raises:
            ValueError: the finest map's stride is no multiple of that of the labels.
        """
        super().__init__(in_features, neck, decoding)
        if neck.stride % STRIDE:
            raise ValueError(
                f"SAEHead predicts at stride {STRIDE}, which does not divide {neck.stride}, "
                f"the stride of {in_features[0]!r}"
            )
        self.factor = neck.stride // STRIDE
        self.embedding = nn.Sequential(
            conv_norm_relu(neck.out_channels + 2, channels, 3, norm),
            nn.Conv2d(channels, EMBED_DIM * self.factor**2, 1),
        )
        # Maps start unsure: dice on saturated ones has next to no gradient.
        output = output_conv(channels, [0.0] * (2 * self.factor**2))
        self.segmentation = nn.Sequential(
            conv_norm_relu(neck.out_channels, channels, 3, norm), output
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.SAE."""
        head, node = cfg.MODEL.TEXT_HEAD, cfg.MODEL.SAE
        shapes = [input_shape[f] for f in head.IN_FEATURES]
        return {
            "in_features": head.IN_FEATURES,
            "neck": SAENeck(shapes, node.NECK_CHANNELS, head.NORM),
            "channels": node.NECK_CHANNELS,
            "norm": head.NORM,
            "decoding": {"polygon_mode": wants_polygons(cfg), **cls.thresholds(cfg)},
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_sae_labels`, which has no settings."""
        return draw_sae_labels

    def maps(self, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Embedding (N, 8, h, w) and logits (N, 2, h, w) of texts and centres, at stride 2."""
        embedding, segmentation = x
        # Where a cell is, x and y from 0 to 1; sums of ones, so that exported sizes may vary.
        ones = torch.ones_like(embedding[:, :1])
        places = [steps / steps.amax() for steps in (ones.cumsum(3), ones.cumsum(2))]
        logits = self.segmentation(segmentation)
        vectors = self.embedding(torch.cat([embedding, *places], dim=1))
        vectors, logits = (F.pixel_shuffle(m, self.factor).float() for m in (vectors, logits))
        return vectors, logits

    def predict(self, x: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Return "text" and "centre" (N, 1, h, w) in [0, 1], "embedding" (N, 8, h, w)."""
        vectors, logits = self.maps(x)
        text, centre = logits.sigmoid().split(1, dim=1)
        return {"text": text, "centre": centre, "embedding": vectors}

    def losses(self, x: tuple[Tensor, Tensor], targets: dict[str, Any]) -> dict[str, Tensor]:
        """Return the losses against the maps of :func:`draw_sae_labels`."""
        vectors, logits = self.maps(x)
        number, mask = targets["text"], targets["text_mask"]
        text = (number > 0).float()
        with torch.autocast(logits.device.type, enabled=False):
            probabilities = logits.sigmoid()
        chosen = hard_negative_mask(logits[:, 0], text, mask)
        text_loss = sample_dice_loss(probabilities[:, 0], text, chosen)
        centre_loss = sample_dice_loss(probabilities[:, 1], targets["centre"], text * mask)
        pull, push = shape_aware_losses(
            vectors, number * mask, [boxes for (boxes,) in targets["boxes"]]
        )
        return {
            "loss_text": TEXT_WEIGHT * text_loss.mean(),
            "loss_centre": CENTRE_WEIGHT * centre_loss.mean(),
            "loss_pull": pull,
            "loss_push": push,
        }
