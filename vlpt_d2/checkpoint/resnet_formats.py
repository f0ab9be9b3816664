"""Recognising a ResNet in a file of any of the projects that publish one.

Our names are those of detectron2's ``ResNet`` below ``backbone.bottom_up.``. Most other projects
use torchvision's, below a prefix of their own: see :mod:`.foreign_names`. What a project is known
to have trained its trunk with (stride, pixels) is recorded as if the file said so.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from detectron2.checkpoint.c2_model_loading import convert_c2_detectron_names

from .errors import CheckpointError
from .foreign_names import foreign_trunk, trunk_prefixes, weighs_taps

__all__ = ["TRUNK_PREFIX", "TrunkLayout", "trunk_layout"]

TRUNK_PREFIX = "backbone.bottom_up."

# Stem and stages; a classifier ("stem.fc" in detectron2's conversion of torchvision's) is no
# part of a trunk.
_DETECTRON2 = re.compile(
    r"^((?:.*\.)?(?:bottom_up|backbone|module)\.)?((?:stem\.conv[1-5]|res[2-5]\.\d+)\..*)"
)

# Torchvision puts the stride into the 3x3 convolution (models/resnet.py: "ResNet V1.5"), and so do
# all projects that start from its weights.
_TORCHVISION = {"stride_in_1x1": False, "variant": "plain"}
_CLIP = {"stride_in_1x1": False, "variant": "clip"}
# OCR/VLPT-STD/dataset.py.
_IMAGENET_RGB = {
    "input_format": "RGB",
    "pixel_mean": [123.675, 116.28, 103.53],
    "pixel_std": [58.395, 57.12, 57.375],
}
# openai/CLIP clip/clip.py _transform, times 255; oCLIP's src/clip/clip.py has the same.
_CLIP_RGB = {
    "input_format": "RGB",
    "pixel_mean": [122.771, 116.746, 104.094],
    "pixel_std": [68.5, 66.632, 70.323],
}
# CVI-SZU/STKM dataloader_syn.py: images of OpenCV, mean and standard deviation 0.5.
_STKM_BGR = {"input_format": "BGR", "pixel_mean": [127.5] * 3, "pixel_std": [127.5] * 3}
_V1D = (
    "MMDetection's ResNetV1d has the same names and shapes as its CLIPResNet, but a max pool and "
    "strided convolutions: only weights of oCLIP or CLIP compute the same here"
)
# MhLiao/DB data/processes/normalize_image.py: the mean is taken from BGR in this order.
_DB_BGR = {
    "input_format": "BGR",
    "pixel_mean": [122.679, 116.669, 104.007],
    "pixel_std": [255.0] * 3,
}


@dataclass(frozen=True)
class TrunkLayout:
    """A ResNet found in a file.

    Attributes:
        kind: whose naming it is, in words.
        names: our name of each of its tensors -> the file's.
        recorded: entries of :func:`~.metadata.describe_trunk` that are known of such files.
        halved: our names of tensors that are half of the file's: 3x3 convolutions whose taps are
            weighted by sigmoid(m) there and by 2 sigmoid(m) here (DCNv2).
        caution: what its names and shapes cannot tell; "" where they tell enough.
    """

    kind: str
    names: dict[str, str]
    recorded: dict[str, Any] = field(default_factory=dict)
    halved: frozenset[str] = frozenset()
    caution: str = ""

    def tensors(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The trunk's tensors by our names, as our models compute with them."""
        return {
            ours: weights[theirs] / 2 if ours in self.halved else weights[theirs]
            for ours, theirs in self.names.items()
        }


def trunk_layout(weights: dict[str, torch.Tensor]) -> TrunkLayout | None:
    """Recognise a file's naming of a ResNet.

    Args:
        weights: as read from the file.

    Returns:
        None where there is no ResNet in it that we know.

    Raises:
        CheckpointError: there is a ResNet of a kind that none of ours computes, or several.
    """
    if any(key.startswith(TRUNK_PREFIX + "stem.") for key in weights):
        inside = {m[2]: k for k in weights if (m := _DETECTRON2.match(k)) and m[1] == TRUNK_PREFIX}
        return _detectron2("vlpt_d2", inside, weights)
    prefixes = trunk_prefixes(weights)
    _refuse_several(prefixes)
    if prefixes:
        return _torchvision_family(weights, prefixes[0])
    if "conv1_w" in weights or "res2_0_branch2a_w" in weights:
        # Caffe2's, as in detectron2's ImageNetPretrained/MSRA files; detectron2 knows them.
        plain = {k: v for k, v in weights.items() if not k.endswith("_momentum")}
        _, names = convert_c2_detectron_names(plain)
        names = {TRUNK_PREFIX + k: v for k, v in names.items() if _DETECTRON2.match(k)}
        return TrunkLayout("Caffe2", names)
    found: dict[str, dict[str, str]] = {}
    for key in weights:
        if m := _DETECTRON2.match(key):
            found.setdefault(m[1] or "", {})[m[2]] = key
    prefixes = sorted(p for p, inside in found.items() if "res2.0.conv1.weight" in inside)
    _refuse_several(prefixes)
    if prefixes:
        matches = found[prefixes[0]]
        if "stem.conv2.weight" in matches:
            raise CheckpointError(
                "the ResNet has a stem of three convolutions and a max pool (detectron2's DeepLab "
                "project); MODEL.RESNETS.VARIANT has plain and clip"
            )
        return _detectron2("detectron2", matches, weights)
    return None


def _refuse_several(prefixes: list[str]) -> None:
    if len(prefixes) > 1:
        raise CheckpointError(
            f"the file holds several ResNets, below {', '.join(map(repr, prefixes))}; save the "
            "weights of one of them alone"
        )


def _detectron2(kind: str, inside: dict[str, str], weights: dict[str, torch.Tensor]) -> TrunkLayout:
    """detectron2's names; its deformable blocks keep the offsets next to the convolution."""
    names, halved = {}, set()
    for name, key in inside.items():
        block, found, leaf = name.partition(".conv2_offset.")
        names[TRUNK_PREFIX + (f"{block}.conv2.offset.{leaf}" if found else name)] = key
        if found and weighs_taps(key, weights[key]):
            halved.add(f"{TRUNK_PREFIX}{block}.conv2.weight")
    return TrunkLayout(kind, names, {}, frozenset(halved))


def _torchvision_family(weights: dict[str, torch.Tensor], prefix: str) -> TrunkLayout:
    inside = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    trunk = foreign_trunk(inside)
    kind, recorded = _project(weights, prefix, trunk.stem)
    return TrunkLayout(
        kind,
        {TRUNK_PREFIX + ours: prefix + theirs for ours, theirs in trunk.names.items()},
        recorded,
        frozenset(TRUNK_PREFIX + name for name in trunk.halved),
        _V1D if trunk.stem == "openmmlab" else "",
    )


def _project(
    weights: dict[str, torch.Tensor], prefix: str, stem: str
) -> tuple[str, dict[str, Any]]:
    """Whose file it is, and what is known of how that project trains."""
    # What is next to the trunk, below the same parent.
    parent = prefix.removesuffix(".").rpartition(".")[0]
    parent = f"{parent}." if parent else ""
    if stem == "openmmlab":
        # Fine-tuned ones have seen other pixels than oCLIP's, so none are recorded.
        return "MMOCR's oCLIP", _CLIP
    if stem == "clip":
        if not any(key.startswith(f"{prefix}attnpool.") for key in weights):
            # A trunk alone, which may have been trained on since.
            return "a trunk of CLIP's", _CLIP
        oclip = any(f"{parent}{name}" in weights for name in ("text_class.weight", "image_pos"))
        return "oCLIP" if oclip else "OpenAI CLIP", _CLIP | _CLIP_RGB
    if f"{parent.removesuffix('image_encoder.')}co_encoder.norm.weight" in weights:
        return "the release of VLPT-STD", _TORCHVISION | _IMAGENET_RGB
    if f"{parent}fpn.conv2_pos.weight" in weights:
        return "STKM", _TORCHVISION | _STKM_BGR
    if f"{parent}decoder.in5.weight" in weights:
        return "MhLiao/DB", _TORCHVISION | _DB_BGR
    if prefix.endswith("backbone."):
        # Their configs choose stride and pixels ("style", "data_preprocessor").
        return "MMDetection or MMOCR", {"variant": "plain"}
    # OpenMMLab publishes trunks with strides in the 1x1 under the same names, without classifiers.
    classifies = f"{prefix}fc.weight" in weights or f"{parent}fc.weight" in weights
    known = _TORCHVISION if classifies else {"variant": "plain"}
    return f"torchvision, below {prefix!r}" if prefix else "torchvision", known
