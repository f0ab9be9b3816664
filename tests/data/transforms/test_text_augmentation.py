"""Augmentations keep polygons on their pixels, and crops cut no text."""

from functools import partial

import cv2
import numpy as np
import pytest
from detectron2.data.transforms import AugmentationList, RandomBrightness
from helpers.reference_crops import (
    crop_statistics,
    package_training_texts,
    reference_training_texts,
)
from helpers.round_trip import icdar2015_texts

from vlpt_d2.config import get_cfg
from vlpt_d2.data.transforms import (
    AffineTransform,
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
    ResizeForTest,
    TextAugInput,
    build_detection_augmentation,
)
from vlpt_d2.structures import TextInstances

QUAD = np.array([(60.0, 40.0), (180.0, 60.0), (172.0, 110.0), (52.0, 90.0)])


def mask_of(polygons, size):
    """Supersampled coverage of polygons: share of each pixel, (H, W) in [0, 1]."""
    mask = np.zeros((size[0] * 4, size[1] * 4), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(polygon * 4 - 0.5).astype(np.int32)], 255)
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA) / 255.0


def assert_in_step(inputs, tolerance=0.06):
    image, polygons = inputs.image, inputs.texts.polygons
    drawn = mask_of(polygons, image.shape[:2]) > 0.5
    warped = image[..., 0] > 127
    assert image.shape[:2] == inputs.image_size
    union = (drawn | warped).sum()
    assert union > 0 and (drawn ^ warped).sum() / union < tolerance


def mask_image(polygons, size=(160, 240)):
    return np.repeat((mask_of(polygons, size) * 255).round().astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(
    "augmentation",
    [
        RandomHorizontalFlip(1.0),
        RandomTextRotation((10, 10)),
        RandomTextRotation((-73, -73)),
        RandomTextRotation((90, 90)),
        RandomScale((0.31, 0.31)),
        RandomScale((2.7, 2.7)),
        RandomTextCrop((200, 320)),
        RandomTextCrop((64, 64), max_tries=0),
        ResizeForTest("fixed", (111, 333)),
    ],
    ids=lambda augmentation: type(augmentation).__name__,
)
def test_polygons_stay_on_their_pixels(augmentation):
    inputs = TextAugInput(mask_image([QUAD]), TextInstances([QUAD]))
    AugmentationList([augmentation])(inputs)
    assert_in_step(inputs)


@pytest.mark.parametrize("seed", range(12))
def test_training_chain_in_step(seed):
    np.random.seed(seed)
    cfg = get_cfg()
    cfg.INPUT.DETECTION.TRAIN_SIZE = (256, 320)
    second = QUAD * 0.4 + (150, 5)
    texts = TextInstances([QUAD, second], [False, True])
    inputs = TextAugInput(mask_image([QUAD, second]), texts)
    AugmentationList(build_detection_augmentation(cfg, True))(inputs)
    assert inputs.image.shape == (256, 320, 3) and inputs.image.dtype == np.uint8
    assert_in_step(inputs, 0.1)
    assert not inputs.texts.ignore.all()


def test_rotation_keeps_the_size_and_turns_counter_clockwise():
    inputs = TextAugInput(mask_image([QUAD]), TextInstances([QUAD]))
    RandomTextRotation((30, 30))(inputs)
    assert inputs.image.shape == (160, 240, 3)
    (quad,) = inputs.texts.polygons
    top = quad[1] - quad[0]
    before = QUAD[1] - QUAD[0]
    turned = np.arctan2(-top[1], top[0]) - np.arctan2(-before[1], before[0])
    assert np.degrees(turned) == pytest.approx(30)


def test_rotation_cuts_off_what_turns_out_of_the_image():
    """The image's centre stays, as in all three references, and a text in a corner goes."""
    corner = np.array([(0.0, 0), (12, 0), (12, 8), (0, 8)])
    centre = np.array([(110.0, 70), (130, 70), (130, 90), (110, 90)])
    inputs = TextAugInput(mask_image([corner, centre]), TextInstances([corner, centre]))
    RandomTextRotation((30, 30))(inputs)
    (left,) = inputs.texts.polygons
    np.testing.assert_allclose(left.mean(axis=0), (120, 80))
    assert not inputs.image[:8, :12].any() and inputs.image[80, 120].min() == 255


def test_postponed_warps_equal_one_after_the_other():
    """The composed transform shows the same picture as the steps, on an image without detail."""
    y, x = np.mgrid[:120, :200]
    image = np.stack([x, y, (x + y) / 2], axis=2).astype(np.uint8)
    steps = [RandomHorizontalFlip(1.0), RandomTextRotation((8, 8)), RandomScale((1.7, 1.7))]
    crop = AffineTransform([[0.9, 0, -40], [0, 0.9, -50]], (150, 200), (120, 200))
    together = TextAugInput(image)
    transforms = AugmentationList([*steps, crop])(together)
    one_by_one = image
    for transform in transforms:
        one_by_one = transform.apply_image(one_by_one)
    difference = np.abs(together.image.astype(int) - one_by_one.astype(int))
    assert difference.max() <= 3
    assert not together.image[120:].any()


def test_only_the_last_may_pad():
    pad = AffineTransform(np.eye(2, 3), (20, 20), (10, 10))
    image = np.full((10, 10, 3), 200, np.uint8)
    with pytest.raises(ValueError, match="pad"):
        AffineTransform(np.eye(2, 3), (20, 20)).after(pad)
    inputs = TextAugInput(image)
    inputs.transform(pad)
    inputs.transform(AffineTransform([[2, 0, 0], [0, 2, 0]], (40, 40)))
    assert inputs.image[:18, :18].min() == 200 and inputs.image[22:].max() == 0


def test_shrinking_far_averages():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::2] = 200  # a stripe pattern that plain bilinear sampling would turn into all or nothing
    small = AffineTransform([[0.25, 0, 0], [0, 0.25, 0]], (16, 16)).apply_image(image)
    np.testing.assert_allclose(small, 100, atol=2)


@pytest.mark.parametrize("tall", [True, False])
def test_one_side_shrinks_far(tall):
    """Stripes across the side that shrinks are averaged, also where the other side grows."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[::2] = 200
    crossing, size = image.transpose(1, 0, 2).copy(), (16, 80)
    if not tall:
        image, crossing, size = crossing, image, size[::-1]
    resize = AffineTransform([[size[1] / 64, 0, 0], [0, size[0] / 64, 0]], size)
    np.testing.assert_allclose(resize.apply_image(image), np.full((*size, 3), 100), atol=2)
    assert resize.apply_image(crossing).std() > 50  # what does not shrink keeps its detail


def random_texts(rng, size, count):
    polygons = []
    for _ in range(count):
        centre = rng.uniform((10, 10), (size[1] - 10, size[0] - 10))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
        radius = rng.uniform(4, 40, 2)
        ring = centre + np.column_stack([np.cos(angles), np.sin(angles)]) * radius
        polygons.append(np.clip(ring, 0, size[::-1]))
    return polygons


def test_crop_never_cuts_care_text():
    rng, size = np.random.default_rng(0), (300, 400)
    crops = set()
    for _ in range(150):
        polygons = random_texts(rng, size, int(rng.integers(1, 8)))
        ignore = rng.random(len(polygons)) < 0.4
        augmentation = RandomTextCrop((128, 128), max_tries=10, min_side=0.1)
        x0, y0, x1, y1 = augmentation.get_crop(size, TextInstances(polygons, ignore))
        crops.add((x0, y0, x1, y1))
        assert 0 <= x0 < x1 <= 400 and 0 <= y0 < y1 <= 300
        assert x1 - x0 >= 40 and y1 - y0 >= 30
        whole = 0
        for polygon, skip in zip(polygons, ignore):
            low, high = polygon.min(axis=0), polygon.max(axis=0)
            inside = (low >= (x0, y0)).all() and (high <= (x1, y1)).all()
            outside = (high <= (x0, y0)).any() or (low >= (x1, y1)).any()
            assert skip or inside or outside
            whole += inside and not skip
        assert whole or ignore.all()
        if ignore.all():
            assert (x0, y0, x1, y1) == (0, 0, 400, 300)
    assert len(crops) > 80


def word_layouts(rng, count):
    """Texts and sizes of images such as those of ICDAR2015: a few words, some of them in lines."""
    for _ in range(count):
        texts = []
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform((30, 30), (800, 620))
            for _ in range(int(rng.integers(1, 4))):
                width, height = rng.uniform(30, 150), rng.uniform(12, 50)
                box = (x, y), (x + width, y), (x + width, y + height), (x, y + height)
                texts.append(np.array(box))
                x += width + rng.uniform(4, 20)
        yield texts, (720, 1280)


def assert_same_crops(images):
    rng = np.random.default_rng(1)
    expected = crop_statistics(images, partial(reference_training_texts, rng))
    augment = package_training_texts(build_detection_augmentation(get_cfg(), True))
    found = crop_statistics(images, augment)
    error = np.sqrt(2 / len(images))  # two standard errors of the difference of two shares
    assert np.mean(found.whole) == pytest.approx(np.mean(expected.whole), abs=error)
    assert np.mean(found.whole) > 0.1
    for percent in (10, 25, 50, 75, 90):
        side = np.percentile(expected.sides, percent)
        assert np.percentile(found.sides, percent) == pytest.approx(side, rel=0.2)


def test_crops_are_those_of_the_reference():
    assert_same_crops(list(word_layouts(np.random.default_rng(0), 400)))


def test_crops_of_real_images_are_those_of_the_reference(icdar2015_root):
    texts = icdar2015_texts(icdar2015_root)[::4]
    images = [
        ([p for p, skip in zip(t.polygons, t.ignore) if not skip], t.image_size) for t in texts
    ]
    assert_same_crops(images)


def test_crops_are_kept_small():
    np.random.seed(0)
    texts = [np.array([(190, 140), (210, 140), (210, 150), (190, 150)], float)]
    augmentation = RandomTextCrop((128, 128), max_tries=100, max_side=0.5)
    for _ in range(50):
        x0, y0, x1, y1 = augmentation.get_crop((300, 400), TextInstances(texts))
        assert x1 - x0 <= 200 and y1 - y0 <= 150
    wide = [np.array([(50, 140), (350, 140), (350, 150), (50, 150)], float)]
    crop = augmentation.get_crop((300, 400), TextInstances(wide))
    assert crop == (0, 0, 400, 300)  # no small crop holds the text


def test_crop_fits_and_pads():
    inputs = TextAugInput(np.full((100, 300, 3), 255, np.uint8))
    RandomTextCrop((64, 96), max_tries=0)(inputs)
    assert inputs.image.shape == (64, 96, 3)
    assert inputs.image[:32].min() == 255 and inputs.image[32:].max() == 0


@pytest.mark.parametrize(
    ("mode", "size", "limit", "image", "expected"),
    [
        ("fixed", (736, 1280), 0, (333, 777), (736, 1280)),
        ("height", (736, 0), 0, (720, 1280), (736, 1312)),  # 1308.4 up to a multiple of 32
        ("height", (800, 0), 0, (400, 320), (800, 640)),
        ("height", (736, 0), 2048, (100, 3000), (96, 2048)),
        ("short", (736, 0), 0, (720, 1280), (736, 1312)),
        ("short", (736, 0), 0, (1280, 720), (1312, 736)),
        ("short", (736, 0), 1024, (500, 2000), (256, 1024)),
        ("native", (736, 0), 2400, (720, 1280), (704, 1280)),
        ("native", (736, 0), 1200, (1000, 2400), (480, 1184)),
        ("native", (736, 0), 0, (20, 70), (32, 64)),
    ],
)
def test_test_sizes(mode, size, limit, image, expected):
    texts = TextInstances([np.array([(0.0, 0), (9, 0), (9, 9)])])
    inputs = TextAugInput(np.zeros((*image, 3), np.uint8), texts)
    ResizeForTest(mode, size, limit)(inputs)
    assert inputs.image.shape[:2] == inputs.image_size == expected
    factors = (expected[1] / image[1], expected[0] / image[0])
    np.testing.assert_allclose(inputs.texts.polygons[0][2], np.multiply(9, factors), rtol=1e-6)


def test_test_mode_is_checked():
    with pytest.raises(ValueError, match="TEST_RESIZE"):
        ResizeForTest("long", (1, 1))


def test_colours_are_keys_and_leave_polygons():
    cfg = get_cfg()
    assert not any(isinstance(a, RandomBrightness) for a in build_detection_augmentation(cfg, True))
    cfg.INPUT.DETECTION.BRIGHTNESS = 0.5
    jitter = build_detection_augmentation(cfg, True)[-1]
    assert isinstance(jitter, RandomBrightness)
    inputs = TextAugInput(np.full((50, 50, 3), 100, np.uint8), TextInstances([QUAD * 0.2]))
    jitter(inputs)
    assert inputs.image.dtype == np.uint8 and 50 <= inputs.image[0, 0, 0] <= 150
    assert inputs.image[0, 0, 0] != 100
    np.testing.assert_array_equal(inputs.texts.polygons[0], QUAD * 0.2)


def test_augmentations_that_do_nothing_warp_nothing(monkeypatch):
    warps = []
    warp = AffineTransform.apply_image
    monkeypatch.setattr(
        AffineTransform, "apply_image", lambda self, image: warps.append(self) or warp(self, image)
    )
    inputs = TextAugInput(mask_image([QUAD]), TextInstances([QUAD]))
    idle = [RandomHorizontalFlip(0.0), RandomTextRotation((0, 0)), RandomScale((1, 1))]
    AugmentationList([RandomTextRotation((7, 7)), *idle, RandomTextCrop((64, 96))])(inputs)
    assert inputs.image.shape == (64, 96, 3) and len(warps) == 1
