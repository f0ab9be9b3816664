"""Config keys that all text detectors share: head and mapper. Each has more in its own folder."""

from detectron2.config import CfgNode as CN

from ...config import declare_keys


@declare_keys
def add_detection_keys(cfg: CN) -> None:
    """Add MODEL.TEXT_HEAD and INPUT.DETECTION."""
    # What all text detectors share.
    node = cfg.MODEL.TEXT_HEAD = CN()
    # A registered text head, such as "DBHead"; docs/detectors.md lists them.
    node.NAME = "DBHead"
    # Maps of the backbone that the head's neck reads, finest first.
    node.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    # Normalisation of neck and head: "BN", "SyncBN", "GN" (32 groups), ...
    node.NORM = "BN"
    # What decoding returns: "box" (minimum-area rectangles) or "polygon" (contours).
    node.OUTPUT = "box"

    # The images of all text detectors: sizes, and augmentations in the order in which they are
    # applied.
    node = cfg.INPUT.DETECTION = CN()
    # Share of a text's area that must be left inside the image for it to stay a text; with less,
    # or cut into several parts, it is ignored.
    node.MIN_VISIBLE = 0.5
    # Training: whether to augment; if not, images are resized as at test time and that is all.
    node.AUGMENT = True
    # Training: length the short side is first brought to; 0 leaves images as they are.
    node.SHORT_SIDE = 0
    # Training: range of the change of height / width; the area stays.
    node.ASPECT = (1.0, 1.0)
    # Training: probability of a horizontal flip.
    node.FLIP_PROB = 0.5
    # Training: range of the rotation in degrees; the image keeps its size, its corners are cut off.
    node.ROTATION = (-10.0, 10.0)
    # Training: range of the resize factor before the crop.
    node.SCALE = (0.5, 3.0)
    # Training: "fit": a crop between texts, resized to fit TRAIN_SIZE (DB); "fixed": a window of
    # TRAIN_SIZE (PSENet, EAST). Either is padded with black below and to the right.
    node.CROP = "fit"
    # "fit": crops that are tried before the whole image is taken (0: always). "fixed" with
    # CROP_CUTS_TEXT off: windows that are drawn, the first that cuts the fewest texts is taken.
    node.CROP_MAX_TRIES = 10
    # "fit": the least side of a crop as a share of the image's.
    node.CROP_MIN_SIDE = 0.1
    # "fit": the largest side of a crop as a share of the image's (DB: no limit).
    node.CROP_MAX_SIDE = 1.0
    # "fixed": probability that the window must hold a text that is not ignored.
    node.CROP_TEXT_PROB = 0.625
    # "fixed": the window may cut texts that are not ignored.
    node.CROP_CUTS_TEXT = True
    # Training: (height, width) of the crop.
    node.TRAIN_SIZE = (640, 640)
    # Training: brightness is scaled by a factor from 1 +- this; 0 leaves it (as in DB).
    node.BRIGHTNESS = 0.0
    # Training: the contrast, in the same way.
    node.CONTRAST = 0.0
    # Training: the saturation, in the same way.
    node.SATURATION = 0.0
    # Training: hues are turned by up to this share of the circle, in [0, 0.5].
    node.HUE = 0.0
    # Test: "fixed" to TEST_SIZE; "short": short side to TEST_SIZE[0], sides up to multiples of 32;
    # "height": height to TEST_SIZE[0], width up to a multiple of 32; "native": as it is, sides down
    # to multiples of 32.
    node.TEST_RESIZE = "height"
    # Test: (height, width).
    node.TEST_SIZE = (736, 1280)
    # Test: limit of the long side, but in "fixed" mode; 0 for none.
    node.TEST_MAX_SIZE = 4096
