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

    # Images of one batch of the test loader.
    cfg.TEST.IMS_PER_BATCH = 1
    # Images of one retrieval gallery of the pre-training evaluator.
    cfg.TEST.GALLERY_SIZE = 128
