"""torchvision's names of a ResNet, and the variations that other projects make of them.

| | stem | blocks |
|---|---|---|
| torchvision, timm, STKM, VLPT-STD, DB | conv1, bn1 | layer1.0.conv1, bn1, downsample.0, .1 |
| CLIP, oCLIP | conv1, bn1 ... conv3, bn3 | the same |
| OpenMMLab's conversion of oCLIP | stem.0, .1, .3, .4, .6, .7 | downsample.1, .2 |

Offsets of deformable convolutions are conv2_offset (MhLiao/DB) or conv2.conv_offset (OpenMMLab).
Our names are those of detectron2's ``ResNet``, here without a prefix.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from .errors import CheckpointError

__all__ = ["ForeignTrunk", "foreign_name", "foreign_trunk", "trunk_prefixes", "weighs_taps"]

_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(.+)")
_LAYER = re.compile(r"(?:conv([123])\.(weight)|bn([123])\.(\w+))")
_SHORTCUT = re.compile(r"downsample\.(\d)\.(\w+)")
_OFFSET = re.compile(r"(?:conv2_offset|conv2\.conv_offset)\.(weight|bias)")
_OURS = re.compile(r"res([2-5])\.(\d+)\.(conv[123]|shortcut)\.(.+)")

# One tensor of each stage.
_ANCHORS = tuple(f"layer{i}.0.conv1.weight" for i in range(1, 5))


@dataclass(frozen=True)
class ForeignTrunk:
    """What :func:`foreign_trunk` found.

    Attributes:
        stem: "plain", "clip" or "openmmlab" (CLIP's, as OpenMMLab names it).
        names: our names -> those of the file.
        halved: our names of DCNv2's 3x3 convolutions.
    """

    stem: str
    names: dict[str, str]
    halved: frozenset[str]


def trunk_prefixes(keys: Iterable[str]) -> list[str]:
    """The prefixes of the four stages of a ResNet, sorted."""
    keys = set(keys)
    candidates = {k.removesuffix(_ANCHORS[0]) for k in keys if k.endswith(_ANCHORS[0])}
    return sorted(p for p in candidates if all(p + anchor in keys for anchor in _ANCHORS))


def foreign_trunk(weights: Mapping[str, torch.Tensor]) -> ForeignTrunk:
    """Translate names.

    Args:
        weights: the tensors below one of :func:`trunk_prefixes`, without it. Other things than
            stem and stages (a classifier, an attention pool) are left out.

    Raises:
        CheckpointError: the ResNet has parts that ours lack; the message names them.
    """
    stem, names = _stem(weights)
    halved = set()
    for key, tensor in weights.items():
        if not (match := _BLOCK.fullmatch(key)):
            continue
        layer, block, part = match.groups()
        place = f"res{int(layer) + 1}.{block}"
        ours = _block_name(part, weights, f"layer{layer}.{block}.", stem == "openmmlab")
        if ours is None:
            raise CheckpointError(
                f"the ResNet has a part that ours lack, {key} {tuple(tensor.shape)}; without it "
                "they would compute something else"
            )
        names[f"{place}.{ours}"] = key
        if ours == "conv2.offset.weight" and weighs_taps(key, tensor):
            halved.add(f"{place}.conv2.weight")
    return ForeignTrunk(stem, names, frozenset(halved))


def foreign_name(name: str, layout: str) -> str:
    """The inverse of :func:`foreign_trunk`.

    Args:
        name: ours.
        layout: "torchvision", "clip" or "openmmlab".
    """
    if name.startswith("stem."):
        _, conv, leaf = name.split(".", 2)
        number = int(conv.removeprefix("conv"))
        norm = leaf.startswith("norm.")
        leaf = leaf.removeprefix("norm.")
        if layout == "openmmlab":
            return f"stem.{3 * (number - 1) + norm}.{leaf}"
        return f"{'bn' if norm else 'conv'}{number}.{leaf}"
    match = _OURS.fullmatch(name)
    assert match is not None, name
    stage, block, module, leaf = match.groups()
    place = f"layer{int(stage) - 1}.{block}"
    norm = leaf.startswith("norm.")
    if module == "shortcut":
        # There the average pool is number 0.
        number = int(norm) + (layout == "openmmlab")
        return f"{place}.downsample.{number}.{leaf.removeprefix('norm.')}"
    if leaf.startswith("offset."):
        return f"{place}.{module}.conv_{leaf}"
    if norm:
        module = f"bn{module[-1]}"
    return f"{place}.{module}.{leaf.removeprefix('norm.')}"


def _stem(weights: Mapping[str, torch.Tensor]) -> tuple[str, dict[str, str]]:
    """Which stem it is, and the names of its tensors."""
    if "conv1.0.weight" in weights:
        raise CheckpointError(
            "the ResNet has a stem of three convolutions and a max pool (timm's resnet50d and the "
            "like); MODEL.RESNETS.VARIANT has plain (7x7) and clip (CLIP's). Take a file of "
            "timm's resnet50"
        )
    if "stem.0.weight" in weights:
        return "openmmlab", _openmmlab_stem(weights)
    if "conv1.weight" not in weights:
        raise CheckpointError("the ResNet has neither conv1 nor stem.0 before its stages")
    count = 3 if "conv2.weight" in weights else 1
    shape = tuple(weights["conv1.weight"].shape[-2:])
    if count == 1 and shape != (7, 7):
        raise CheckpointError(f"the first convolution of the ResNet is {shape}, not (7, 7)")
    if count == 3:
        width = weights["layer1.0.conv1.weight"].shape
        if "conv3.weight" not in weights or width[0] != width[1]:
            raise CheckpointError(
                "the ResNet has a stem of three convolutions and a max pool, twice as wide as "
                "CLIP's (whai362/PSENet's, from CSAIL's weights); MODEL.RESNETS.VARIANT has plain "
                "(7x7) and clip (CLIP's)"
            )
    names = {}
    for key in weights:
        ours = _layer_name(key)
        if ours is not None and int(ours[4]) <= count:
            names[f"stem.{ours}"] = key
    return "clip" if count == 3 else "plain", names


def _openmmlab_stem(weights: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Convolutions and norms are numbered with the activations or (early files) without them."""
    numbers = sorted({int(k.split(".")[1]) for k in weights if re.match(r"stem\.\d+\.", k)})
    names, conv = {}, 0
    for number in numbers:
        is_conv = weights[f"stem.{number}.weight"].dim() == 4
        conv += is_conv
        for key in weights:
            if key.startswith(f"stem.{number}."):
                leaf = key.removeprefix(f"stem.{number}.")
                names[f"stem.conv{conv}.{'' if is_conv else 'norm.'}{leaf}"] = key
    if conv != 3:
        raise CheckpointError(f"the ResNet's stem has {conv} convolutions, CLIP's has three")
    return names


def _block_name(
    part: str, weights: Mapping[str, torch.Tensor], place: str, pooled: bool
) -> str | None:
    """Our name of a tensor within a block; None for what ours lack.

    An average pool before the shortcut's convolution (``pooled``) makes that number 1.
    """
    if match := _OFFSET.fullmatch(part):
        return f"conv2.offset.{match[1]}"
    if match := _SHORTCUT.fullmatch(part):
        number, leaf = match.groups()
        is_conv = weights[f"{place}downsample.{number}.weight"].dim() == 4
        if is_conv and int(number) != pooled:
            return None
        return f"shortcut.{'' if is_conv else 'norm.'}{leaf}"
    return _layer_name(part)


def _layer_name(key: str) -> str | None:
    """Our name of a tensor of a convolution or its norm."""
    if not (match := _LAYER.fullmatch(key)):
        return None
    conv, weight, norm, leaf = match.groups()
    return f"conv{conv}.{weight}" if conv else f"conv{norm}.norm.{leaf}"


def weighs_taps(key: str, offset: torch.Tensor) -> bool:
    """Whether offsets are those of DCNv2 (27 channels) rather than of DCNv1 (18).

    Args:
        key: for the message.
        offset: weight or bias of the convolution that predicts them.

    Raises:
        CheckpointError: they are of several groups.
    """
    if offset.shape[0] not in (18, 27):
        raise CheckpointError(
            f"{key} has {offset.shape[0]} channels; offsets of one group have 18 (DCNv1) or 27 "
            "(DCNv2), and more groups cannot be told apart"
        )
    return offset.shape[0] == 27
