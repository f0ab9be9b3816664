"""A list of polygons that behaves like detectron2's structures inside ``Instances``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

__all__ = ["Polygons", "as_instances"]


class Polygons:
    """Simple polygons of any number of vertices, one per instance.

    Unlike detectron2's ``PolygonMasks``, one instance is exactly one ring of points, kept as the
    array the decoders and protocols work on. A plain list would not do: ``instances[mask]``
    indexes every field with a tensor.

    Coordinates stay in host memory as float32: they are made by OpenCV and read by shapely.

    Args:
        polygons: per instance, N_i x 2 points (x, y) or a flat list (x0, y0, x1, y1, ...), in
            pixels; N_i >= 3.

    Raises:
        ValueError: a polygon has fewer than three points or a shape other than these.
    """

    def __init__(self, polygons: Iterable[np.ndarray | Sequence[float] | torch.Tensor] = ()):
        self.polygons: list[np.ndarray] = [_points(p, i) for i, p in enumerate(polygons)]

    def __len__(self) -> int:
        return len(self.polygons)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Iterate over float32 arrays of shape (N_i, 2)."""
        return iter(self.polygons)

    def __getitem__(self, item: int | slice | np.ndarray | torch.Tensor | Sequence) -> Polygons:
        """Select instances.

        Args:
            item: an index, a slice, a boolean mask of length ``len(self)``, or integer indices;
                masks and indices as tensors, arrays or lists.

        Returns:
            A new ``Polygons`` that shares the arrays; of length 1 for an int, as with ``Boxes``.

        Raises:
            IndexError: an index is out of range, or a mask has the wrong length or dimension.
        """
        if isinstance(item, slice):
            return self._wrap(self.polygons[item])
        index = item.detach().cpu().numpy() if isinstance(item, torch.Tensor) else np.asarray(item)
        if index.ndim == 0 and np.issubdtype(index.dtype, np.integer):
            return self._wrap([self.polygons[int(index)]])
        if index.ndim != 1:
            raise IndexError(f"Polygons takes a 1-dimensional index, got shape {index.shape}")
        if index.size == 0 and index.dtype != bool:  # np.asarray([]) is a float array
            return self._wrap([])
        if index.dtype == bool:
            if len(index) != len(self):
                raise IndexError(f"mask of length {len(index)} for {len(self)} polygons")
            index = np.flatnonzero(index)
        elif not np.issubdtype(index.dtype, np.integer):
            raise IndexError(f"Polygons cannot be indexed with {index.dtype}")
        return self._wrap([self.polygons[i] for i in index.tolist()])

    def __repr__(self) -> str:
        return f"Polygons(num_instances={len(self)})"

    def to(self, *args: object, **kwargs: object) -> Polygons:
        """Return self: the points live on the host whatever the device of the other fields."""
        return self

    def clone(self) -> Polygons:
        """Return a copy that shares no array with this one."""
        return self._wrap([p.copy() for p in self.polygons])

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @classmethod
    def cat(cls, polygons_list: Sequence[Polygons]) -> Polygons:
        """Concatenate; the hook through which ``Instances.cat`` joins this field."""
        return cls._wrap([p for polygons in polygons_list for p in polygons])

    def get_boxes(self) -> Boxes:
        """Return the tightest axis-aligned boxes, (N, 4) as x0, y0, x1, y1 in pixels."""
        if not self.polygons:
            return Boxes(torch.zeros(0, 4))
        bounds = [np.concatenate([p.min(axis=0), p.max(axis=0)]) for p in self.polygons]
        return Boxes(torch.from_numpy(np.stack(bounds)))

    def area(self) -> torch.Tensor:
        """Return the areas, (N,) float32 in square pixels, whatever the direction of the ring.

        The shoelace formula; parts that a self-crossing ring turns around twice cancel out.
        """
        return torch.tensor([_shoelace(p) for p in self.polygons], dtype=torch.float32)

    @classmethod
    def _wrap(cls, arrays: list[np.ndarray]) -> Polygons:
        """Build from arrays that are known to be well-formed."""
        polygons = cls()
        polygons.polygons = arrays
        return polygons


def as_instances(
    polygons: Sequence[np.ndarray],
    scores: np.ndarray,
    image_size: tuple[int, int],
    words: Sequence[str] | None = None,
) -> Instances:
    """Make detections out of texts.

    Args:
        polygons: (N_i, 2) points each, in pixels.
        scores: one for each.
        image_size: (H, W) of the image.
        words: what was read, one for each; None of detectors that do not read.

    Returns:
        ``scores``, ``pred_classes`` (0), ``pred_boxes``, ``pred_polygons``, and ``pred_texts``
        where there are words.
    """
    rings = Polygons(polygons)
    instances = Instances(
        image_size,
        scores=torch.as_tensor(scores, dtype=torch.float32),
        pred_classes=torch.zeros(len(rings), dtype=torch.int64),
        pred_boxes=rings.get_boxes(),
        pred_polygons=rings,
    )
    if words is not None:
        instances.pred_texts = list(words)
    return instances


def _points(polygon: np.ndarray | Sequence[float] | torch.Tensor, position: int) -> np.ndarray:
    if isinstance(polygon, torch.Tensor):
        polygon = polygon.detach().cpu().numpy()
    points = np.array(polygon, dtype=np.float32)  # a copy: nobody else edits these in place
    if points.ndim == 1 and points.size % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(
            f"polygon {position} has shape {np.shape(polygon)}; expected at least three points, "
            "as (N, 2) or as a flat list of even length"
        )
    return points


def _shoelace(points: np.ndarray) -> float:
    # Relative to the first point, so that float64 loses nothing far from the origin.
    x, y = (points.astype(np.float64) - points[0]).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
