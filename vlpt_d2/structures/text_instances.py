"""The text instances of one image, as they go from its annotations to labels and captions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from .dont_care import is_dont_care
from .repair import repair_polygon

__all__ = ["TextInstances"]

_NO_POINTS = np.zeros((0, 2))
_NO_CHARACTERS = np.zeros((0, 4, 2))


class TextInstances:
    """The text instances of one image: N polygons with what is known of each.

    An annotation of several polygons makes several instances, which share its index. Methods
    return new objects and change no array, so that arrays may be shared.

    Attributes:
        polygons: (N_i, 2) float64 points (x, y) in pixels of each; (0, 2) for a text that is known
            to be in the image, but not where.
        ignore: (N,) bool, True for a "don't care" region.
        words: transcription of each; empty where there is none.
        characters: (C_i, 4, 2) float64 corners of each one's characters, clockwise from the
            character's top left, in the order of the word without its white space; C_i is 0 where
            the source has no characters.
        annotation: (N,) int64, the index of the annotation that each comes from, ascending.
        confidence: (N,) float64 in [0, 1], how sure each one's characters are; 1 but for those that
            a network found.
    """

    def __init__(
        self,
        polygons: Sequence[np.ndarray] = (),
        ignore: np.ndarray | Sequence[bool] | None = None,
        words: Sequence[str] | None = None,
        characters: Sequence[np.ndarray] | None = None,
        annotation: np.ndarray | None = None,
        confidence: np.ndarray | None = None,
    ):
        """
        Args:
            polygons, ignore, words, characters, annotation, confidence: the attributes. By default
                nothing is ignored, there are no words and no characters, each instance has its own
                annotation, and everything is sure.

        Raises:
            ValueError: they are not of one length.
        """
        count = len(polygons)
        self.polygons = list(polygons)
        self.ignore = np.zeros(count, bool) if ignore is None else np.asarray(ignore, bool)
        self.words = [""] * count if words is None else list(words)
        self.characters = [_NO_CHARACTERS] * count if characters is None else list(characters)
        self.annotation = np.arange(count) if annotation is None else np.asarray(annotation)
        self.confidence = np.ones(count) if confidence is None else np.asarray(confidence, float)
        for name in ("ignore", "words", "characters", "annotation", "confidence"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{count} polygons but {len(getattr(self, name))} of {name!r}")

    def __len__(self) -> int:
        return len(self.polygons)

    def __getitem__(self, item: slice | np.ndarray | Sequence[int]) -> TextInstances:
        """Select instances by a slice, a boolean mask or integer indices."""
        rows = np.arange(len(self))[item]
        return self._of_rows(rows, [self.polygons[i] for i in rows], self.ignore[rows])

    def __repr__(self) -> str:
        return f"TextInstances({len(self)}, words={self.words})"

    @classmethod
    def from_annotations(cls, annotations: Iterable[Mapping[str, Any]]) -> TextInstances:
        """Read detectron2 annotations as they are.

        Args:
            annotations: dicts with "segmentation" ([[x0, y0, ...], ...]) or else "bbox" and
                "bbox_mode"; one with neither is a text in an unknown place. Optional: "iscrowd"
                (1 for "don't care"), "text", "characters" ([[x0, y0, ..., x3, y3], ...]) and
                "confidence", a number.
        """
        polygons, ignore, words, characters, indices, sure = [], [], [], [], [], []
        for index, annotation in enumerate(annotations):
            rings = [np.asarray(r, np.float64) for r in annotation.get("segmentation") or ()]
            if not rings:
                rings = [_box_corners(annotation) if "bbox" in annotation else _NO_POINTS]
            quads = annotation.get("characters")
            polygons += [ring.reshape(-1, 2) for ring in rings]
            ignore += [bool(annotation.get("iscrowd", 0))] * len(rings)
            words += [annotation.get("text", "")] * len(rings)
            # The characters are those of the whole annotation: its first polygon keeps them.
            characters += [
                np.asarray(quads, np.float64).reshape(-1, 4, 2) if quads else _NO_CHARACTERS,
                *[_NO_CHARACTERS] * (len(rings) - 1),
            ]
            indices += [index] * len(rings)
            sure += [annotation.get("confidence", 1.0)] * len(rings)
        annotation_of, flags = np.array(indices, int), np.array(ignore, bool)
        return cls(polygons, flags, words, characters, annotation_of, np.array(sure, float))

    def to_annotations(self) -> list[dict[str, Any]]:
        """Write detectron2 annotations, of several polygons where instances share an index."""
        from detectron2.structures import BoxMode

        annotations = []
        starts = np.unique(self.annotation, return_index=True)[1].tolist()
        for start, end in zip(starts, [*starts[1:], len(self)]):
            rings = [ring for ring in self.polygons[start:end] if len(ring)]
            annotation = {
                "category_id": 0,
                "iscrowd": int(self.ignore[start:end].all()),
                "text": self.words[start],
            }
            if rings:
                points = np.concatenate(rings)
                annotation |= {
                    "bbox": [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()],
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "segmentation": [ring.ravel().tolist() for ring in rings],
                }
            if len(self.characters[start]):
                annotation["characters"] = self.characters[start].reshape(-1, 8).tolist()
            if self.confidence[start] != 1:
                annotation["confidence"] = float(self.confidence[start])
            annotations.append(annotation)
        return annotations

    def repaired(self) -> tuple[TextInstances, int]:
        """Repair every polygon by :func:`~.repair.repair_polygon`.

        Returns:
            The instances without those that cannot be repaired, and the number of polygons that
            were repaired or left out.
        """
        rows, rings, faults = [], [], 0
        for row, polygon in enumerate(self.polygons):
            ring, fault = repair_polygon(polygon) if len(polygon) else (polygon, None)
            faults += fault is not None
            if ring is not None:
                rows.append(row)
                rings.append(ring)
        return self._of_rows(rows, rings, self.ignore[rows]), faults

    def mapped(self, apply_coords: Callable[[np.ndarray], np.ndarray]) -> TextInstances:
        """Map all points.

        Args:
            apply_coords: from (M, 2) points, which it may edit, to (M, 2) points, such as a
                ``Transform.apply_coords``.
        """
        characters = [
            apply_coords(quads.reshape(-1, 2).copy()).reshape(-1, 4, 2) if len(quads) else quads
            for quads in self.characters
        ]
        polygons = [apply_coords(polygon.copy()) for polygon in self.polygons]
        return TextInstances(
            polygons, self.ignore, self.words, characters, self.annotation, self.confidence
        )

    def cut(self, image_size: tuple[int, int], min_visible: float = 0.5) -> TextInstances:
        """Cut polygons exactly at the border of an image.

        A text that is cut stays a text if a single part of at least ``min_visible`` of its area is
        left, since the rest of it is still read as text; else its parts are ignored. What is
        outside is left out. Characters stay whole, with the first part.

        Args:
            image_size: (H, W).
            min_visible: share of the area, in [0, 1].

        Returns:
            Instances with polygons within [0, W] x [0, H]. Cut ones go round the same way as
            before, from the point nearest to the first one on, so that a quadrilateral that is
            still one keeps its reading direction.
        """
        height, width = image_size
        window = shapely.box(0, 0, width, height)
        rows, rings, ignore = [], [], []
        for row, (polygon, skip) in enumerate(zip(self.polygons, self.ignore.tolist())):
            pieces = [polygon]
            if len(polygon):
                low, high = polygon.min(axis=0), polygon.max(axis=0)
                if (high <= 0).any() or (low >= (width, height)).any():
                    continue
                if (low < 0).any() or (high > (width, height)).any():
                    pieces, whole = _pieces(polygon, window, min_visible)
                    skip = skip or not whole
            rows += [row] * len(pieces)
            rings += pieces
            ignore += [skip] * len(pieces)
        return self._of_rows(rows, rings, ignore)

    def visible(self, shown: shapely.Polygon) -> TextInstances:
        """Leave out the texts of which nothing can be seen.

        Args:
            shown: the part of the plane that shows the image, in pixels.

        Returns:
            The annotations with a polygon that reaches as far into ``shown`` as the centres of its
            outermost pixels: half a pixel. A narrower sliver shows nothing of a word. Texts in an
            unknown place are kept.
        """
        inner = shapely.buffer(shown, -0.5, join_style="mitre")
        shapely.prepare(inner)
        seen = [
            not len(ring) or bool(shapely.intersects(inner, shapely.Polygon(ring)))
            for ring in self.polygons
        ]
        return self[np.isin(self.annotation, self.annotation[np.array(seen, bool)])]

    def bounds(self) -> np.ndarray:
        """The smallest upright box (x0, y0, x1, y1) around each polygon, (N, 4) float64."""
        boxes = [(*ring.min(axis=0), *ring.max(axis=0)) for ring in self.polygons]
        return np.array(boxes, np.float64).reshape(-1, 4)

    def legible(self) -> TextInstances:
        """The instances that are words: no "don't care" regions and no illegible texts."""
        words = [bool(w) and not is_dont_care(w) for w in map(str.strip, self.words)]
        return self[np.array(words, bool) & ~self.ignore]

    def captions(self) -> list[str]:
        """The transcription of every annotation, without white space around it, in their order."""
        first = np.unique(self.annotation, return_index=True)[1]
        return [self.words[i].strip() for i in first]

    def places(self) -> list[list[np.ndarray]]:
        """For each of :meth:`captions` the polygons of all that read the same, in any case."""
        places: dict[str, list[np.ndarray]] = {word.lower(): [] for word in self.captions()}
        for word, polygon in zip(self.words, self.polygons):
            if len(polygon):
                places[word.strip().lower()].append(polygon)
        return [places[word.lower()] for word in self.captions()]

    def _of_rows(
        self,
        rows: Sequence[int] | np.ndarray,
        polygons: Sequence[np.ndarray],
        ignore: Sequence[bool] | np.ndarray,
    ) -> TextInstances:
        """Rows with other polygons; of an annotation the first that is left has the characters."""
        rows = np.asarray(rows, int)
        known = {
            index: quads
            for index, quads in zip(self.annotation.tolist(), self.characters)
            if len(quads)
        }
        characters = [known.pop(i, _NO_CHARACTERS) for i in self.annotation[rows].tolist()]
        words = [self.words[i] for i in rows]
        return TextInstances(
            polygons, ignore, words, characters, self.annotation[rows], self.confidence[rows]
        )


def _box_corners(annotation: Mapping[str, Any]) -> np.ndarray:
    from detectron2.structures import BoxMode

    box = BoxMode.convert(list(annotation["bbox"]), annotation["bbox_mode"], BoxMode.XYXY_ABS)
    x0, y0, x1, y1 = box
    return np.array([x0, y0, x1, y0, x1, y1, x0, y1], np.float64)


def _pieces(
    polygon: np.ndarray, window: shapely.Polygon, min_visible: float
) -> tuple[list[np.ndarray], bool]:
    """The parts of a polygon in a window, and whether it is still one text."""
    # A transform may have pressed a thin one onto itself.
    ring, _ = repair_polygon(polygon)
    if ring is None:
        return [], False
    shape = shapely.Polygon(ring)
    parts = [
        part
        for part in shapely.get_parts(shapely.get_parts(shapely.intersection(shape, window)))
        if part.geom_type == "Polygon" and part.area > 0
    ]
    pieces = [_in_order_of(np.asarray(part.exterior.coords)[:-1], polygon) for part in parts]
    return pieces, len(parts) == 1 and parts[0].area >= min_visible * shape.area


def _in_order_of(ring: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Reorder a ring to go round as a polygon does, from the point nearest to its first one on."""
    if shapely.is_ccw(shapely.LinearRing(ring)) != shapely.is_ccw(shapely.LinearRing(polygon)):
        ring = ring[::-1]
    first = ((ring - polygon[0]) ** 2).sum(axis=1).argmin()
    return np.roll(ring, -first, axis=0)
