"""Augmentations of the detectors, as the config orders them."""

from detectron2.config import CfgNode
from detectron2.data.transforms import (
    Augmentation,
    RandomBrightness,
    RandomContrast,
    RandomSaturation,
)

from .augmentation import (
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
    ResizeForTest,
)


def build_detection_augmentation(cfg: CfgNode, is_train: bool) -> list[Augmentation]:
    """Return the augmentations of INPUT.DETECTION, in the order they are applied."""
    node = cfg.INPUT.DETECTION
    if not is_train:
        return [ResizeForTest(node.TEST_RESIZE, node.TEST_SIZE, node.TEST_MAX_SIZE)]
    augmentations = [
        RandomHorizontalFlip(node.FLIP_PROB),
        RandomTextRotation(node.ROTATION),
        RandomScale(node.SCALE),
        RandomTextCrop(
            node.TRAIN_SIZE, node.CROP_MAX_TRIES, node.CROP_MIN_SIDE, node.CROP_MAX_SIDE
        ),
    ]
    # Colours last: the crop is small, and reading the image ends the chain of affine transforms.
    for amount, jitter in (
        (node.BRIGHTNESS, RandomBrightness),
        (node.CONTRAST, RandomContrast),
        (node.SATURATION, RandomSaturation),
    ):
        if amount > 0:
            augmentations.append(jitter(max(0.0, 1.0 - amount), 1.0 + amount))
    return augmentations
