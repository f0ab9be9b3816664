"""Squashed and rotated images, and the polygons that must stay on what they were drawn around."""

import cv2
import numpy as np
import pytest
import shapely
from detectron2.structures import BoxMode

from vlpt_d2.data.squashed_image import SquashedImages, map_annotations, visible

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


def rectangle(x0, y0, x1, y1):
    return {"text": "word", "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}


@pytest.mark.parametrize(
    "ring, seen",
    [
        ((10, 10, 40, 20), True),
        ((10.1, 10.1, 10.2, 10.2), True),  # small, but inside
        ((-30, 10, -2, 20), False),
        ((105, 10, 130, 20), False),
        ((10, -30, 40, 0), False),
        ((10, 60, 40, 80), False),
        ((-30, 10, 0.4, 20), False),  # the first pixels' centres are at 0.5
        ((-30, 10, 0.6, 20), True),
        ((99.6, 10, 140, 20), False),
        ((99.4, 10, 140, 20), True),
        ((-30, -30, 130, 90), True),  # larger than the image
    ],
)
def test_words_without_a_visible_pixel(ring, seen):
    picture = shapely.box(0, 0, 100, 60)
    assert bool(visible([rectangle(*ring)], picture)) == seen
    outside = rectangle(200, 0, 210, 9)["segmentation"]
    two = {"text": "two", "segmentation": outside + rectangle(*ring)["segmentation"]}
    assert bool(visible([two], picture)) == seen
    images = SquashedImages(image_format="RGB", size=(60, 100))
    _, kept = images.squash(np.zeros((60, 100, 3), np.uint8), [rectangle(*ring), {"text": "b"}])
    assert len(kept) == 1 + seen and kept[-1] == {"text": "b"}


def test_odd_polygons_and_the_corner_of_a_turned_one():
    picture = shapely.box(0, 0, 100, 60)
    crossed = {"segmentation": [[10, 10, 40, 30, 40, 10, 10, 30]]}
    line, point = {"segmentation": [[10, 10, 40, 10]]}, {"segmentation": [[10.0, 10.0]]}
    assert visible([crossed, line, point], picture) == [crossed, line, point]
    # Its bounding box meets the image, the diamond itself does not.
    assert not visible([{"segmentation": [[-20, 5, 5, -20, -20, -45, -45, -20]]}], picture)


def test_words_turned_out_of_the_image_or_into_its_black_corners(monkeypatch):
    """White words on grey: those that are kept show in the turned image, the others do not."""
    size = (100, 100)
    boxes = [(0, 0, 8, 8), (92, 0, 100, 8), (45, 45, 55, 55), (-12, 0, -2, 30), (40, 0, 60, 4)]
    for degrees in (-20.0, 20.0):
        monkeypatch.setattr(np.random, "uniform", lambda *a, d=degrees: d)
        for box in boxes:
            picture = np.full((*size, 3), 90, np.uint8)
            x0, y0, x1, y1 = np.clip(box, 0, 100)
            picture[y0:y1, x0:x1] = 255
            images = SquashedImages(image_format="RGB", size=size, rotation=20.0)
            image, kept = images.squash(picture, [rectangle(*box)])
            assert bool(kept) == bool((image > 150).any()), (degrees, box)


@pytest.mark.parametrize("shape, size", [((64, 1024), (128, 64)), ((1024, 64), (64, 128))])
def test_the_side_that_shrinks_is_averaged(shape, size):
    """Fine stripes become grey, also where the other side grows."""
    stripes = np.zeros((*shape, 3), np.uint8)
    if shape[1] > shape[0]:
        stripes[:, ::2] = 255
    else:
        stripes[::2] = 255
    image, _ = SquashedImages(image_format="RGB", size=size).squash(stripes, [])
    assert image.float().sub(127.5).abs().max() < 2
    same = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    image, _ = SquashedImages(image_format="RGB", size=size).squash(same, [])
    np.testing.assert_array_equal(image.numpy(), same.transpose(2, 0, 1))


def test_boxes_become_polygons_and_texts_without_a_place_are_kept():
    matrix = np.array([[2.0, 0, 1], [0, 3.0, 0]])
    box = {"text": "a", "iscrowd": 1, "bbox": [1, 2, 3, 4], "bbox_mode": BoxMode.XYWH_ABS}
    mapped = map_annotations([box, {"text": "b"}], matrix)
    assert mapped[0]["segmentation"] == [[3, 6, 9, 6, 9, 18, 3, 18]]
    assert (mapped[0]["bbox"], mapped[0]["text"], mapped[0]["iscrowd"]) == ([3, 6, 9, 18], "a", 1)
    assert box["bbox"] == [1, 2, 3, 4]
    assert mapped[1] == {"text": "b"}
