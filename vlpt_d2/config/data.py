"""Config keys of the data path."""

from detectron2.config import CfgNode as CN


def add_data_config(cfg: CN) -> None:
    """Add the keys of mappers and loaders."""
    # The mapper of the training and test loaders: "pretrain" or "detection".
    cfg.INPUT.DATASET_MAPPER_NAME = "detection"

    # Resize images that are stored squeezed (those of ICDAR2015 not 1280x720), and their words, to
    # their original size when they are loaded, in training and in evaluation alike.
    cfg.DATASETS.RESTORE_SIZE = True

    pretrain = cfg.INPUT.PRETRAIN = CN()
    # (height, width) every image is squashed to.
    pretrain.SIZE = (512, 512)
    # Training images are rotated by an angle drawn from +- this many degrees.
    pretrain.ROTATION = 20.0

    _add_detection_data(cfg)

    # Detections below this score do not count in the evaluation; 0 leaves it to the detector's own
    # thresholds. Choose it on held-out training images, never on the test set.
    cfg.TEST.SCORE_THRESH = 0.0
    # Images of one batch of the test loader.
    cfg.TEST.IMS_PER_BATCH = 1
    # Images of one retrieval gallery of the pre-training evaluator.
    cfg.TEST.GALLERY_SIZE = 128


def _add_detection_data(cfg: CN) -> None:
    """Keys of the detection mapper's augmentations, in the order they are applied."""
    node = cfg.INPUT.DETECTION = CN()
    # Share of a text's area that must be left inside the image for it to stay a text; with less,
    # or cut in several pieces, it is ignored.
    node.MIN_VISIBLE = 0.5
    # Training: probability of a horizontal flip.
    node.FLIP_PROB = 0.5
    # Training: range of the rotation in degrees; the image grows, so nothing is cut off.
    node.ROTATION = (-10.0, 10.0)
    # Training: range of the resize factor before the crop.
    node.SCALE = (0.5, 3.0)
    # Training: crops between texts that are tried before the whole image is taken (0: always),
    # and the least side of a crop as a share of the image's.
    node.CROP_MAX_TRIES = 10
    node.CROP_MIN_SIDE = 0.1
    # Training: (height, width) the crop is fitted into, keeping its aspect, and padded to.
    node.TRAIN_SIZE = (640, 640)
    # Training: colours are scaled by a factor from 1 +- this; 0 leaves them (as in DB).
    node.BRIGHTNESS = 0.0
    node.CONTRAST = 0.0
    node.SATURATION = 0.0
    # Test: "fixed" to TEST_SIZE; "short": short side to TEST_SIZE[0], sides up to multiples of 32;
    # "height": height to TEST_SIZE[0], width up to a multiple of 32.
    node.TEST_RESIZE = "height"
    # Test: (height, width).
    node.TEST_SIZE = (736, 1280)
    # Test: limit of the long side in "short" and "height" mode; 0 for none.
    node.TEST_MAX_SIZE = 4096
