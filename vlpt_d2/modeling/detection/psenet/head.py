"""The PSENet head: texts and their shrunk kernels (Wang et al., CVPR 2019; whai362/PSENet)."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor

from ..layers import conv_norm_relu, output_conv
from ..losses import hard_negative_mask, sample_dice_loss
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import decode_maps
from .labels import draw_psenet_labels, kernel_scales
from .neck import PSENetNeck

# Weights of the dice loss on the texts and of the mean dice loss on their smaller kernels (paper,
# equation 4).
TEXT_WEIGHT, KERNEL_WEIGHT = 0.7, 0.3


@TEXT_HEADS_REGISTRY.register()
class PSENetHead(TextHead):
    """One map of whole texts and maps of smaller and smaller kernels, at the neck's stride."""

    threshold_keys = {
        "kernel_thresh": "MODEL.PSENET.KERNEL_THRESH",
        "score_thresh": "MODEL.PSENET.SCORE_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(
        self,
        *,
        in_features: list[str],
        neck: Any,
        channels: int,
        norm: str,
        kernels: int,
        decode_stride: int,
        decoding: dict,
    ):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            channels: of the hidden layer.
            norm: its normalisation, as in :func:`detectron2.layers.get_norm`.
            kernels: number of maps, the text's included.
            decode_stride: of the predicted maps; they are upsampled from the neck's stride.

        Raises:
            ValueError: ``decode_stride`` does not divide the neck's stride.
        """
        super().__init__(in_features, neck, {**decoding, "stride": decode_stride})
        if decode_stride < 1 or neck.stride % decode_stride:
            raise ValueError(
                f"MODEL.PSENET.DECODE_STRIDE = {decode_stride} does not divide {neck.stride}, the "
                f"stride of {in_features[0]!r}"
            )
        self.hidden = conv_norm_relu(neck.out_channels, channels, 3, norm)
        # Maps start unsure: dice on saturated ones has next to no gradient, and the reference's
        # wide start (std 0.5) may leave them at "text everywhere" for good.
        self.kernels = output_conv(channels, [0.0] * kernels)
        self.decode_stride = decode_stride

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.PSENET."""
        head, node = cfg.MODEL.TEXT_HEAD, cfg.MODEL.PSENET
        shapes = [input_shape[f] for f in head.IN_FEATURES]
        kernel_scales(node.KERNELS, node.MIN_SCALE)  # checks them
        return {
            "in_features": head.IN_FEATURES,
            "neck": PSENetNeck(shapes, node.NECK_CHANNELS, head.NORM),
            "channels": node.NECK_CHANNELS,
            "norm": head.NORM,
            "kernels": node.KERNELS,
            "decode_stride": node.DECODE_STRIDE,
            "decoding": {"polygon_mode": wants_polygons(cfg), **cls.thresholds(cfg)},
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_psenet_labels` with the settings of MODEL.PSENET."""
        node = cfg.MODEL.PSENET
        kernel_scales(node.KERNELS, node.MIN_SCALE)  # checks them before the first image is read
        return partial(draw_psenet_labels, kernels=node.KERNELS, min_scale=node.MIN_SCALE)

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return {"kernels": (N, n, H, W)} in [0, 1], the text first, at the decoding stride."""
        logits = self.kernels(self.hidden(x)).float()
        factor = self.neck.stride // self.decode_stride
        if factor > 1:
            logits = F.interpolate(logits, scale_factor=factor, mode="bilinear")
        return {"kernels": logits.sigmoid()}

    def losses(self, x: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the two weighted losses against the maps of :func:`draw_psenet_labels`."""
        logits = self.kernels(self.hidden(x))
        text, text_mask = targets["text"], targets["text_mask"]
        with torch.autocast(logits.device.type, enabled=False):
            logits = F.interpolate(logits.float(), size=text.shape[-2:], mode="bilinear")
            probabilities = logits.sigmoid()
        selected = hard_negative_mask(logits[:, 0], text, text_mask)
        text_loss = sample_dice_loss(probabilities[:, 0], text, selected)
        # Kernels are learnt inside the true texts, as in the reference's python3 branch; the paper
        # has them where text is predicted.
        inside = (text > 0) & (text_mask > 0)
        kernel_loss = sample_dice_loss(probabilities[:, 1:], targets["kernels"], inside[:, None])
        return {
            "loss_text": TEXT_WEIGHT * text_loss.mean(),
            "loss_kernels": KERNEL_WEIGHT * kernel_loss.mean(),
        }
