"""Sampling by geometry: where a text ends up, how often, and that its pixels come along."""

import math
import pickle
from collections import Counter

import numpy as np
import pytest

from vlpt_d2.config import get_cfg
from vlpt_d2.data import build_mapper
from vlpt_d2.data.transforms import RandomTextWindow, TextAugInput
from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection.gnnets.mapper import GeometrySampling
from vlpt_d2.structures import TextInstances


def turned(centre, size, degrees):
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def measured(ring):
    """Short side and angle in [-90, 90) of a rectangle given from its top left on."""
    along, down = ring[1] - ring[0], ring[3] - ring[0]
    angle = math.degrees(math.atan2(along[1], along[0]))
    return min(math.hypot(*along), math.hypot(*down)), (angle + 90) % 180 - 90


def branch(side, degrees):
    """Size and orientation, 0 to 3, of a text."""
    orientation = [2, 1, 0, 3][int((degrees + 90) // 45)]
    return int(side > 40), orientation


@pytest.mark.parametrize("side, degrees", [(24, 3), (70, -80), (16, 60)])
def test_a_text_falls_into_each_other_branch_as_often(side, degrees):
    ring = turned((300, 200), (2.5 * side, side), degrees)
    sampling = GeometrySampling(RandomTextWindow((512, 512)), prob=1.0)
    found = Counter()
    for _ in range(300):
        transform = sampling.get_transform((400, 600), TextInstances([ring]))
        there = transform.apply_coords(ring)
        assert transform.output_size == (512, 512)
        assert there.min() >= -1e-6 and there.max() <= 512 + 1e-6
        image = transform.apply_coords(np.array([(0, 0), (600, 0), (600, 400), (0, 400)]))
        low, high = image.min(axis=0), image.max(axis=0)
        assert (np.minimum(-low, high - 512) >= -1e-6)[high - low > 512].all()
        np.testing.assert_allclose(low[high - low <= 512], 0, atol=1e-6)
        new_side, angle = measured(there)
        now = branch(new_side, angle)
        found[now] += 1
        # Only what has to change does.
        own = branch(side, degrees)
        assert (now[0] == own[0]) == (abs(new_side - side) < 1e-6)
        assert (now[1] == own[1]) == (abs(angle - degrees) < 1e-6)
        assert now[0] == own[0] or 20 <= new_side <= 80
        # Not mirrored, and turned by a right angle at most.
        linear = transform.matrix[:, :2]
        assert np.linalg.det(linear) > 0 and linear[0, 0] >= -1e-9
    assert len(found) == 7 and branch(side, degrees) not in found
    assert all(20 < n < 70 for n in found.values()), found


def test_how_often_and_which_texts():
    small, ignored = turned((60, 60), (30, 8), 0), turned((200, 60), (80, 30), 0)
    word = turned((300, 300), (90, 30), 0)
    crop = RandomTextWindow((256, 256))
    sampling = GeometrySampling(crop, prob=0.5)
    texts = TextInstances([small, ignored, word], [False, True, False])
    linear = [sampling.get_transform((500, 500), texts).matrix[:, :2] for _ in range(300)]
    assert 110 < sum(np.allclose(m, np.eye(2)) for m in linear) < 190
    for others in (texts[[0, 1]], TextInstances([])):
        always = GeometrySampling(crop, prob=1.0).get_transform((500, 500), others)
        np.testing.assert_array_equal(always.matrix[:, :2], np.eye(2))
    assert always.output_size == (256, 256)


def test_a_text_larger_than_the_window_fills_it():
    ring = turned((300, 200), (580, 30), 0)
    sampling = GeometrySampling(RandomTextWindow((128, 128)), prob=1.0)
    for _ in range(20):
        inputs = TextAugInput(np.zeros((400, 600, 3), np.uint8), TextInstances([ring]), 0.0)
        sampling(inputs)
        assert inputs.image_size == (128, 128) and len(inputs.texts)


def test_pixels_come_along():
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:140, 120:260] = (0, 200, 0)
    ring = np.array([(120, 100), (260, 100), (260, 140), (120, 140)], float)
    sampling = GeometrySampling(RandomTextWindow((256, 256)), prob=1.0)
    for _ in range(8):
        inputs = TextAugInput(image, TextInstances([ring]))
        sampling(inputs)
        (polygon,) = inputs.texts.polygons
        for share in (0.15, 0.5, 0.85):
            x, y = polygon[0] + share * (polygon[2] - polygon[0])
            assert inputs.image[int(y), int(x), 1] > 150
        area = 0.5 * abs(np.dot(*np.stack([polygon[:, 0], np.roll(polygon[:, 1], 1)]))
                         - np.dot(polygon[:, 1], np.roll(polygon[:, 0], 1)))  # fmt: skip
        assert (inputs.image[..., 1] > 100).sum() == pytest.approx(area, rel=0.1)


def test_the_mapper_of_the_config():
    cfg = load_config("detection/icdar2015/gnnets_R_50.yaml").clone()
    cfg.defrost()
    mapper = build_mapper(cfg, True)
    kinds = [type(a).__name__ for a in mapper.augmentations.augs]
    assert kinds.count("GeometrySampling") == 1 and "RandomTextWindow" not in kinds
    (sampling,) = (a for a in mapper.augmentations.augs if isinstance(a, GeometrySampling))
    assert (sampling.prob, sampling.split_size, sampling.min_text_size) == (7 / 8, 40, 10)
    assert sampling.crop.size == (512, 512)
    pickle.dumps(mapper)
    for is_train, augment in ((False, True), (True, False)):
        cfg.INPUT.DETECTION.AUGMENT = augment
        kinds = [type(a).__name__ for a in build_mapper(cfg, is_train).augmentations.augs]
        assert kinds == ["ResizeForTest"]


def test_every_crop_is_replaced():
    cfg = get_cfg()
    cfg.MODEL.TEXT_HEAD.NAME = "GNNetsHead"
    cfg.INPUT.DATASET_MAPPER_NAME = "GNNetsMapper"
    for crop in ("fit", "fixed"):
        cfg.INPUT.DETECTION.CROP = crop
        augmentations = build_mapper(cfg, True).augmentations.augs
        assert sum(isinstance(a, GeometrySampling) for a in augmentations) == 1
