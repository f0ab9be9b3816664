"""What an exported file says about itself."""

import json
from typing import Any

from detectron2.config import CfgNode

import vlpt_d2

from .network import ExportError, ExportNetwork

__all__ = ["KEY", "describe", "parse"]

# The entry of an ONNX file's metadata, and of a TorchScript file's extra files.
KEY = "vlpt_d2.json"
_VERSION = 1


def describe(cfg: CfgNode, network: ExportNetwork) -> str:
    """Return, as JSON, all that is needed to use the network without the code that built it.

    Args:
        cfg: the detector's config.
        network: of that config.
    """
    head = network.detector.text_head
    shapes = network.detector.backbone.output_shape()
    size = cfg.INPUT.DETECTION
    content = {
        "version": _VERSION,
        "producer": f"vlpt_d2 {vlpt_d2.__version__}",
        "head": type(head).__name__,
        # Of the tensors, in the order of the network's outputs.
        "maps": network.map_names(),
        "input": {
            "name": "images",
            "layout": "NCHW",
            "type": "float32",
            "range": [0, 255],
            "channels": cfg.INPUT.FORMAT,
            # (x - mean) / std is computed by the network; pad with the mean, below and right.
            "pixel_mean": list(map(float, cfg.MODEL.PIXEL_MEAN)),
            "pixel_std": list(map(float, cfg.MODEL.PIXEL_STD)),
            "divisor": network.divisor,
            "resize": size.TEST_RESIZE,
            "resize_to": list(size.TEST_SIZE),
            "resize_limit": size.TEST_MAX_SIZE,
        },
        "output": cfg.MODEL.TEXT_HEAD.OUTPUT,
        "decoding": getattr(head, "decoding", {}),
        "backbone": {n: {"channels": s.channels, "stride": s.stride} for n, s in shapes.items()},
        "config": cfg.dump(),
    }
    return json.dumps(content)


def parse(text: str | None, path: str) -> dict[str, Any]:
    """Read what :func:`describe` wrote.

    Args:
        text: JSON; None where the file has no such entry.
        path: of the file, for messages.

    Raises:
        ExportError: nothing is described, or in another version.
    """
    if not text:
        raise ExportError(f"{path} was not written by vlpt-d2 export: it has no entry {KEY}")
    content = json.loads(text)
    if content["version"] != _VERSION:
        raise ExportError(
            f"{path} is of version {content['version']}, this package reads {_VERSION}: export "
            f"the checkpoint again (the file is of {content['producer']})"
        )
    return content
