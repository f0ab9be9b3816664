"""Squashed and rotated images, and the polygons that must stay on what they were drawn around."""

import cv2
import numpy as np
import pytest
import shapely
from detectron2.structures import BoxMode

from vlpt_d2.data.squashed_image import SquashedImages, map_annotations

SHAPES = [
    [[12.0, 20.0], [70.0, 9.0], [76.0, 40.0], [20.0, 52.0]],
    [[100.0, 60.0], [130.0, 50.0], [150.0, 70.0], [140.0, 96.0], [104.0, 84.0]],
    [[60.0, 70.0], [84.0, 70.0], [84.0, 94.0], [60.0, 94.0]],
]


def covered(shapes, size):
    """Share of every pixel that shapes cover, by 64 points in each."""
    height, width = size
    steps = (np.arange(8) + 0.5) / 8
    ys = (np.arange(height)[:, None] + steps).ravel()
    xs = (np.arange(width)[:, None] + steps).ravel()
    grid = np.stack(np.meshgrid(xs, ys), axis=-1)
    inside = shapely.contains_xy(
        shapely.union_all([shapely.Polygon(s) for s in shapes]), grid[..., 0], grid[..., 1]
    )
    return inside.reshape(height, 8, width, 8).mean(axis=(1, 3))


@pytest.mark.parametrize("size", [(64, 64), (110, 160), (220, 200)])
@pytest.mark.parametrize("rotation", [0.0, 20.0])
def test_polygons_follow_the_image(tmp_path, size, rotation):
    """White shapes go through the mapper; its polygons cover what is white afterwards."""
    picture = np.round(255 * covered(SHAPES, (110, 160))).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "shapes.png"), np.repeat(picture[:, :, None], 3, axis=2))
    record = {
        "file_name": str(tmp_path / "shapes.png"),
        "annotations": [
            {"segmentation": [np.ravel(s).tolist()], "bbox": [0, 0, 1, 1], "bbox_mode": 0}
            for s in SHAPES
        ],
    }
    images = SquashedImages(image_format="RGB", size=size, rotation=rotation)
    for _ in range(3):
        image, annotations = images(record)
        white = image[0].numpy() / 255
        rings = [np.reshape(a["segmentation"][0], (-1, 2)) for a in annotations]
        wanted = covered(rings, size)
        # Interpolation blurs borders; nowhere else do the two differ, and nothing is shifted.
        assert np.abs(white - wanted).mean() < 0.02
        assert white.sum() == pytest.approx(wanted.sum(), rel=0.01)
        for axis in np.indices(size):
            centre = (axis * white).sum() / white.sum()
            assert centre == pytest.approx((axis * wanted).sum() / wanted.sum(), abs=0.1)
        for annotation, ring in zip(annotations, rings):
            assert annotation["bbox_mode"] == BoxMode.XYXY_ABS
            np.testing.assert_allclose(
                annotation["bbox"], [*ring.min(axis=0), *ring.max(axis=0)], atol=1e-9
            )


def test_boxes_become_polygons_and_texts_without_a_place_are_kept():
    matrix = np.array([[2.0, 0, 1], [0, 3.0, 0]])
    box = {"text": "a", "iscrowd": 1, "bbox": [1, 2, 3, 4], "bbox_mode": BoxMode.XYWH_ABS}
    mapped = map_annotations([box, {"text": "b"}], matrix)
    assert mapped[0]["segmentation"] == [[3, 6, 9, 6, 9, 18, 3, 18]]
    assert (mapped[0]["bbox"], mapped[0]["text"], mapped[0]["iscrowd"]) == ([3, 6, 9, 18], "a", 1)
    assert box["bbox"] == [1, 2, 3, 4]
    assert mapped[1] == {"text": "b"}
