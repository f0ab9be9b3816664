"""The maps that a network of each head predicts where it has learnt the labels."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vlpt_d2.modeling.detection import TextHead
from vlpt_d2.modeling.detection.gnnets.branches import branch_targets
from vlpt_d2.modeling.detection.seglink.head import link_targets


def perfect_maps(head: TextHead, targets: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Turn one image's label maps into what ``head.decode`` reads.

    Of heads that are not in the table below, the label maps themselves, by the same names.
    """
    maps = _HEADS.get(type(head).__name__, _same)
    return maps(head, targets)


def _same(head: TextHead, targets: dict) -> dict[str, Tensor]:
    maps = {name: torch.from_numpy(np.float32(values)) for name, values in targets.items()}
    return {name: x[None] if x.dim() == 2 else x for name, x in maps.items()}


def _db(head: TextHead, targets: dict) -> dict[str, Tensor]:
    return {"probability": torch.from_numpy(targets["text"].astype(np.float32))[None]}


def _east(head: TextHead, targets: dict) -> dict[str, Tensor]:
    text = torch.from_numpy(targets["text"].astype(np.float32))[None]
    return {"score": text, "geometry": torch.from_numpy(targets["geometry"])}


def _psenet(head: TextHead, targets: dict) -> dict[str, Tensor]:
    # At the network's stride a pixel is as much text as it covers; the upsampling is the head's.
    stride = head.neck.stride
    full = np.float32([targets["text"], *targets["kernels"]])
    size = full.shape[2] // stride, full.shape[1] // stride
    small = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_AREA) for m in full])
    logits = torch.from_numpy(small).clamp(0.001, 0.999).logit()[None]
    factor = stride // head.decode_stride
    if factor > 1:
        logits = F.interpolate(logits, scale_factor=factor, mode="bilinear")
    return {"kernels": logits[0].sigmoid()}


def _seglink(head: TextHead, targets: dict) -> dict[str, Tensor]:
    strides = [int(name[5:]) for name in targets if name.startswith("text_") and "mask" not in name]
    texts = [torch.from_numpy(targets[f"text_{stride}"])[None] for stride in strides]
    links, _ = link_targets(texts, [torch.ones_like(text) for text in texts])
    return {
        f"level_{stride}": torch.cat(
            [(text > 0).float(), torch.from_numpy(targets[f"geometry_{stride}"]), link[0].float()]
        )
        for stride, text, link in zip(strides, texts, links)
    }


def _gnnets(head: TextHead, targets: dict) -> dict[str, Tensor]:
    maps = {}
    for stride, sizes in zip((4, 8), head.size_ranges):
        geometry = torch.from_numpy(targets[f"geometry_{stride}"])[None]
        inside, geometry = branch_targets(geometry, sizes)
        text = torch.from_numpy(targets[f"text_{stride}"]) > 0
        maps[f"score_{stride}"] = (inside[:, 0] & text).float()
        maps[f"geometry_{stride}"] = geometry[:, 0].flatten(0, 1)
    return maps


def _sae(head: TextHead, targets: dict) -> dict[str, Tensor]:
    number = targets["text"].astype(int)
    codes = 5 * np.random.default_rng(0).normal(size=(number.max() + 1, 8))
    maps = {"text": (number > 0)[None], "centre": targets["centre"][None]}
    maps["embedding"] = codes[number].transpose(2, 0, 1)
    return {name: torch.from_numpy(np.float32(values)) for name, values in maps.items()}


_HEADS = {
    "DBHead": _db,
    "EASTHead": _east,
    "GNNetsHead": _gnnets,
    "PSENetHead": _psenet,
    "SAEHead": _sae,
    "SegLinkHead": _seglink,
    "TextDragonHead": _east,
}
