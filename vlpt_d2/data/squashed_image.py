"""The image side of the pre-training mappers: read, squash, rotate."""

import cv2
import numpy as np
import shapely
import torch
from detectron2.config import CfgNode
from detectron2.structures import BoxMode

from .sample import load_sample

__all__ = ["SquashedImages", "map_annotations", "rotate_image", "visible"]


def rotate_image(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate about the centre, counter-clockwise, keeping the size; corners become black."""
    height, width = image.shape[:2]
    # OpenCV puts (0, 0) at the centre of the first pixel.
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _rotation(size: tuple[int, int], degrees: float) -> np.ndarray:
    """The same for points, (2, 3); pixel i covers [i, i + 1] and the centre of (H, W) stays."""
    return cv2.getRotationMatrix2D((size[1] / 2, size[0] / 2), degrees, 1.0)


def map_annotations(annotations: list[dict], matrix: np.ndarray) -> list[dict]:
    """Apply an affine map of the image plane to the polygons of annotations.

    Args:
        annotations: with "segmentation" as polygons, or else "bbox" in "bbox_mode". Those with
            neither (a text that stands somewhere in the image) are passed on.
        matrix: (2, 3), from (x, y, 1) to the new (x, y); (0, 0) is the corner of the first pixel.

    Returns:
        New annotations with "segmentation", and "bbox" as the box around it in
        ``BoxMode.XYXY_ABS``. Nothing is cut at the image's border: parts may lie outside.
    """
    mapped = []
    for annotation in annotations:
        rings = annotation.get("segmentation")
        if not rings and "bbox" not in annotation:
            mapped.append(annotation)
            continue
        if not rings:
            box = BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)
            x0, y0, x1, y1 = np.ravel(box)
            rings = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        rings = [np.reshape(ring, (-1, 2)) @ matrix[:, :2].T + matrix[:, 2] for ring in rings]
        points = np.concatenate(rings)
        mapped.append(
            annotation
            | {
                "segmentation": [ring.ravel().tolist() for ring in rings],
                "bbox": [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()],
                "bbox_mode": BoxMode.XYXY_ABS,
            }
        )
    return mapped


def visible(annotations: list[dict], shown: shapely.Polygon) -> list[dict]:
    """Return the annotations of which something can be seen.

    Args:
        annotations: with "segmentation" as polygons. Those without (a text that is somewhere
            in the image) count as visible.
        shown: the part of the plane that shows the image, in pixels.

    Returns:
        Those with a polygon that reaches as far into ``shown`` as the centres of its outermost
        pixels: half a pixel. A narrower sliver shows nothing of a word.
    """
    inner = shapely.buffer(shown, -0.5, join_style="mitre")
    shapely.prepare(inner)
    return [a for a in annotations if not a.get("segmentation") or _meets(a, inner)]


def _meets(annotation: dict, region: shapely.Geometry) -> bool:
    rings = [np.reshape(ring, (-1, 2)) for ring in annotation["segmentation"]]
    shapes = [shapely.Polygon(r) if len(r) > 2 else shapely.MultiPoint(r) for r in rings]
    return bool(shapely.intersects(region, shapes).any())


class SquashedImages:
    """Read an image and its words, squash it to one size without keeping its aspect, rotate it.

    Images are never cropped or flipped: the words must stay those of the image. Words of which no
    pixel shows anything are left out: those outside their image, and those turned out of it.
    """

    def __init__(
        self,
        *,
        image_format: str,
        size: tuple[int, int],
        rotation: float = 0.0,
        restore_size: bool = True,
    ):
        """
        Args:
            image_format: channel order, "RGB" or "BGR".
            size: (height, width) of the output.
            rotation: largest angle in degrees; 0 at test time.
            restore_size: see :func:`~vlpt_d2.data.sample.load_sample`.
        """
        self.image_format = image_format
        self.size = tuple(size)
        self.rotation = rotation
        self.restore_size = restore_size

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool) -> "SquashedImages":
        """Read INPUT.FORMAT, INPUT.PRETRAIN and DATASETS.RESTORE_SIZE; rotate in training only."""
        return cls(
            image_format=cfg.INPUT.FORMAT,
            size=cfg.INPUT.PRETRAIN.SIZE,
            rotation=cfg.INPUT.PRETRAIN.ROTATION if is_train else 0.0,
            restore_size=cfg.DATASETS.RESTORE_SIZE,
        )

    def __call__(self, dataset_dict: dict) -> tuple[torch.Tensor, list[dict]]:
        """
        Args:
            dataset_dict: in detectron2's format; may be changed.

        Returns:
            The image, uint8 (3, H, W), and its :func:`visible` annotations, mapped to its pixels
            by :func:`map_annotations`.
        """
        return self.squash(*load_sample(dataset_dict, self.image_format, self.restore_size))

    def squash(self, image: np.ndarray, annotations: list[dict]) -> tuple[torch.Tensor, list[dict]]:
        """Do the same with an (H, W, 3) uint8 image that has been read, and its annotations."""
        height, width = self.size
        source = shapely.box(0, 0, image.shape[1], image.shape[0])
        matrix = np.array([[width / image.shape[1], 0, 0], [0, height / image.shape[0], 0]])
        image = _resized(image, self.size)
        if self.rotation:
            # numpy's global generator, which the loader seeds for each training sample.
            degrees = np.random.uniform(-self.rotation, self.rotation)
            image = rotate_image(image, degrees)
            turn = _rotation(self.size, degrees)
            matrix = np.column_stack([turn[:, :2] @ matrix[:, :2], turn[:, 2]])
        image = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        # What the rotation turned in from outside the image is black.
        shown = shapely.transform(source, lambda p: p @ matrix[:, :2].T + matrix[:, 2])
        shown = shapely.intersection(shown, shapely.box(0, 0, width, height))
        return image, visible(map_annotations(annotations, matrix), shown)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 3) to ``size`` without aliasing, whichever of its sides shrink."""
    height, width = size
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    # INTER_AREA averages only where no side grows, so sides grow in a second step.
    if smaller != image.shape[1::-1]:
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image
