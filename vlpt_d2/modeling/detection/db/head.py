"""The DB head: differentiable binarisation (Liao et al., AAAI 2020; MhLiao/DB)."""

import math
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec, get_norm
from torch import Tensor, nn

from ..losses import balanced_bce_loss, dice_loss, masked_l1_loss
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config, large_kernel_neck  # noqa: F401  declare keys, register another neck
from .decode import decode_maps
from .labels import draw_db_labels
from .neck import DB_NECK_REGISTRY

# Steepness k of the approximate binary map (paper, equation 2), and the weights of the balanced BCE
# on P, of the L1 on T and of the dice on the binary map (MhLiao/DB).
STEEPNESS = 50.0
PROBABILITY_WEIGHT, THRESHOLD_WEIGHT, BINARY_WEIGHT = 5.0, 10.0, 1.0


@TEXT_HEADS_REGISTRY.register()
class DBHead(TextHead):
    """Probability and threshold maps at the size of the input; the threshold only in training."""

    threshold_keys = {
        "binary_thresh": "MODEL.DB.BINARY_THRESH",
        "box_thresh": "MODEL.DB.BOX_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        neck: Any,
        norm: str,
        decoding: dict,
    ):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            norm: normalisation of the two branches, as in :func:`detectron2.layers.get_norm`.

        Raises:
            ValueError: the finest map is not at stride 4, which the two upsamplings assume.
        """
        super().__init__(in_features, neck, decoding)
        self.expect_stride(4)
        self.probability = _branch(neck.out_channels, norm)
        self.threshold = _branch(neck.out_channels, norm)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.DB."""
        head, node = cfg.MODEL.TEXT_HEAD, cfg.MODEL.DB
        polygon_mode = wants_polygons(cfg)
        return {
            "in_features": head.IN_FEATURES,
            "neck": DB_NECK_REGISTRY.get(node.NECK)(
                cfg, [input_shape[f] for f in head.IN_FEATURES]
            ),
            "norm": head.NORM,
            "decoding": {
                "polygon_mode": polygon_mode,
                **cls.thresholds(cfg),
                "unclip": node.UNCLIP,
                "unclip_ratio": (
                    node.UNCLIP_RATIO_POLYGON if polygon_mode else node.UNCLIP_RATIO_BOX
                ),
                "min_size": node.MIN_SIZE,
            },
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_db_labels` with the settings of MODEL.DB."""
        return partial(draw_db_labels, min_text_size=cfg.MODEL.DB.MIN_TEXT_SIZE)

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return {"probability": (N, 1, H, W)} in [0, 1]."""
        return {"probability": self.probability(x).float().sigmoid()}

    def losses(self, x: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the three weighted losses against the maps of :func:`draw_db_labels`."""
        logits, threshold_logits = self.probability(x)[:, 0], self.threshold(x)[:, 0]
        with torch.autocast(logits.device.type, enabled=False):
            probability = logits.float().sigmoid()
            threshold = threshold_logits.float().sigmoid()
            # The paper's 1 / (1 + exp(-k (P - T))), in the form that does not overflow.
            binary = torch.sigmoid(STEEPNESS * (probability - threshold))
        text, text_mask = targets["text"], targets["text_mask"]
        return {
            "loss_probability": PROBABILITY_WEIGHT * balanced_bce_loss(logits, text, text_mask),
            "loss_threshold": THRESHOLD_WEIGHT
            * masked_l1_loss(threshold, targets["threshold"], targets["threshold_mask"]),
            "loss_binary": BINARY_WEIGHT * dice_loss(binary, text, text_mask),
        }


def _branch(in_channels: int, norm: str) -> nn.Sequential:
    """A quarter of the channels, then two learned upsamplings to one logit per input pixel."""
    hidden = in_channels // 4
    branch = nn.Sequential(
        nn.Conv2d(in_channels, hidden, 3, padding=1, bias=not norm),
        get_norm(norm, hidden) or nn.Identity(),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(hidden, hidden, 2, stride=2, bias=not norm),
        get_norm(norm, hidden) or nn.Identity(),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(hidden, 1, 2, stride=2),
    )
    for layer in branch:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        if not isinstance(layer, nn.ConvTranspose2d):
            continue
        # Stride equals kernel size, so each output pixel sums one tap of every input channel;
        # torch counts taps times *output* channels, which starts the logits off saturated.
        nn.init.normal_(layer.weight, std=math.sqrt(2.0 / layer.in_channels))
    return branch
