"""Crops and files of detections that are known exactly."""

import cv2
import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from vlpt_d2.detections import TextDetections
from vlpt_d2.structures import Polygons


def detections(image, polygons):
    polygons = Polygons(polygons)
    number = len(polygons)
    instances = Instances(
        image.shape[:2],
        scores=torch.linspace(0.9, 0.5, number),
        pred_classes=torch.zeros(number, dtype=torch.int64),
        pred_boxes=Boxes(polygons.get_boxes().tensor),
        pred_polygons=polygons,
    )
    return TextDetections(instances, image)


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


def test_repr_and_length():
    found = detections(np.zeros((5, 8, 3), np.uint8), [[(0, 0), (4, 0), (4, 3)]])
    assert len(found) == 1
    assert repr(found) == "<TextDetections: 1 texts, 8x5 pixels>"
