"""Perturbed ground truth of the 500 real test images, through every step that takes polygons."""

import numpy as np
import pytest
import shapely
from helpers.detectors import HEADS, detector_cfg

from vlpt_d2.config import get_cfg
from vlpt_d2.data.datasets.ground_truth import TextAnnotation, annotations_of
from vlpt_d2.data.datasets.icdar2015 import read_quad_file
from vlpt_d2.data.datasets.report import ReadReport
from vlpt_d2.data.transforms import TextAugInput, build_detection_augmentation
from vlpt_d2.modeling.detection import build_label_function
from vlpt_d2.structures import TextInstances
from vlpt_d2.structures.text_shape import sides

SIZE = (720, 1280)


def perturbed(points, rng):
    """A polygon that someone, or some tool, might have made of the given one."""
    kind = rng.integers(9)
    if kind == 0:
        return rng.permutation(points)
    if kind == 1:
        return points + rng.normal(0, 20, points.shape)
    if kind == 2:
        return points[rng.integers(len(points), size=rng.integers(0, 9))]
    if kind == 3:
        return np.round(points / 40) * 40
    if kind == 4:
        return points + rng.choice([-1, 1]) * np.array(SIZE[::-1]) * rng.uniform(0.3, 1.2)
    if kind == 5:
        return np.repeat(points, rng.integers(1, 4), axis=0)
    if kind == 6:
        return points * 10.0 ** rng.integers(-3, 12)
    if kind == 7:
        broken = points.copy()
        broken[rng.integers(len(points))] = rng.choice([np.nan, np.inf, -np.inf])
        return broken
    return rng.uniform(-200, 1500, (rng.integers(3, 20), 2))


@pytest.fixture(scope="module")
def images(icdar2015_root):
    """Annotations of each image, of perturbed polygons as the readers make them."""
    rng = np.random.default_rng(7)
    report = ReadReport("perturbed")
    images, given = [], 0
    for path in sorted((icdar2015_root / "Challenge4_Test_Task1_GT").iterdir())[::4]:
        rings = [perturbed(text.points, rng) for text in read_quad_file(path)]
        texts = [TextAnnotation(ring, "w", bool(rng.integers(2))) for ring in rings]
        given += len(texts)
        images.append(annotations_of(texts, SIZE, path.name, report))
    assert len(images) == 125 and given > 1000
    assert report.words + sum(report.dropped.values()) == given  # nothing gets lost uncounted
    assert set(report.dropped) == {
        "a coordinate beyond a million pixels",
        "fewer than three points",
        "no area",
        "not finite",
    }
    assert set(report.repaired) == {"repeated points", "self-crossing"}
    return images


def test_readers_hand_on_sound_rings(images):
    for annotations in images:
        texts, faults = TextInstances.from_annotations(annotations).repaired()
        assert faults == 0
        assert len(texts) == len(annotations)
        for ring in texts.polygons:
            assert shapely.Polygon(ring).is_valid
            long, short, angle = sides(ring)
            assert long >= short >= 0
            assert 0 <= angle <= 90


@pytest.mark.parametrize("crop", ["fit", "fixed"])
def test_augmentations(images, crop):
    cfg = get_cfg()
    cfg.INPUT.DETECTION.CROP = crop
    cfg.INPUT.DETECTION.TRAIN_SIZE = (96, 96)
    augmentations = build_detection_augmentation(cfg, True)
    blank = np.zeros((*SIZE, 3), np.uint8)
    for annotations in images[::3]:
        inputs = TextAugInput(blank, TextInstances.from_annotations(annotations))
        for augmentation in augmentations:
            augmentation(inputs)
        assert inputs.image.shape == (96, 96, 3)
        for ring in inputs.texts.polygons:
            assert np.isfinite(ring).all()
            assert ring.min() >= -1e-6 and ring.max() <= 96 + 1e-6


@pytest.mark.parametrize("head", HEADS)
def test_labels(images, head):
    draw = build_label_function(detector_cfg(head, "tiny"))
    size = (180, 320)
    for annotations in images[::6]:
        texts = TextInstances.from_annotations(annotations).mapped(lambda points: points / 4)
        maps = draw(texts, size)
        assert maps
        assert all(np.isfinite(values).all() for values in maps.values())
