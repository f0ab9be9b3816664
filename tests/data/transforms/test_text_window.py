"""Windows of a fixed size, sizes and colours: what they hold, keep and pad."""

import colorsys

import cv2
import numpy as np
import pytest
from detectron2.data.transforms import AugmentationList

from vlpt_d2.config import get_cfg
from vlpt_d2.data.transforms import (
    RandomAspect,
    RandomHue,
    RandomTextWindow,
    ResizeShortSide,
    TextAugInput,
    build_detection_augmentation,
)
from vlpt_d2.structures import TextInstances


def box(x0, y0, x1, y1):
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def numbered(size):
    """An image whose pixels tell where they are: (row, column % 256, column // 256)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([y, x % 256, x // 256], axis=2).astype(np.uint8)


def test_window_copies_pixels_and_pads():
    image = numbered((100, 300))
    inputs = TextAugInput(image, TextInstances([box(150, 40, 170, 60)]))
    RandomTextWindow((160, 128), text_prob=1.0)(inputs)
    assert inputs.image.shape == (160, 128, 3) and not inputs.image[100:].any()
    x = int(inputs.image[0, 0, 1]) + 256 * int(inputs.image[0, 0, 2])
    np.testing.assert_array_equal(inputs.image[:100], image[:, x : x + 128])
    # Lower than the window is high, so it starts at the top, and the text keeps its rows.
    np.testing.assert_allclose(inputs.texts.polygons[0], box(150 - x, 40, 170 - x, 60))


def test_forced_windows_hold_a_text():
    """Every window holds one of two far texts, each about half of the time, at all places."""
    near, far, skipped = box(3, 2, 40.5, 20.5), box(900, 700, 960, 719.5), box(400, 300, 600, 400)
    augmentation = RandomTextWindow((200, 250), text_prob=1.0)
    texts = TextInstances([near, skipped, far], [False, True, False])
    first, corners = 0, set()
    for _ in range(400):
        x, y = augmentation.get_corner((720, 1000), texts)
        assert 0 <= x <= 750 and 0 <= y <= 520
        if x <= 3:
            assert y <= 2
            first += 1
        else:
            assert x + 250 >= 960 and x <= 900 and y + 200 >= 719.5
            corners.add(x)
    assert 150 < first < 250
    assert min(corners) < 720 and max(corners) > 740  # 710 to 750


def test_text_larger_than_the_window_fills_it():
    augmentation = RandomTextWindow((100, 100), text_prob=1.0)
    for _ in range(50):
        x, y = augmentation.get_corner((300, 1000), TextInstances([box(200, 120, 800, 160)]))
        assert 200 <= x <= 700 and 60 <= y <= 120


def test_text_probability():
    text = TextInstances([box(0, 0, 20, 20)])
    for prob, low, high in ((0.0, 0, 10), (0.625, 220, 280), (1.0, 400, 400)):
        augmentation = RandomTextWindow((50, 50), text_prob=prob)
        corners = [augmentation.get_corner((500, 500), text) for _ in range(400)]
        assert low <= sum(c == (0, 0) or max(c) <= 0 for c in corners) <= high
    nothing = TextInstances()
    everywhere = [RandomTextWindow((50, 50)).get_corner((51, 51), nothing) for _ in range(50)]
    assert set(everywhere) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_windows_between_texts():
    rng = np.random.default_rng(0)
    for _ in range(40):
        texts = []
        for _ in range(5):
            x, y = rng.uniform((0, 0), (740, 480))
            texts.append(box(x, y, x + 60, y + 20))
        corner = RandomTextWindow((200, 300), 1.0, cuts_text=False).get_corner(
            (500, 800), TextInstances(texts, [False] * 4 + [True])
        )
        low = np.array(corner)
        high = low + np.array((300, 200))
        assert (low >= 0).all() and (high <= (800, 500)).all()
        boxes = [(t.min(axis=0), t.max(axis=0)) for t in texts[:4]]
        inside = [(a >= low).all() and (b <= high).all() for a, b in boxes]
        outside = [(b <= low).any() or (a >= high).any() for a, b in boxes]
        assert all(i or o for i, o in zip(inside, outside)) and any(inside)


def test_the_fewest_texts_are_cut_where_some_must_be():
    # Two lines wider than the window: rows 11 to 29 cut both, the others one.
    texts = TextInstances([box(0, 10, 500, 30), box(0, 110, 500, 140)])
    augmentation = RandomTextWindow((100, 100), 0.0, cuts_text=False, max_tries=100)
    rows = [augmentation.get_corner((160, 500), texts)[1] for _ in range(60)]
    assert all(y <= 10 or y >= 30 for y in rows)
    assert min(rows) <= 10 and max(rows) >= 30


def test_short_side_then_scale():
    cfg = get_cfg()
    node = cfg.INPUT.DETECTION
    node.SHORT_SIDE, node.SCALE, node.ROTATION = 180, (0.5, 0.5), (0.0, 0.0)
    node.FLIP_PROB, node.CROP, node.TRAIN_SIZE = 0.0, "fixed", (200, 200)
    text = TextInstances([box(400, 400, 480, 440)])
    inputs = TextAugInput(np.full((720, 1000, 3), 9, np.uint8), text)
    AugmentationList(build_detection_augmentation(cfg, True))(inputs)
    assert inputs.image.shape == (200, 200, 3)
    # 720 -> 180 -> 90 rows of picture.
    assert inputs.image[:90, :120].all() and not inputs.image[90:].any()
    np.testing.assert_allclose(np.ptp(inputs.texts.polygons[0], axis=0), (10, 5), rtol=0.01)


def test_rotation_does_not_change_the_scale_of_the_short_side():
    cfg = get_cfg()
    node = cfg.INPUT.DETECTION
    node.SHORT_SIDE, node.SCALE, node.ROTATION = 400, (1.0, 1.0), (10.0, 10.0)
    node.CROP, node.TRAIN_SIZE, node.CROP_TEXT_PROB = "fixed", (400, 400), 1.0
    text = TextInstances([box(100, 90, 150, 110)])
    inputs = TextAugInput(np.zeros((200, 300, 3), np.uint8), text)
    AugmentationList(build_detection_augmentation(cfg, True))(inputs)
    (ring,) = inputs.texts.polygons
    sides = np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1)
    np.testing.assert_allclose(sorted(sides), (40, 40, 100, 100), rtol=0.01)


def test_aspect_keeps_the_area():
    inputs = TextAugInput(np.zeros((400, 900, 3), np.uint8))
    RandomAspect((1.21, 1.21))(inputs)
    assert inputs.image.shape == (440, 818, 3)
    sizes = set()
    for _ in range(40):
        inputs = TextAugInput(np.zeros((400, 900, 3), np.uint8))
        RandomAspect((0.9, 1.1))(inputs)
        height, width = inputs.image_size
        assert 0.89 < height / width / (400 / 900) < 1.11
        assert height * width == pytest.approx(360_000, rel=0.005)
        sizes.add(height)
    assert min(sizes) < 390 and max(sizes) > 410
    inputs = TextAugInput(np.zeros((400, 900, 3), np.uint8))
    ResizeShortSide(100)(inputs)
    assert inputs.image_size == (100, 225)


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_hue_against_colorsys(image_format):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = colours if image_format == "RGB" else colours[..., ::-1].copy()
    augmentation = RandomHue(0.25, image_format)
    augmentation._rand_range = lambda low, high: high
    turned = augmentation.get_transform(image).apply_image(image)
    turned = turned if image_format == "RGB" else turned[..., ::-1]
    for before, after in zip(colours.reshape(-1, 3) / 255, turned.reshape(-1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        expected = colorsys.hsv_to_rgb((hue + 0.25) % 1, saturation, value)
        np.testing.assert_allclose(after, np.multiply(expected, 255), atol=5)


def test_hue_is_a_key_and_leaves_greys_and_padding():
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.DETECTION.HUE = 0.25
    jitter = build_detection_augmentation(cfg, True)[-1]
    assert isinstance(jitter, RandomHue) and jitter.image_format == "RGB"
    grey = np.repeat(np.arange(0, 250, dtype=np.uint8).reshape(10, 25, 1), 3, axis=2)
    inputs = TextAugInput(grey, TextInstances([box(1, 1, 9, 9)]))
    jitter(inputs)
    np.testing.assert_array_equal(inputs.image, grey)
    colour = np.full((4, 4, 3), (200, 30, 60), np.uint8)
    seen = {tuple(jitter.get_transform(colour).apply_image(colour)[0, 0]) for _ in range(20)}
    assert len(seen) > 5
    hues = {cv2.cvtColor(np.uint8([[c]]), cv2.COLOR_RGB2HSV)[0, 0, 0] for c in seen}
    assert not any(50 < hue < 120 for hue in hues)  # never the far side of the circle


def test_keys_are_checked():
    cfg = get_cfg()
    cfg.INPUT.DETECTION.CROP = "window"
    with pytest.raises(ValueError, match="CROP"):
        build_detection_augmentation(cfg, True)
    with pytest.raises(ValueError, match="HUE"):
        RandomHue(0.7, "RGB")
    with pytest.raises(ValueError, match="FORMAT"):
        RandomHue(0.1, "L")
