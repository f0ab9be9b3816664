"""Crops and files of detections that are known exactly."""

import cv2
import numpy as np
from PIL import Image

from vlpt_d2.detections import TextDetections


def detections(image, polygons, words=None):
    scores = np.linspace(0.9, 0.5, len(polygons), dtype=np.float32)
    return TextDetections([np.float32(p) for p in polygons], scores, image, words=words)


def test_as_detectron2_has_them():
    image = np.zeros((50, 90, 3), np.uint8)
    found = detections(image, [[(1, 2), (9, 2), (5, 8)], [(0, 0), (4, 0), (4, 4), (0, 4)]])
    instances = found.instances
    assert instances.image_size == (50, 90) and not instances.has("pred_texts")
    np.testing.assert_array_equal(instances.scores.numpy(), found.scores)
    assert instances.pred_boxes.tensor.tolist() == [[1, 2, 9, 8], [0, 0, 4, 4]]
    assert instances.pred_classes.tolist() == [0, 0]
    assert [len(p) for p in instances.pred_polygons] == [3, 4]
    ring = [(0, 0), (4, 0), (4, 4)]
    assert detections(image, [ring], ["Bar"]).instances.pred_texts == ["Bar"]


def test_a_level_box_is_cut_out_as_it_is():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    corners = [(10, 20), (50, 20), (50, 35), (10, 35)]
    # From whichever corner the polygon starts, and whichever way round it runs.
    rings = [np.roll(corners, k, axis=0) for k in range(4)]
    rings += [ring[::-1] for ring in rings]
    for crop in detections(image, rings).crops():
        np.testing.assert_array_equal(np.array(crop), image[20:35, 10:50])


def test_a_tilted_text_is_straightened():
    upright = np.zeros((40, 120, 3), np.uint8)
    upright[:, :60], upright[20:, 60:] = (255, 0, 0), (0, 255, 0)
    corners = np.float32([(0, 0), (120, 0), (120, 40), (0, 40)])
    for angle in (-40, -10, 25, 44):
        turn = cv2.getRotationMatrix2D((60, 20), angle, 1)
        turn[:, 2] += (90, 110)
        # Points are counted from pixels' corners, OpenCV's from their centres.
        centred = turn.copy()
        centred[:, 2] += turn[:, :2] @ (0.5, 0.5) - 0.5
        image = cv2.warpAffine(upright, centred, (300, 260))
        (crop,) = detections(image, [corners @ turn[:, :2].T + turn[:, 2]]).crops()
        assert crop.size == (120, 40)
        pixels = np.array(crop)
        for x, y, colour in ((30, 10, (255, 0, 0)), (90, 30, (0, 255, 0)), (90, 10, (0, 0, 0))):
            assert np.abs(pixels[y, x].astype(int) - colour).max() < 8


def test_a_curved_text_and_one_without_size():
    image = np.full((50, 90, 3), 7, np.uint8)
    curved = [(10, 20), (30, 15), (50, 20), (50, 35), (30, 30), (10, 35)]
    crops = detections(image, [curved, [(5, 5), (5, 5), (5, 5)]]).crops()
    assert crops[0].size == (40, 20)
    assert crops[1].size == (1, 1)


def test_images_longer_than_their_formats_hold(tmp_path):
    image = np.zeros((8, 70_000, 3), np.uint8)
    image[2:6, 69_000:69_010] = 255
    found = detections(image, [[(69_000, 2), (69_010, 2), (69_010, 6), (69_000, 6)]])
    for name, longest in (("a.jpg", 65500), ("a.webp", 16383), ("a.png", 70_000)):
        found.save(tmp_path / name)
        assert Image.open(tmp_path / name).width == longest
    (crop,) = found.crops()
    assert crop.size == (10, 4) and np.asarray(crop).min() == 255


def test_repr_and_length():
    found = detections(np.zeros((5, 8, 3), np.uint8), [[(0, 0), (4, 0), (4, 3)]])
    assert len(found) == 1
    assert repr(found) == "<TextDetections: 1 text, 8x5 pixels>"
