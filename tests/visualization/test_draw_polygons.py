"""Pictures: what is drawn, where, and what is left alone."""

import cv2
import numpy as np
import pytest

from vlpt_d2.visualization import contact_sheet, draw_polygons
from vlpt_d2.visualization.polygons import scaled, write_picture

SQUARE = np.array([[20, 20], [80, 20], [80, 60], [20, 60]])


def test_outline_lies_on_the_polygon():
    image = np.zeros((100, 120, 3), np.uint8)
    drawn = draw_polygons(image, [SQUARE], colour=(255, 0, 0), thickness=1)
    assert image.max() == 0
    assert drawn[20, 50, 0] > 200  # not quite 255: the line is anti-aliased
    assert drawn[20, 50, 1:].max() == 0
    assert drawn[40, 50].tolist() == [0, 0, 0]
    ys, xs = np.nonzero(drawn[..., 0] > 128)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (20, 80, 20, 60)


def test_outline_is_smooth_and_of_sub_pixel_precision():
    image = np.zeros((60, 60, 3), np.uint8)
    slanted = np.array([[10, 10], [50, 17], [45, 50]])
    drawn = draw_polygons(image, [slanted], colour=(255, 255, 255), thickness=1)
    assert len(np.unique(drawn)) > 10  # grey levels between the two colours
    shifted = draw_polygons(image, [slanted + 0.5], colour=(255, 255, 255), thickness=1)
    assert (shifted != drawn).any()


def test_nothing_to_draw():
    image = np.zeros((100, 120, 3), np.uint8)
    np.testing.assert_array_equal(draw_polygons(image, []), image)


def test_labels_stay_inside():
    image = np.full((100, 120, 3), 128, np.uint8)
    outside = np.array([[110, -500], [1e9, -500], [130, 5]])
    plain = draw_polygons(image, [SQUARE, outside])
    drawn = draw_polygons(image, [SQUARE, outside], texts=["é中", ""], scores=[0.5, 0.875])
    assert drawn.shape == image.shape
    changed = cv2.absdiff(plain, drawn).max(axis=2)
    assert changed[:20, 20:60].any()  # above the square's first corner
    assert changed[:20, 90:].any()  # drawn inside although its corner is not
    assert not changed[25:].any()


def test_wrong_input():
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="2 texts for 1 polygons"):
        draw_polygons(image, [SQUARE], texts=["a", "b"])
    with pytest.raises(ValueError, match="float64"):
        draw_polygons(image.astype(np.float64), [SQUARE])
    with pytest.raises(ValueError, match="0 images"):
        contact_sheet([], 3)


def test_contact_sheet():
    red, wide = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 40, 3), np.uint8)
    red[..., 0] = 255
    sheet = contact_sheet([red, wide, red], columns=2)
    assert sheet.shape == (2 * 28, 2 * 48, 3)
    assert sheet[14, 24].tolist() == [255, 0, 0]  # centre of the first cell
    assert sheet[14, 6].tolist() == [255, 255, 255]  # beside the narrow image
    assert sheet[14, 72].tolist() == [0, 0, 0]
    assert sheet[42, 72].tolist() == [255, 255, 255]  # the empty cell
    titled = contact_sheet([red], columns=4, titles=["hello"], cell=(10, 30))
    assert titled.shape == (36, 38, 3)
    assert (titled[4:22].sum(axis=2) < 200).any()
    assert titled[27, 19].tolist() == [255, 0, 0]


def test_pictures_are_written_as_their_suffix_says(tmp_path):
    image = np.zeros((6, 4, 3), np.uint8)
    image[..., 0] = 200
    write_picture(tmp_path / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)
    for path in (tmp_path / "a.txt", tmp_path / "a", tmp_path / "no" / "a.png"):
        with pytest.raises(OSError, match=str(path)):
            write_picture(path, image)
    assert scaled(image, 0.1).shape == (1, 1, 3)
