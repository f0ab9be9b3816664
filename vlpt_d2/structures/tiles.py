"""Large images in overlapping tiles: where these lie, and one text from its parts in several."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import shapely

__all__ = ["merge_texts", "tile_windows"]

# Of a tile's side: how far neighbours overlap at least, and how near to its edge a text is cut.
_OVERLAP, _MARGIN = 0.25, 0.01
# Least IoU, in the area that two tiles share, of a text's parts in them; and the share of the
# smaller from which on two texts of different tiles are the same.
_SAME, _INSIDE = 0.5, 0.5


def tile_windows(image_size: tuple[int, int], side: int) -> np.ndarray:
    """Windows that cover an image, neighbours overlapping by a quarter of their side at least.

    Args:
        image_size: (H, W).
        side: of a window in pixels; shorter where the image is.

    Returns:
        (N, 4) of x0, y0, x1, y1, row by row.
    """
    starts = []
    for length in image_size:
        count = 1
        if length > side:
            step = max(1, round(side * (1 - _OVERLAP)))
            count = 1 + -(-(length - side) // step)
        starts.append(np.linspace(0, max(0, length - side), count).round().astype(int))
    height, width = image_size
    return np.array(
        [(x, y, min(x + side, width), min(y + side, height)) for y in starts[0] for x in starts[1]]
    )


def merge_texts(
    polygons: Sequence[np.ndarray],
    scores: np.ndarray,
    owners: np.ndarray,
    windows: np.ndarray,
    image_size: tuple[int, int],
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Make one text of what several windows show of it.

    Parts are of one text where they agree in the area that their windows share. Of those that no
    edge cuts the one with the highest score is taken; where all are cut, what is around them.

    Args:
        polygons: (N_i, 2) points each, in pixels of the image.
        scores: one for each.
        owners: the window of each.
        windows: (M, 4) of x0, y0, x1, y1; they may be nested, as the whole image is.
        image_size: (H, W).

    Returns:
        The polygons, their scores (of several parts the mean), and of each the place of the part
        that it is, or of its largest part.
    """
    if not len(polygons):
        return [], np.zeros(0, np.float32), np.zeros(0, int)
    shapes = shapely.make_valid([shapely.Polygon(polygon) for polygon in polygons])
    cut = _are_cut(polygons, windows[owners], image_size)
    groups: list[tuple[bool, float, list[int], np.ndarray]] = []
    for members in _components(len(polygons), _same_texts(shapes, owners, windows)):
        whole = [i for i in members if not cut[i]]
        if whole:
            best = max(whole, key=lambda i: scores[i])
            groups.append((True, float(scores[best]), [best], polygons[best]))
        else:
            score = float(np.mean(scores[members]))
            groups.append((False, score, members, _around(members, polygons, shapes)))
    # What still shows another's text, such as two words in one, goes.
    groups.sort(key=lambda group: group[:2], reverse=True)
    kept: list[int] = []
    outlines = shapely.make_valid([shapely.Polygon(group[3]) for group in groups])
    areas = np.maximum(shapely.area(outlines), 1e-6)
    for i, (_, _, members, _) in enumerate(groups):
        shared = shapely.area(shapely.intersection(outlines[i], outlines[kept]))
        inside = shared > _INSIDE * np.minimum(areas[i], areas[kept])
        ours = set(owners[members].tolist())
        if not any(ours.isdisjoint(owners[groups[k][2]].tolist()) for k in np.array(kept)[inside]):
            kept.append(i)
    chosen = [groups[i] for i in kept]
    largest = [max(members, key=lambda i: shapes[i].area) for _, _, members, _ in chosen]
    return (
        [polygon for *_, polygon in chosen],
        np.array([score for _, score, *_ in chosen], np.float32),
        np.array(largest, int),
    )


def _are_cut(
    polygons: Sequence[np.ndarray], windows: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """Whether each polygon reaches an edge of its window that is not one of the image."""
    low = np.array([polygon.min(axis=0) for polygon in polygons])
    high = np.array([polygon.max(axis=0) for polygon in polygons])
    margin = _MARGIN * (windows[:, 2:] - windows[:, :2]).max(axis=1, keepdims=True)
    before = (low < windows[:, :2] + margin) & (windows[:, :2] > 0)
    after = (high > windows[:, 2:] - margin) & (windows[:, 2:] < image_size[::-1])
    return (before | after).any(axis=1)


def _same_texts(shapes: np.ndarray, owners: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Pairs (2, K) of polygons of different windows that agree in the area that these share."""
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    apart = (first < second) & (owners[first] != owners[second])
    first, second = first[apart], second[apart]
    low = np.maximum(windows[owners[first], :2], windows[owners[second], :2])
    high = np.minimum(windows[owners[first], 2:], windows[owners[second], 2:])
    common = shapely.box(*low.T, *high.T)
    ours = shapely.intersection(shapes[first], common)
    theirs = shapely.intersection(shapes[second], common)
    shared = shapely.area(shapely.intersection(ours, theirs))
    union = shapely.area(ours) + shapely.area(theirs) - shared
    return np.stack([first, second])[:, shared > _SAME * np.maximum(union, 1e-6)]


def _components(number: int, pairs: np.ndarray) -> list[list[int]]:
    from scipy.sparse import coo_matrix  # not needed by images without tiles
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(pairs.shape[1], bool), pairs), shape=(number, number))
    _, groups = connected_components(links, directed=False)
    order = np.argsort(groups, kind="stable")
    return [part.tolist() for part in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)]


def _around(members: list[int], polygons: Sequence[np.ndarray], shapes: np.ndarray) -> np.ndarray:
    """The rectangle around rectangles; of other polygons what they cover."""
    if len(members) == 1:
        return polygons[members[0]]
    if any(len(polygons[i]) != 4 for i in members):
        union = shapely.union_all(shapes[members])
        union = union if union.geom_type == "Polygon" else union.convex_hull
        return np.array(union.exterior.coords[:-1], np.float32)
    points = np.concatenate([polygons[i] for i in members]).astype(np.float32)
    return cv2.boxPoints(cv2.minAreaRect(points))
