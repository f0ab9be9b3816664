"""Whether attention that no box has taught falls on the word it asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
import torch

from ...data.text.masking import IGNORE_INDEX
from ...structures import repair_polygon
from ..backbone.image_encoder import TOKEN_STRIDE

__all__ = ["PointedWord", "peak_of", "point_at_words", "pointing_results", "region_of"]

_IMAGE = shapely.box(0, 0, 1, 1)


@dataclass
class PointedWord:
    """Where the model looked for one word of one image; small, as a dataset has 100,000s.

    Attributes:
        masked: whether all its tokens were selected for MLM; else none was.
        wkb: all places of the word, with coordinates as shares of the image's sides, in the
            well-known binary form of geometries.
        hit: whether the peak of the attention lies in the region.
        shuffled_hit: the same with another image before the model; None where there was none.
        on_text: whether the peak lies on any word of the image.
        cells: bits (``np.packbits``) of the tokens that lie in the region.
        grid: (rows, columns) of the attention.
    """

    masked: bool
    wkb: bytes
    hit: bool
    shuffled_hit: bool | None
    on_text: bool
    cells: np.ndarray
    grid: tuple[int, int]

    @property
    def region(self) -> shapely.Geometry:
        """The places of the word as a geometry."""
        return shapely.from_wkb(self.wkb)


def region_of(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> shapely.Geometry:
    """Unite polygons and cut them at the image's border.

    Args:
        polygons: (N_i, 2) points in pixels.
        size: (height, width) of the image.

    Returns:
        The geometry, with coordinates as shares of the width and the height.
    """
    scale = np.array([size[1], size[0]], np.float64)
    rings = (repair_polygon(polygon)[0] for polygon in polygons)
    parts = [shapely.Polygon(ring / scale) for ring in rings if ring is not None]
    return shapely.intersection(shapely.union_all(parts), _IMAGE)


def peak_of(
    attention: np.ndarray, size: tuple[int, int], centre: float = 0.5
) -> tuple[float, float]:
    """Return the place of the token with the largest value, the first of several.

    Args:
        attention: (h, w), one value for TOKEN_STRIDE x TOKEN_STRIDE pixels.
        size: (height, width) of the image in pixels.
        centre: where in these pixels a token lies, see
            :func:`~vlpt_d2.modeling.backbone.image_encoder.token_centre`.

    Returns:
        (x, y) as shares of the width and the height.
    """
    row, column = np.unravel_index(int(attention.argmax()), attention.shape)
    return (column + centre) * TOKEN_STRIDE / size[1], (row + centre) * TOKEN_STRIDE / size[0]


def point_at_words(
    sample: dict,
    attention: torch.Tensor,
    shuffled: torch.Tensor | None = None,
    layers: Sequence[int] = (),
    centre: float = 0.5,
) -> list[PointedWord]:
    """Look for the peak of each word's attention: the mean over its tokens and over layers.

    A word counts if all its tokens were masked or none was, if it has no unknown token, and
    if a polygon of it is in the image.

    Args:
        sample: of :class:`~vlpt_d2.modeling.pretraining.vlpt.mapper.PretrainMapper` at test time.
        attention: (layers, K, h, w), without [CLS].
        shuffled: the same for the caption with another image.
        layers: which are averaged; all if empty.
        centre: see :func:`peak_of`.

    Raises:
        ValueError: there is no such layer.
    """
    if layers and not 0 <= min(layers) <= max(layers) < len(attention):
        raise ValueError(
            f"TEST.POINTING_LAYERS is {list(layers)}; the layers are 0 to {len(attention) - 1}"
        )
    size = tuple(sample["image"].shape[-2:])
    maps = _inside(attention, layers, size, centre)
    other = None if shuffled is None else _inside(shuffled, layers, size, centre)
    rows, columns = maps.shape[1:]
    x = (np.arange(columns) + centre) * TOKEN_STRIDE / size[1]
    y = (np.arange(rows) + centre) * TOKEN_STRIDE / size[0]
    x, y = np.meshgrid(x, y)
    numbers = sample["token_words"].numpy()
    selected = (sample["mlm_labels"] != IGNORE_INDEX).numpy()
    regions = [region_of(polygons, size) for polygons in sample["word_polygons"]]
    text = shapely.union_all(regions)
    shapely.prepare(regions)
    words = []
    for number, region in enumerate(regions):
        tokens = numbers == number
        masked = selected[tokens]
        if not tokens.any() or region.area == 0 or masked.any() != masked.all():
            continue
        peak = peak_of(maps[tokens].mean(axis=0), size, centre)
        hit = None
        if other is not None:
            elsewhere = peak_of(other[tokens].mean(axis=0), size, centre)
            hit = bool(shapely.intersects_xy(region, *elsewhere))
        words.append(
            PointedWord(
                masked=bool(masked.all()),
                wkb=shapely.to_wkb(region),
                hit=bool(shapely.intersects_xy(region, *peak)),
                shuffled_hit=hit,
                on_text=bool(shapely.intersects_xy(text, *peak)),
                cells=np.packbits(shapely.intersects_xy(region, x, y)),
                grid=(rows, columns),
            )
        )
    return words


def pointing_results(words: Sequence[PointedWord]) -> dict[str, float]:
    """Pointing accuracy and what it has to be held against, all on the same words, in percent.

    Returns:
        - ``accuracy``: words whose peak lies in one of their polygons;
        - ``shuffled``: the same with the next image of the batch (where there was one);
        - ``chance``: the polygons' share of the image, the mean over words: a random peak;
        - ``centre``: a peak that is always at the mean of all words' centres;
        - ``best_place``: a peak that is always at the token that is right most often on these very
          words, which no fixed answer exceeds;
        - ``on_text``: words whose peak lies on any word of the image;
        - ``reachable``: words in which a token lies; others cannot be hit.

        Empty without words.
    """
    if not words:
        return {}
    shuffled = [word.shuffled_hit for word in words if word.shuffled_hit is not None]
    regions = shapely.from_wkb([word.wkb for word in words])
    centre = shapely.get_coordinates(shapely.centroid(regions)).mean(axis=0)
    hits = np.zeros(words[0].grid[0] * words[0].grid[1])
    for word in words:
        hits += np.unpackbits(word.cells, count=len(hits))
    shares = {
        "accuracy": np.mean([word.hit for word in words]),
        "chance": shapely.area(regions).mean(),
        "centre": shapely.intersects_xy(regions, *centre).mean(),
        "best_place": hits.max() / len(words),
        "on_text": np.mean([word.on_text for word in words]),
        "reachable": np.mean([word.cells.any() for word in words]),
    }
    if shuffled:
        shares["shuffled"] = np.mean(shuffled)
    return {name: 100 * float(share) for name, share in shares.items()}


def _inside(
    attention: torch.Tensor, layers: Sequence[int], size: tuple[int, int], centre: float
) -> np.ndarray:
    """Average layers; leave out tokens that lie in the padding of the image."""
    chosen = attention[list(layers)] if layers else attention
    rows, columns = (math.ceil(side / TOKEN_STRIDE - centre) for side in size)
    return chosen.float().mean(dim=0)[:, :rows, :columns].cpu().numpy()
