"""A character reader and samples small enough for a test."""

import numpy as np
import torch

from helpers.pretraining import noisy_stripes
from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.pretraining.stkm.characters import encode_words, sort_words


def tiny_stkm_cfg(norm="FrozenBN", **options):
    """A narrow R-50 at 32 pixels, two heads whose channels do not add up to the width of 16.

    Args:
        norm: of the trunk and of all above it.
        options: further keys of MODEL.STKM, with "__" for the dot.
    """
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "STKM"
    cfg.MODEL.BACKBONE.NAME = "build_stkm_image_encoder"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = 50
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = 8
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 32
    cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 8
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    cfg.MODEL.RESNETS.NORM = cfg.MODEL.STKM.NORM = norm
    cfg.MODEL.PIXEL_MEAN = [123.675, 116.28, 103.53]
    cfg.MODEL.PIXEL_STD = [58.395, 57.12, 57.375]
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.DATASET_MAPPER_NAME = "stkm"
    cfg.INPUT.PRETRAIN.SIZE = (32, 32)
    node = cfg.MODEL.STKM
    node.FPN_CHANNELS = 8
    node.EMBED_DIM = 16
    node.MAX_LENGTH = 24
    node.DECODER.DEPTH = 2
    node.DECODER.NUM_HEADS = 2
    node.DECODER.FFN_DIM = 24
    node.DECODER.DROPOUT = 0.0
    for key, value in options.items():
        node.merge_from_list([key.replace("__", "."), value])
    return cfg


def make_stkm_samples(cfg, captions, seed=0, size=32):
    """Samples as the mapper makes them; every image has its own colours."""
    rng = np.random.RandomState(seed)
    samples = []
    for i, caption in enumerate(captions):
        words = sort_words([caption])
        target, left_out = encode_words(words, cfg.MODEL.STKM.MAX_LENGTH)
        samples.append(
            {
                "image": torch.from_numpy(noisy_stripes(rng, size)),
                "caption": " ".join(words),
                "target": torch.from_numpy(target),
                "words_left_out": left_out,
                "image_id": i,
                "file_name": f"noise-{i}",
            }
        )
    return samples
