"""Attention as colours over the image, one row for each token."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..modeling.backbone.image_encoder import TOKEN_STRIDE
from ..modeling.pretraining.pointing import peak_of
from ..visualization.detections import TRUTH
from ..visualization.polygons import contact_sheet, draw_polygons
from .attention import AttentionMaps
from .maps import map_pictures

__all__ = ["DETAILS", "attention_figure"]

#: Columns of a figure, in addition to the means over all layers and heads.
DETAILS = ("mean", "layer", "head")
# Pixels of the shorter side of a picture, at least.
_SIDE = 176
_PEAK = (255, 40, 40)


def attention_figure(
    maps: AttentionMaps, polygons: Sequence[Sequence[np.ndarray]] = (), detail: str = "layer"
) -> np.ndarray:
    """Draw where each token looks; a cross marks the peak.

    A row has the image, the attention of the token shown and of its word masked, each the mean
    over layers and heads, and of the masked word each layer or head. Every picture is coloured on
    its own range, from nothing to its peak. Titles give the peak, in percent of the attention,
    and the part that goes to [CLS].

    Args:
        maps: of :func:`~vlpt_d2.inspection.attention.attend`.
        polygons: for each word its places in the image; drawn where given.
        detail: one of :data:`DETAILS`.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: there is no such detail.
    """
    if detail not in DETAILS:
        raise ValueError(f"no detail {detail!r}; there are {', '.join(DETAILS)}")
    scale = max(1, -(-_SIDE // min(maps.image.shape[:2])))
    size = tuple(side * scale for side in maps.image.shape[1::-1])
    image = cv2.resize(maps.image, size, interpolation=cv2.INTER_CUBIC)
    pictures, titles = [], []
    for number, token in enumerate(maps.tokens):
        places = polygons[maps.words[number]] if len(polygons) else []
        canvas = draw_polygons(image, [np.asarray(p) * scale for p in places], TRUTH, thickness=2)
        columns = [
            ("shown", maps.shown[:, :, number].mean((0, 1)), maps.shown_cls[..., number].mean()),
            ("masked", maps.masked[:, :, number].mean((0, 1)), maps.masked_cls[..., number].mean()),
        ]
        for layer in range(len(maps.masked)) if detail != "mean" else ():
            heads, cls = maps.masked[layer, :, number], maps.masked_cls[layer, :, number]
            if detail == "layer":
                columns.append((f"layer {layer}", heads.mean(axis=0), cls.mean()))
            else:
                columns += [
                    (f"{layer}.{head}", heads[head], cls[head]) for head in range(len(heads))
                ]
        pictures.append(canvas)
        titles.append(f"{token} (read {100 * maps.probability[number]:.0f} %)")
        for name, attention, cls in columns:
            pictures.append(_overlay(canvas, attention, maps.image.shape[:2], maps.centre))
            titles.append(f"{name} {100 * attention.max():.0f}, CLS {100 * cls:.0f}")
    return contact_sheet(pictures, columns=1 + len(columns), titles=titles)


def _overlay(
    canvas: np.ndarray, attention: np.ndarray, size: tuple[int, int], centre: float
) -> np.ndarray:
    """Colour one map over a picture of an image of ``size`` (height, width).

    Each pixel has the colour of the token that it is nearest to.
    """
    rows, columns = (
        _nearest_tokens(drawn, side, count, centre)
        for drawn, side, count in zip(canvas.shape, size, attention.shape)
    )
    near = attention[np.ix_(rows, columns)] / max(attention.max(), 1e-12)
    ((picture,), _) = map_pictures(canvas, {"": near}, 0.55)
    x, y = peak_of(attention, size, centre)
    place = (round(x * picture.shape[1]), round(y * picture.shape[0]))
    picture = np.ascontiguousarray(picture)
    return cv2.drawMarker(picture, place, _PEAK, cv2.MARKER_CROSS, picture.shape[0] // 10, 2)


def _nearest_tokens(drawn: int, side: int, count: int, centre: float) -> np.ndarray:
    """The number of the token, of ``count``, that each of ``drawn`` pixels of a side is nearest to.

    ``side`` is that side in pixels of the model's image.
    """
    places = (np.arange(drawn) + 0.5) * side / drawn / TOKEN_STRIDE
    return np.clip(np.floor(places - centre + 0.5), 0, count - 1).astype(int)
