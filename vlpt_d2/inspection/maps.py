"""Label maps and predicted maps of any head, over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode

from ..config import with_values
from ..data import build_mapper
from ..modeling.detection import TextDetector
from ..modeling.pixels import rgb_picture
from ..utils.names import counted
from ..visualization.detections import DETECTED, IGNORED, TRUTH
from ..visualization.polygons import contact_sheet, draw_polygons

__all__ = ["draw_labels", "draw_predictions", "map_pictures", "visible_maps"]

# A window of a picture: (x0, y0, x1, y1) in pixels of the network's input.
Window = tuple[int, int, int, int]


def map_pictures(
    image: np.ndarray, maps: Mapping[str, np.ndarray], opacity: float = 0.65
) -> tuple[list[np.ndarray], list[str]]:
    """Colour every channel of some maps, dark for its least and yellow for its largest value.

    Values within [0, 1] are coloured on that range; others on their own.

    Args:
        image: (H, W, 3) uint8, RGB.
        maps: name to (h, w) or (C, h, w), any type; they cover the image, at any stride.
        opacity: of the colours over the image, in [0, 1].

    Returns:
        For each channel an (H, W, 3) uint8 picture, and its title, with the range in brackets.

    Raises:
        ValueError: an array has another number of dimensions.
    """
    pictures, titles = [], []
    for name, array in maps.items():
        array = np.asarray(array, np.float32)
        if array.ndim not in (2, 3):
            raise ValueError(f"map {name!r} has shape {array.shape}, not (h, w) or (C, h, w)")
        channels = array if array.ndim == 3 else array[None]
        for number, channel in enumerate(channels):
            low, high = float(channel.min()), float(channel.max())
            bottom, top = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
            grey = np.rint((channel - bottom) / max(top - bottom, 1e-12) * 255).astype(np.uint8)
            # Whole cells, as the map has them.
            grey = cv2.resize(grey, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            colours = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[:, :, ::-1]
            pictures.append(cv2.addWeighted(colours, opacity, image, 1 - opacity, 0))
            numbered = f"{name} {number}" if len(channels) > 1 else name
            titles.append(f"{numbered} [{low:.3g}, {high:.3g}]")
    return pictures, titles


def draw_labels(
    cfg: CfgNode,
    dataset_dict: dict,
    window: Window | None = None,
    columns: int = 4,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw what a head is taught on one image: the image with its polygons, and every label map.

    The image is resized as at test time and not augmented.

    Args:
        cfg: a detector's config.
        dataset_dict: of a detection dataset.
        window: the part that is shown, all if not given.
        columns: pictures in a row.
        names: of the maps that are drawn; those that are missing are left out. All if empty.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    cfg = with_values(cfg, {"INPUT.DETECTION.AUGMENT": False})
    sample = build_mapper(cfg, True)(dataset_dict)
    image = rgb_picture(sample["image"], cfg.INPUT.FORMAT)
    pictures, titles = map_pictures(image, _chosen(sample["targets"], names))
    shown = build_mapper(cfg, False)(dataset_dict)
    scale = np.divide(image.shape[1::-1], (shown["width"], shown["height"]))
    truth = image
    texts = shown["texts"].mapped(lambda points: points * scale)
    for chosen, colour in ((texts.ignore, IGNORED), (~texts.ignore, TRUTH)):
        truth = draw_polygons(truth, texts[chosen].polygons, colour)
    return _sheet([truth, *pictures], ["ground truth (grey: ignored)", *titles], window, columns)


def draw_predictions(
    cfg: CfgNode,
    model: TextDetector,
    dataset_dict: dict,
    window: Window | None = None,
    columns: int = 4,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw what a head predicts on one image: its detections, and every predicted map.

    Args:
        cfg: the model's config.
        model: in eval mode.
        dataset_dict: of a detection dataset; annotations are not used.
        window: the part that is shown, all if not given.
        columns: pictures in a row.
        names: of the maps that are drawn; those that are missing are left out. All if empty.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    sample = {"image": build_mapper(cfg, False)(dataset_dict)["image"]}
    image = rgb_picture(sample["image"], cfg.INPUT.FORMAT)
    with torch.no_grad():
        ((maps, size),) = model.predict_maps([sample])
    found = model.decode(maps, size, sample)
    arrays = visible_maps(_chosen(maps, names), size, model.size_divisibility)
    pictures, titles = map_pictures(image, arrays)
    detected = draw_polygons(image, found.pred_polygons, DETECTED, scores=found.scores.tolist())
    return _sheet(
        [detected, *pictures], [counted(len(found), "detection"), *titles], window, columns
    )


def visible_maps(
    maps: Mapping[str, np.ndarray], size: tuple[int, int], divisor: int
) -> dict[str, np.ndarray]:
    """Cut the padding off one image's maps.

    Args:
        maps: name to (…, h, w), of the padded image.
        size: (H, W) of the image.
        divisor: the image was padded to multiples of it.
    """
    padded = [-(-side // divisor) * divisor for side in size]
    arrays = {}
    for name, m in maps.items():
        rows, columns = (-(-s * n // p) for s, n, p in zip(size, m.shape[-2:], padded))
        arrays[name] = m[..., :rows, :columns]
    return arrays


def _chosen(maps: Mapping[str, torch.Tensor | list], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The maps of these names, or all; ragged targets are no maps."""
    return {
        k: v.float().cpu().numpy()
        for k, v in maps.items()
        if isinstance(v, torch.Tensor) and (k in names or not names)
    }


def _sheet(
    pictures: Sequence[np.ndarray], titles: Sequence[str], window: Window | None, columns: int
) -> np.ndarray:
    if window is not None:
        x0, y0, x1, y1 = window
        height, width = pictures[0].shape[:2]
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(f"the window {window} is not within the image of {width} x {height}")
        pictures = [p[y0:y1, x0:x1] for p in pictures]
    return contact_sheet(pictures, columns=columns, titles=titles)
