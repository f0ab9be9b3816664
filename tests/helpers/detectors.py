"""Tiny detectors of every head on every kind of backbone, and samples for them."""

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.detection import TEXT_HEADS_REGISTRY, build_label_function

HEADS = sorted(name for name, _ in TEXT_HEADS_REGISTRY)

_PYRAMID = ["MODEL.TEXT_HEAD.IN_FEATURES", ["p2", "p3", "p4", "p5"]]
_R_18 = ["MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64]
# The width of the real half-width R-50 is 32, 128 and 32 (stem, res2, group); this is an eighth.
_NARROW_R_50 = [
    "MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.STEM_OUT_CHANNELS", 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS", 32, "MODEL.RESNETS.WIDTH_PER_GROUP", 8,
]  # fmt: skip

BACKBONES = {
    "narrow R-50": ["MODEL.BACKBONE.NAME", "build_resnet_trunk", *_NARROW_R_50],
    "R-18": ["MODEL.BACKBONE.NAME", "build_resnet_trunk", *_R_18],
    "narrow R-50 FPN": [
        "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone", *_NARROW_R_50, *_PYRAMID,
        "MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.FPN.OUT_CHANNELS", 32,
    ],
    "Swin": [
        "MODEL.BACKBONE.NAME", "build_swin_trunk", "MODEL.SWIN.EMBED_DIM", 8,
        "MODEL.SWIN.DEPTHS", (1, 2, 1, 1), "MODEL.SWIN.NUM_HEADS", (1, 1, 2, 2),
        "MODEL.SWIN.WINDOW_SIZE", 4,
    ],
    "ViTDet": [
        "MODEL.BACKBONE.NAME", "build_vitdet_pyramid", *_PYRAMID,
        "MODEL.VIT.EMBED_DIM", 32, "MODEL.VIT.DEPTH", 2, "MODEL.VIT.NUM_HEADS", 2,
        "MODEL.VIT.WINDOW_SIZE", 4, "MODEL.VIT.GLOBAL_BLOCKS", (1,), "MODEL.VIT.IMAGE_SIZE", 64,
        "MODEL.VIT.OUT_CHANNELS", 32,
    ],
}  # fmt: skip


def detector_cfg(head: str, backbone: str = "narrow R-50", **opts) -> CfgNode:
    """A small detector's config; further keys with "__" for the dot."""
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", "cpu",
            "MODEL.META_ARCHITECTURE", "TextDetector",
            "MODEL.BACKBONE.FREEZE_AT", 0,
            "MODEL.RESNETS.NORM", "BN",
            "MODEL.RESNETS.STRIDE_IN_1X1", False,
            "MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"],
            "MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53],
            "MODEL.PIXEL_STD", [58.395, 57.12, 57.375],
            "MODEL.TEXT_HEAD.NAME", head,
            "MODEL.DB.NECK_CHANNELS", 32,
            "INPUT.FORMAT", "RGB",
            *BACKBONES[backbone],
        ]
    )  # fmt: skip
    cfg.merge_from_list([x for k, v in opts.items() for x in (k.replace("__", "."), v)])
    return cfg


def text_sample(cfg: CfgNode, size: tuple[int, int] = (96, 128)) -> dict:
    """An image (3, H, W) with two bright bars, and the head's label maps of them."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (*size, 3), dtype=np.uint8)
    polygons = []
    for share in (0.3, 0.7):
        centre = (size[1] * 0.5, size[0] * share)
        box = cv2.boxPoints((centre, (size[1] * 0.6, size[0] * 0.25), 5.0))
        cv2.fillPoly(image, [box.astype(np.int32)], (200, 220, 210))
        polygons.append(box)
    targets = build_label_function(cfg)(polygons, np.zeros(2, bool), size)
    return {
        "image": torch.from_numpy(image.transpose(2, 0, 1).copy()),
        "targets": {name: torch.from_numpy(target) for name, target in targets.items()},
    }
