"""Tiny detectors of every head on every kind of backbone, and samples for them."""

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY, Backbone, build_model
from torch import nn

from vlpt_d2 import load_parts
from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.detection import TEXT_HEADS_REGISTRY, build_label_function
from vlpt_d2.modeling.detection.mapper import as_tensors
from vlpt_d2.structures import TextInstances


@BACKBONE_REGISTRY.register()
class TinyBackbone(Backbone):
    """One convolution a stage: quick to train, and to export, which takes time by the layer."""

    size_divisibility = 32

    def __init__(self, cfg, input_shape):
        super().__init__()
        self._out_features = ["res2", "res3", "res4", "res5"]
        self._out_feature_channels = dict.fromkeys(self._out_features, 16)
        self._out_feature_strides = dict(zip(self._out_features, (4, 8, 16, 32)))
        stages, channels = [], input_shape.channels
        for name in self._out_features:
            stride = 4 if name == "res2" else 2
            conv = nn.Conv2d(channels, 16, 2 * stride + 1, stride, stride, bias=False)
            stages.append(nn.Sequential(conv, nn.BatchNorm2d(16), nn.ReLU()))
            channels = 16
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        maps = {}
        for name, stage in zip(self._out_features, self.stages):
            x = maps[name] = stage(x)
        return maps


load_parts()
HEADS = sorted(name for name, _ in TEXT_HEADS_REGISTRY)

_PYRAMID = ["MODEL.TEXT_HEAD.IN_FEATURES", ["p2", "p3", "p4", "p5"]]
_R_18 = ["MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64]
_HALF_R_50 = [
    "MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.STEM_OUT_CHANNELS", 32,
    "MODEL.RESNETS.RES2_OUT_CHANNELS", 128, "MODEL.RESNETS.WIDTH_PER_GROUP", 32,
]  # fmt: skip
_NARROW_R_50 = [
    "MODEL.RESNETS.DEPTH", 50, "MODEL.RESNETS.STEM_OUT_CHANNELS", 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS", 32, "MODEL.RESNETS.WIDTH_PER_GROUP", 8,
]  # fmt: skip

BACKBONES = {
    "narrow R-50": ["MODEL.BACKBONE.NAME", "build_resnet_trunk", *_NARROW_R_50],
    "half-width R-50": ["MODEL.BACKBONE.NAME", "build_resnet_trunk", *_HALF_R_50],
    "R-18": ["MODEL.BACKBONE.NAME", "build_resnet_trunk", *_R_18],
    "narrow R-50 FPN": [
        "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone", *_NARROW_R_50, *_PYRAMID,
        "MODEL.FPN.IN_FEATURES", ["res2", "res3", "res4", "res5"], "MODEL.FPN.OUT_CHANNELS", 32,
    ],
    "LCNet": [
        "MODEL.BACKBONE.NAME", "build_resnet_trunk", "MODEL.RESNETS.VARIANT", "lcnet",
        "MODEL.RESNETS.DEPTH", 13, "MODEL.RESNETS.STEM_OUT_CHANNELS", 8,
        "MODEL.RESNETS.RES2_OUT_CHANNELS", 8, "MODEL.RESNETS.NORM", "",
    ],
}  # fmt: skip


_TINY = ["MODEL.BACKBONE.NAME", "TinyBackbone"]


def detector_cfg(head: str, backbone: str = "narrow R-50", **opts) -> CfgNode:
    """A small detector's config.

    Args:
        head: one of HEADS.
        backbone: a key of BACKBONES, or "tiny".
        opts: further keys, with "__" for the dot.
    """
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
            "MODEL.DB.BINARY_THRESH", 0.5,
            "MODEL.DB.BOX_THRESH", 0.5,
            "MODEL.PSENET.NECK_CHANNELS", 32,
            "MODEL.SAE.NECK_CHANNELS", 32,
            "MODEL.TEXTFIELD.NECK_CHANNELS", 32,
            "INPUT.FORMAT", "RGB",
            *BACKBONES.get(backbone, _TINY),
        ]
    )  # fmt: skip
    if head == "SegLinkHead" and backbone == "narrow R-50 FPN":
        # A map that no head reads would have no gradient.
        cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
        cfg.MODEL.TEXT_HEAD.IN_FEATURES = ["p3", "p4", "p5"]
    cfg.merge_from_list([x for k, v in opts.items() for x in (k.replace("__", "."), v)])
    return cfg


def overfitted_detector(cfg: CfgNode, sample: dict, steps: int = 110) -> torch.nn.Module:
    """A detector in eval mode that finds the texts of one sample after a few steps on it."""
    torch.manual_seed(0)
    model = build_model(cfg)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    for step in range(steps):
        if step == steps - 8:
            for group in optimizer.param_groups:
                group["lr"] /= 30  # lets the running statistics catch up
        losses = model([sample])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    return model.eval()


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
    targets = build_label_function(cfg)(TextInstances(polygons), size)
    return {
        "image": torch.from_numpy(image.transpose(2, 0, 1).copy()),
        "targets": as_tensors(targets),
    }
