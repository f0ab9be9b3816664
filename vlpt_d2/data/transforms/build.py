"""Augmentations of the detectors and of the pre-training, as the config orders them."""

from functools import partial

from detectron2.config import CfgNode
from detectron2.data.transforms import Augmentation

from .augmentation import (
    RandomHorizontalFlip,
    RandomScale,
    RandomTextCrop,
    RandomTextRotation,
)
from .colour import RandomBrightness, RandomContrast, RandomHue, RandomSaturation
from .resize import RandomAspect, ResizeForTest, ResizeShortSide, ResizeToSize
from .window import RandomTextWindow


def build_detection_augmentation(cfg: CfgNode, is_train: bool) -> list[Augmentation]:
    """Return the augmentations of INPUT.DETECTION, in the order they are applied.

    Raises:
        ValueError: INPUT.DETECTION.CROP is unknown.
    """
    node = cfg.INPUT.DETECTION
    if not is_train:
        return [ResizeForTest(node.TEST_RESIZE, node.TEST_SIZE, node.TEST_MAX_SIZE)]
    crop = _build_crop(node)
    augmentations = []
    if node.SHORT_SIDE:
        augmentations.append(ResizeShortSide(node.SHORT_SIDE))
    if tuple(node.ASPECT) != (1, 1):
        augmentations.append(RandomAspect(node.ASPECT))
    augmentations += [
        RandomHorizontalFlip(node.FLIP_PROB),
        RandomTextRotation(node.ROTATION),
        RandomScale(node.SCALE, resample=node.CROP == "fit"),
        crop,
    ]
    # Colours last: the crop is small, and reading the image ends the chain of affine transforms.
    for amount, jitter in (
        (node.BRIGHTNESS, RandomBrightness),
        (node.CONTRAST, RandomContrast),
        (node.SATURATION, partial(RandomSaturation, image_format=cfg.INPUT.FORMAT)),
    ):
        if amount > 0:
            augmentations.append(jitter(max(0.0, 1.0 - amount), 1.0 + amount))
    if node.HUE > 0:
        augmentations.append(RandomHue(node.HUE, cfg.INPUT.FORMAT))
    return augmentations


def build_pretrain_augmentation(cfg: CfgNode, is_train: bool) -> list[Augmentation]:
    """Return the augmentations of INPUT.PRETRAIN: none crops or flips, as words stay whole."""
    node = cfg.INPUT.PRETRAIN
    augmentations: list[Augmentation] = [ResizeToSize(node.SIZE)]
    if is_train and node.ROTATION:
        augmentations.append(RandomTextRotation((-node.ROTATION, node.ROTATION)))
    return augmentations


def _build_crop(node: CfgNode) -> Augmentation:
    if node.CROP == "fit":
        return RandomTextCrop(
            node.TRAIN_SIZE, node.CROP_MAX_TRIES, node.CROP_MIN_SIDE, node.CROP_MAX_SIDE
        )
    if node.CROP == "fixed":
        return RandomTextWindow(
            node.TRAIN_SIZE, node.CROP_TEXT_PROB, node.CROP_CUTS_TEXT, node.CROP_MAX_TRIES
        )
    raise ValueError(f'INPUT.DETECTION.CROP is "fit" or "fixed", not {node.CROP!r}')
