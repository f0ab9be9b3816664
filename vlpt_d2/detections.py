"""The texts found in one image: polygons and scores, to draw, to crop and to save."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from .data.conversion import coco_content, labelme_content
from .evaluation.submission import format_detections
from .structures.lines import group_lines
from .structures.quadrilateral import is_clockwise, quadrilateral
from .utils.atomic import replacing, write_json, write_text
from .utils.names import counted
from .visualization.polygons import draw_polygons

if TYPE_CHECKING:
    from detectron2.structures import Instances

__all__ = ["FORMATS", "TextDetections"]

# Decimal places in files, of pixels and of scores.
_PIXEL_DIGITS, _SCORE_DIGITS = 2, 5
# Pixels of a side that Pillow can write.
_LONGEST_SIDES = {"JPEG": 65500, "WEBP": 16383}


@dataclass(frozen=True, eq=False, repr=False)
class TextDetections:
    """The texts found in one image, in its pixels; (0, 0) is the corner of the first pixel.

    Attributes:
        polygons: for each text, (N, 2) float32 points (x, y) in pixels.
        scores: for each text, its score, float32 in [0, 1].
        image: (H, W, 3) uint8, RGB, as the detector saw it: rotated by the file's EXIF.
        file_name: the file of the image; None for an image in memory.
        words: for each text, the word that was read; None from a detector that does not read.
        parts: for each line, its words; None if the texts are not lines (see :meth:`lines`).
    """

    polygons: list[np.ndarray]
    scores: np.ndarray
    image: np.ndarray
    file_name: str | None = None
    words: list[str] | None = None
    parts: list[TextDetections] | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def instances(self) -> Instances:
        """The texts as detectron2's ``Instances``, on the CPU: ``scores``, ``pred_classes``,
        ``pred_boxes`` and ``pred_polygons``; from a detector that reads, also ``pred_texts``.
        """
        from .structures.polygons import as_instances

        return as_instances(self.polygons, self.scores, self.image_size, self.words)

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.polygons)

    def __repr__(self) -> str:
        height, width = self.image_size
        name = "" if self.file_name is None else f" of {self.file_name!r}"
        return f"<TextDetections{name}: {counted(len(self), 'text')}, {width}x{height} pixels>"

    def draw(self, scores: bool = True) -> Image.Image:
        """Return the image with the outlines of the texts.

        Args:
            scores: whether to write each score next to its text.
        """
        numbers = self.scores.tolist() if scores else None
        return Image.fromarray(draw_polygons(self.image, self.polygons, scores=numbers))

    def crops(self) -> list[Image.Image]:
        """Cut out the texts, each straightened to an upright rectangle of its own size.

        Polygons that do not have four points are replaced by their minimum-area rectangle. Vertical
        texts stay vertical.
        """
        return [Image.fromarray(_crop(self.image, polygon)) for polygon in self.polygons]

    def lines(self) -> TextDetections:
        """Group words into lines, in reading order (:mod:`vlpt_d2.structures.lines`).

        Returns:
            The lines: for each, the rectangle around its words, the mean of their scores, the words
            that were read, joined by spaces, and the texts of its words as ``parts``.
        """
        groups = group_lines(self.polygons)
        parts = [self._chosen(group) for group in groups]
        return TextDetections(
            [_around(part.polygons) for part in parts],
            np.array([part.scores.mean() for part in parts], np.float32),
            self.image,
            self.file_name,
            None if self.words is None else [" ".join(part.words or ()) for part in parts],
            parts,
        )

    def _chosen(self, indices: list[int]) -> TextDetections:
        words = None if self.words is None else [self.words[i] for i in indices]
        polygons = [self.polygons[i] for i in indices]
        return replace(self, polygons=polygons, scores=self.scores[indices], words=words)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with pixels rounded to hundredths.

        Returns:
            ``{"file_name", "height", "width", "texts": [{"polygon": [[x, y], …], "score"}, …]}``;
            texts that were read also have "word", and lines "parts", the texts of their words.
        """
        height, width = self.image_size
        texts: list[dict[str, Any]] = [
            {"polygon": _rounded(polygon).tolist(), "score": round(score, _SCORE_DIGITS)}
            for polygon, score in zip(self.polygons, self.scores.tolist())
        ]
        for text, word in zip(texts, self.words or ()):
            text["word"] = word
        for text, part in zip(texts, self.parts or ()):
            text["parts"] = part.to_dict()["texts"]
        return {"file_name": self.file_name, "height": height, "width": width, "texts": texts}

    def save(self, path: str | Path, file_format: str | None = None) -> None:
        """Write the detections to a file; replace it if it exists.

        Args:
            path: the file; its folder must exist.
            file_format: "json": :meth:`to_dict`; "icdar": a line ``x1,y1,…,x4,y4`` for each text,
                in whole pixels, as ``vlpt-d2 evaluate`` reads it; "coco": a COCO dataset of one
                image; "labelme": labelme's JSON, which names the image; "image": :meth:`draw`, in
                the format of the path's suffix, reduced to the largest size that it can hold. If
                not given, ".json" is "json", ".txt" is "icdar", and other suffixes are "image".

        Raises:
            ValueError: there is no such format, or no image format of that suffix.
            OSError: the file cannot be written.
        """
        path = Path(path)
        if file_format is None:
            file_format = {".json": "json", ".txt": "icdar"}.get(path.suffix.lower(), "image")
        if file_format not in FORMATS:
            raise ValueError(f"no format {file_format!r}; there are {', '.join(FORMATS)}")
        FORMATS[file_format](self, path)

    def _annotations(self) -> list[dict[str, Any]]:
        """The texts as detectron2's annotations, which the writers of label files take."""
        annotations: list[dict[str, Any]] = [
            {
                "segmentation": [_rounded(polygon).ravel().tolist()],
                "iscrowd": 0,
                "score": round(score, _SCORE_DIGITS),
            }
            for polygon, score in zip(self.polygons, self.scores.tolist())
        ]
        for annotation, word in zip(annotations, self.words or ()):
            annotation["text"] = word
        return annotations


def _write_json(found: TextDetections, path: Path) -> None:
    write_json(path, found.to_dict())


def _write_icdar(found: TextDetections, path: Path) -> None:
    write_text(path, format_detections(found.polygons, found.scores.tolist()))


def _write_coco(found: TextDetections, path: Path) -> None:
    height, width = found.image_size
    name = Path(found.file_name or "").name
    record = {
        "image": {"file_name": name, "height": height, "width": width},
        "annotations": found._annotations(),
    }
    write_json(path, coco_content([record]))


def _write_labelme(found: TextDetections, path: Path) -> None:
    name = ""
    if found.file_name is not None:
        try:
            name = Path(os.path.relpath(found.file_name, path.parent)).as_posix()
        except ValueError:  # on another drive
            name = os.path.abspath(found.file_name)
    write_json(path, labelme_content(name, found._annotations(), found.image_size))


def _write_image(found: TextDetections, path: Path) -> None:
    suffix = path.suffix.lower()
    kind = Image.registered_extensions().get(suffix)
    if kind not in Image.SAVE:
        raise ValueError(f"{path}: an image cannot be written as {suffix!r}; use .png or .jpg")
    drawn = found.draw()
    if kind in _LONGEST_SIDES:
        drawn.thumbnail((_LONGEST_SIDES[kind],) * 2)
    with replacing(path) as file:
        drawn.save(file, kind)


#: Format -> writer of one image's detections.
FORMATS: dict[str, Callable[[TextDetections, Path], None]] = {
    "json": _write_json,
    "icdar": _write_icdar,
    "coco": _write_coco,
    "labelme": _write_labelme,
    "image": _write_image,
}


def _rounded(polygon: np.ndarray) -> np.ndarray:
    return np.round(polygon.astype(np.float64), _PIXEL_DIGITS)


def _around(polygons: list[np.ndarray]) -> np.ndarray:
    """The polygon itself if there is one, or the rectangle around several."""
    if len(polygons) == 1:
        return polygons[0]
    return cv2.boxPoints(cv2.minAreaRect(np.concatenate(polygons).astype(np.float32)))


def _crop(image: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    corners = _upright(quadrilateral(polygon))
    # Only what is around them: OpenCV warps no image with a side of 2**15 pixels or more.
    last = np.array(image.shape[1::-1]) - 1
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, last)
    high = np.maximum(np.ceil(corners.max(axis=0)).astype(int) + 2, low + 1)
    image, corners = image[low[1] : high[1], low[0] : high[0]], corners - low
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    width, height = max(1, round(max(top, bottom))), max(1, round(max(left, right)))
    # OpenCV counts from the centre of the first pixel.
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32) - 0.5, target)
    return cv2.warpPerspective(image, transform, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _upright(corners: np.ndarray) -> np.ndarray:
    """The corners clockwise, from the one whose side runs most to the right."""
    if not is_clockwise(corners):
        corners = corners[::-1]
    sides = np.roll(corners, -1, axis=0) - corners
    rightwards = sides[:, 0] / np.maximum(np.linalg.norm(sides, axis=1), 1e-6)
    return np.roll(corners, -int(rightwards.argmax()), axis=0)
