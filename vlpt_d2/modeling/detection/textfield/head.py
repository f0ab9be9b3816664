"""The TextField head: a field of directions away from the border (Xu et al., TIP 2019)."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ..layers import conv_norm_relu, output_conv
from ..losses import EPS, hard_negative_mask
from ..text_head import TEXT_HEADS_REGISTRY, LabelFunction, TextHead, wants_polygons
from . import config  # noqa: F401  declares keys
from .decode import STRIDE, decode_maps
from .labels import draw_textfield_labels
from .neck import TextFieldNeck


@TEXT_HEADS_REGISTRY.register()
class TextFieldHead(TextHead):
    """A direction for each 2 x 2 pixels: four of them from one cell of the neck's map."""

    target_stride = STRIDE
    threshold_keys = {
        "magnitude_thresh": "MODEL.TEXTFIELD.MAGNITUDE_THRESH",
        "score_thresh": "MODEL.TEXTFIELD.SCORE_THRESH",
    }
    decode_maps = staticmethod(decode_maps)

    @configurable
    def __init__(
        self, *, in_features: list[str], neck: Any, channels: int, norm: str, decoding: dict
    ):
        """Build the head.

        Args:
            in_features, neck, decoding: see :class:`TextHead`.
            channels: of the two hidden layers.
            norm: their normalisation, as in :func:`detectron2.layers.get_norm`.

        Raises:
            ValueError: the finest map's stride is no multiple of that of the labels.
        """
        super().__init__(in_features, neck, decoding)
        if neck.stride % STRIDE:
            raise ValueError(
                f"TextFieldHead predicts at stride {STRIDE}, which does not divide {neck.stride}, "
                f"the stride of {in_features[0]!r}"
            )
        self.hidden = nn.Sequential(
            conv_norm_relu(neck.out_channels, channels, 1, norm),
            conv_norm_relu(channels, channels, 1, norm),
        )
        self.factor = neck.stride // STRIDE
        self.direction = output_conv(channels, [0.0] * (2 * self.factor**2))

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        """Read MODEL.TEXT_HEAD and MODEL.TEXTFIELD."""
        head, node = cfg.MODEL.TEXT_HEAD, cfg.MODEL.TEXTFIELD
        shapes = [input_shape[f] for f in head.IN_FEATURES]
        return {
            "in_features": head.IN_FEATURES,
            "neck": TextFieldNeck(shapes, node.NECK_CHANNELS, head.NORM),
            "channels": 2 * node.NECK_CHANNELS,
            "norm": head.NORM,
            "decoding": {"polygon_mode": wants_polygons(cfg), **cls.thresholds(cfg)},
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return :func:`draw_textfield_labels`, which has no settings."""
        return draw_textfield_labels

    def field(self, x: Tensor) -> Tensor:
        """Directions (N, 2, H / 2, W / 2), x and y, of the neck's map."""
        return F.pixel_shuffle(self.direction(self.hidden(x)), self.factor).float()

    def predict(self, x: Tensor) -> dict[str, Tensor]:
        """Return {"direction": (N, 2, H / 2, W / 2)}, x and y: in texts about unit vectors."""
        return {"direction": self.field(x)}

    def losses(self, x: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted squared error against the maps of :func:`draw_textfield_labels`."""
        loss = direction_loss(
            self.field(x), targets["direction"], targets["text_weight"], targets["text_mask"]
        )
        return {"loss_direction": loss}


def direction_loss(field: Tensor, direction: Tensor, text_weight: Tensor, mask: Tensor) -> Tensor:
    """Squared error over all text and three times as many hardest other cells of each image.

    Args:
        field, direction: predicted and true, (N, 2, H, W).
        text_weight: (N, H, W), positive in text; other cells that are chosen weigh 1.
        mask: 0 leaves a cell out, same shape.

    Returns:
        Scalar: the mean over the images of the weighted mean over an image's cells.
    """
    with torch.autocast(field.device.type, enabled=False):
        error = (field.float() - direction.float()).square().sum(dim=1)
        chosen = hard_negative_mask(error, text_weight, mask)
        weight = torch.where(text_weight > 0, text_weight, 1.0) * chosen
        sums = torch.stack([weight * error, weight]).flatten(2).sum(dim=2)
        return (sums[0] / (sums[1] + EPS)).mean()
