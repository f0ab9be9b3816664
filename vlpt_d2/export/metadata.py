"""What an exported file records about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode

import vlpt_d2

from ..modeling.detection import TextDetector
from .detector import VERSION

__all__ = ["describe"]


def describe(cfg: CfgNode, model: TextDetector, maps: Sequence[str]) -> dict[str, Any]:
    """Return all that is needed to use a network without the code that built it.

    Args:
        cfg: the detector's config.
        model: of that config.
        maps: names of the network's outputs, in their order.
    """
    head = model.text_head
    size = cfg.INPUT.DETECTION
    keys = {key: name for name, key in getattr(head, "threshold_keys", {}).items()}
    return {
        "version": VERSION,
        "producer": f"vlpt_d2 {vlpt_d2.__version__}",
        "head": type(head).__name__,
        "decoder": _decoder(head),
        "maps": list(maps),
        "input": {
            "name": "images",
            "layout": "NCHW",
            "type": "float32",
            "range": [0, 255],
            "channels": cfg.INPUT.FORMAT,
            # (x - mean) / std is computed by the network; pad with the mean, below and right.
            "pixel_mean": list(map(float, cfg.MODEL.PIXEL_MEAN)),
            "pixel_std": list(map(float, cfg.MODEL.PIXEL_STD)),
            "divisor": model.size_divisibility,
            "resize": size.TEST_RESIZE,
            "resize_to": list(size.TEST_SIZE),
            "resize_limit": size.TEST_MAX_SIZE,
        },
        "output": cfg.MODEL.TEXT_HEAD.OUTPUT,
        "score_thresh": cfg.TEST.SCORE_THRESH,
        "decoding": dict(getattr(head, "decoding", {})),
        # Config keys of the thresholds -> their names in "decoding".
        "keys": keys,
    }


def _decoder(head: Any) -> str | None:
    """The folder of a head of this package whose decoding needs no torch."""
    place = type(head).__module__.split(".")
    ours = place[:3] == ["vlpt_d2", "modeling", "detection"] and len(place) == 5
    return place[3] if ours and hasattr(head, "decode_maps") else None
