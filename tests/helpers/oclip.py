"""An oCLIP model and samples small enough for a test."""

import numpy as np
import torch

from helpers.pretraining import noisy_stripes
from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.pretraining.oclip.characters import encode_words


def tiny_oclip_cfg(norm="FrozenBN"):
    """A narrow R-50, width 16, two heads, one block of each kind; the map of 64 pixels is 2 x 2."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "OCLIP"
    cfg.MODEL.BACKBONE.NAME = "build_oclip_image_encoder"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = 50
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = 8
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 16
    cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 8
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    cfg.MODEL.RESNETS.NORM = norm
    cfg.MODEL.PIXEL_MEAN = [128.0] * 3
    cfg.MODEL.PIXEL_STD = [64.0] * 3
    cfg.INPUT.DATASET_MAPPER_NAME = "oclip"
    node = cfg.MODEL.OCLIP
    node.EMBED_DIM = 16
    node.POSITION_GRID = [2, 2]
    node.WORDS.MAX_WORDS = 4
    node.WORDS.MAX_CHARACTERS = 8
    node.WORDS.DEPTH = node.DECODER.DEPTH = 1
    node.POOL_HEADS = node.DECODER.NUM_HEADS = 2
    return cfg


def word_samples(cfg, captions, seed=0, size=(64, 64)):
    """Samples as the mapper makes them; every image has its own colours."""
    rng = np.random.RandomState(seed)
    node = cfg.MODEL.OCLIP.WORDS
    samples = []
    for i, caption in enumerate(captions):
        encoding = encode_words(
            caption.split(),
            max_words=node.MAX_WORDS,
            max_characters=node.MAX_CHARACTERS,
            rng=rng,
            shuffle=False,
            hidden_share=node.HIDDEN_SHARE,
        )
        side = -(-max(size) // 4) * 4
        image = noisy_stripes(rng, side)[:, : size[0], : size[1]]
        samples.append(
            {
                "image": torch.from_numpy(image.copy()),
                "caption": caption,
                "word_ids": torch.from_numpy(encoding.ids),
                "whole_word_ids": torch.from_numpy(encoding.whole),
                "character_labels": torch.from_numpy(encoding.labels),
                "word_counts": encoding.counts,
                "image_id": i,
                "file_name": f"noise-{i}",
            }
        )
    return samples
