"""A detector with one map for small texts and a coarser one for large texts.

It shows what a head may do: maps at two strides, its own keys, and what it needs of the backbone.
Texts are shrunk in the maps, so that neighbours stay apart, and grow back in the decoding.
"""

from functools import partial

import cv2
import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from vlpt_d2.modeling.detection.layers import conv_norm_relu
from vlpt_d2.modeling.detection.losses import dice_loss
from vlpt_d2.modeling.detection.text_head import (
    TEXT_HEADS_REGISTRY,
    DecodedTexts,
    LabelFunction,
    TextHead,
)

STRIDES = {"small": 4, "large": 8}
# Short and long side of a text's rectangle shrink by this share of the short one.
SHRINK = 0.3


def draw_labels(texts, image_size: tuple[int, int], large_text: float) -> dict[str, np.ndarray]:
    """Draw the shrunk rectangles of the texts, and where nothing is learnt.

    Args:
        texts: of one image, with ``polygons`` and ``ignore``.
        image_size: (H, W).
        large_text: short side in pixels from which a text belongs on the coarse map.

    Returns:
        "small", "large": float32, 1 on texts; "small_mask", "large_mask": 1 where the loss counts.
    """
    maps = {}
    for name, stride in STRIDES.items():
        grid = tuple(-(-side // stride) for side in image_size)
        text, mask = np.zeros(grid, np.float32), np.ones(grid, np.float32)
        for polygon, ignored in zip(texts.polygons, texts.ignore):
            centre, sides, angle = cv2.minAreaRect(np.float32(polygon))
            if ignored:
                _fill(mask, polygon, stride, 0)
            elif (min(sides) >= large_text) == (name == "large"):
                shrunk = tuple(side - SHRINK * min(sides) for side in sides)
                _fill(text, cv2.boxPoints((centre, shrunk, angle)), stride, 1)
        maps[name], maps[f"{name}_mask"] = text, mask
    return maps


def _fill(image: np.ndarray, polygon: np.ndarray, stride: int, value: float) -> None:
    cv2.fillPoly(image, [np.int32(np.floor(np.float32(polygon) / stride))], value)


@TEXT_HEADS_REGISTRY.register()
class TwoScaleHead(TextHead):
    """Two probability maps from the two finest maps of the backbone."""

    target_stride = {f"{name}{end}": s for name, s in STRIDES.items() for end in ("", "_mask")}
    threshold_keys = {
        "pixel_thresh": "MODEL.TWO_SCALE.PIXEL_THRESH",
        "score_thresh": "MODEL.TWO_SCALE.SCORE_THRESH",
    }

    @configurable
    def __init__(self, *, in_features: list[str], shapes: list[ShapeSpec], norm: str, decoding):
        strides = tuple(shape.stride for shape in shapes)
        if strides != tuple(STRIDES.values()):
            raise ValueError(f"TwoScaleHead reads maps of strides 4 and 8, not {strides}")
        super().__init__(in_features, nn.Identity(), decoding)
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    conv_norm_relu(shape.channels, 64, 3, norm), nn.Conv2d(64, 1, 1)
                )
                for name, shape in zip(STRIDES, shapes)
            }
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict:
        head = cfg.MODEL.TEXT_HEAD
        return {
            "in_features": head.IN_FEATURES,
            "shapes": [input_shape[name] for name in head.IN_FEATURES],
            "norm": head.NORM,
            "decoding": cls.thresholds(cfg),
        }

    @classmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        return partial(draw_labels, large_text=cfg.MODEL.TWO_SCALE.LARGE_TEXT)

    def predict(self, x: list[Tensor]) -> dict[str, Tensor]:
        levels = zip(self.branches.items(), x)
        return {name: branch(level).float().sigmoid() for (name, branch), level in levels}

    def losses(self, x: list[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            f"loss_{name}": dice_loss(found[:, 0], targets[name], targets[f"{name}_mask"])
            for name, found in self.predict(x).items()
        }

    def decode(self, maps: dict[str, Tensor], image_size: tuple[int, int]) -> DecodedTexts:
        polygons, scores = [], []
        for name, stride in STRIDES.items():
            height, width = (-(-side // stride) for side in image_size)
            probability = maps[name][0, :height, :width].cpu().numpy()
            text = (probability > self.decoding["pixel_thresh"]).astype(np.uint8)
            count, regions = cv2.connectedComponents(text, connectivity=4)
            for region in range(1, count):
                inside = regions == region
                score = float(probability[inside].mean())
                if score < self.decoding["score_thresh"]:
                    continue
                points = np.argwhere(inside)[:, ::-1].astype(np.float32) + 0.5
                centre, sides, angle = cv2.minAreaRect(points)
                # Centres of pixels span one pixel less than the region.
                sides = tuple(side + 1 for side in sides)
                grown = SHRINK / (1 - SHRINK) * min(sides)
                box = (centre, tuple(side + grown for side in sides), angle)
                polygons.append(cv2.boxPoints(box) * stride)
                scores.append(score)
        return DecodedTexts(polygons, np.asarray(scores, np.float32))
