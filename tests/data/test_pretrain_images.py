"""Resized and rotated images, and the polygons that must stay on what they were drawn around."""

import cv2
import numpy as np
import pytest
import shapely

from vlpt_d2.data.sample import PretrainImages
from vlpt_d2.data.transforms import RandomTextRotation, ResizeToSize
from vlpt_d2.structures import TextInstances

SHAPES = [
    [[12.0, 20.0], [70.0, 9.0], [76.0, 40.0], [20.0, 52.0]],
    [[100.0, 60.0], [130.0, 50.0], [150.0, 70.0], [140.0, 96.0], [104.0, 84.0]],
    [[60.0, 70.0], [84.0, 70.0], [84.0, 94.0], [60.0, 94.0]],
]


def images_of(size, rotation=0.0):
    augmentations = [ResizeToSize(size)]
    if rotation:
        augmentations.append(RandomTextRotation((-rotation, rotation)))
    return PretrainImages(image_format="RGB", augmentations=augmentations)


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
    images = images_of(size, rotation)
    for _ in range(3):
        sample, texts = images(record)
        white = sample["image"][0].numpy() / 255
        wanted = covered(texts.polygons, size)
        # Interpolation blurs borders; nowhere else do the two differ, and nothing is shifted.
        assert np.abs(white - wanted).mean() < 0.02
        assert white.sum() == pytest.approx(wanted.sum(), rel=0.01)
        for axis in np.indices(size):
            centre = (axis * white).sum() / white.sum()
            assert centre == pytest.approx((axis * wanted).sum() / wanted.sum(), abs=0.1)


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
            x0, y0, x1, y1 = box
            word = TextInstances([np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)])
            image, kept = images_of(size, 20.0).augment(picture, word)
            assert bool(len(kept)) == bool((image > 150).any()), (degrees, box)


@pytest.mark.parametrize("shape, size", [((64, 1024), (128, 64)), ((1024, 64), (64, 128))])
def test_the_side_that_shrinks_is_averaged(shape, size):
    """Fine stripes become grey, also where the other side grows."""
    stripes = np.zeros((*shape, 3), np.uint8)
    if shape[1] > shape[0]:
        stripes[:, ::2] = 255
    else:
        stripes[::2] = 255
    image, _ = images_of(size).augment(stripes, TextInstances())
    assert image.float().sub(127.5).abs().max() < 2
    same = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    image, _ = images_of(size).augment(same, TextInstances())
    np.testing.assert_array_equal(image.numpy(), same.transpose(2, 0, 1))


def test_rotation_is_counter_clockwise_about_the_centre():
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 8] = 255  # right of the centre
    turned = RandomTextRotation((90, 90)).get_transform((9, 9)).apply_image(image)
    assert turned[0, 4].tolist() == [255, 255, 255]
    assert turned.sum() == 3 * 255
    white = np.full((9, 15, 3), 255, np.uint8)
    white = RandomTextRotation((20, 20)).get_transform((9, 15)).apply_image(white)
    assert white.shape == (9, 15, 3)
    assert white[0, 0, 0] < 128


def test_faulty_polygons_are_repaired_as_by_the_readers(tmp_path):
    """A word on four crossing corners has their hull; one on a line is left out, as for labels."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 100, 3), np.uint8))
    rings = {"crossed": [10, 10, 40, 30, 40, 10, 10, 30], "line": [10, 10, 40, 10, 20, 10]}
    record = {
        "file_name": str(tmp_path / "a.png"),
        "annotations": [{"text": t, "segmentation": [ring]} for t, ring in rings.items()],
    }
    _, texts = images_of((60, 100))(record)
    assert texts.words == ["crossed"]
    assert shapely.Polygon(texts.polygons[0]).area == 600
