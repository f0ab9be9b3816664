"""PP-OCRv6's small text detector, in the names of our TextDetector.

The published ONNX file (``rapidocr/models/PP-OCRv6_det_small.onnx`` of the wheel rapidocr 3.10.0)
holds the merged network without the threshold branch, which only training needs.
``configs/_base_/db_mobile.yaml`` is the model that it loads into.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["CONVOLUTIONS", "NAME", "to_checkpoint"]

NAME = "PP-OCRv6's small text detector"

_BLOCKS = (2, 3, 5, 3)
# PaddleOCR, configs/det/PP-OCRv6/PP-OCRv6_small_det.yml: ImageNet's numbers, in RGB's order, on
# the BGR images of OpenCV.
_TRUNK = {
    "variant": "lcnet",
    "depth": sum(_BLOCKS),
    "num_groups": 1,
    "stride_in_1x1": False,
    "norm": "",
    "input_format": "BGR",
    "pixel_mean": [123.675, 116.28, 103.53],
    "pixel_std": [58.395, 57.12, 57.375],
}


def to_checkpoint(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Add what is known of the network to its weights."""
    widths = {
        "stem_out_channels": arrays["backbone.bottom_up.stem.conv5.weight"].shape[0],
        "res2_out_channels": arrays["backbone.bottom_up.res2.0.project.weight"].shape[0],
    }
    return {"model": arrays, "meta_architecture": "TextDetector", "trunk": _TRUNK | widths}


def _names() -> Iterator[tuple[str, int, bool]]:
    """Name, side of the kernel and presence of a bias of each convolution, as computed."""
    for i, kernel in enumerate((3, 2, 2, 3, 1)):
        yield f"backbone.bottom_up.stem.conv{i + 1}", kernel, True
    for stage, blocks in enumerate(_BLOCKS):
        for j in range(blocks):
            block = f"backbone.bottom_up.res{stage + 2}.{j}"
            yield f"{block}.depthwise", 3, True
            if j % 2 == (stage > 0):
                yield from _squeeze(block)
            yield f"{block}.expand", 1, True
            yield f"{block}.project", 1, True
    for part in ("laterals", "smooths"):
        for level in reversed(range(len(_BLOCKS))):
            if part == "smooths":
                yield f"text_head.neck.depthwise.{level}", 7, True
            yield f"text_head.neck.{part}.{level}.conv", 1, False
            yield from _squeeze(f"text_head.neck.{part}.{level}")
    for layer, kernel in ((0, 3), (3, 2), (6, 2)):
        yield f"text_head.probability.{layer}", kernel, True


def _squeeze(parent: str) -> Iterator[tuple[str, int, bool]]:
    for layer in ("fc1", "fc2"):
        yield f"{parent}.squeeze.{layer}", 1, True


#: Name, side of the kernel and presence of a bias of each convolution, as computed.
CONVOLUTIONS = tuple(_names())
