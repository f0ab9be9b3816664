"""A pre-training model and samples small enough for a test."""

import numpy as np
import torch

from vlpt_d2.config import get_cfg, load_parts
from vlpt_d2.data.text.masking import mask_tokens
from vlpt_d2.data.text.tokenizer import build_tokenizer

# Processes that a test starts build models from a config that they did not make.
load_parts()

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "exit", "##s", "shop", "open", "sale"]
WORDS += ["stop", "taxi", "bar", "hotel", "bus", "park", "gate", "bank", "food", "zone", "east"]


def tiny_vlpt_cfg(folder, tasks=("ITC", "WIP", "MLM"), norm="FrozenBN"):
    """R-18 at 32 pixels, width 16, no dropout, a vocabulary of 21 words written to ``folder``."""
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "VLPT"
    cfg.MODEL.BACKBONE.NAME = "build_vlpt_image_encoder"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.NORM = norm
    cfg.MODEL.PIXEL_MEAN = [128.0] * 3
    cfg.MODEL.PIXEL_STD = [64.0] * 3
    cfg.MODEL.VLPT.TASKS = list(tasks)
    cfg.MODEL.VLPT.INIT_STD = 0.2  # 16 channels with 0.02 would hardly tell captions apart
    cfg.MODEL.VLPT.WIP.NUM_NEGATIVES = 5
    cfg.MODEL.TEXT_ENCODER.TOKENIZER = str(vocabulary)
    cfg.MODEL.TEXT_ENCODER.MAX_TOKENS = 8
    cfg.MODEL.IMAGE_ENCODER.FPN_CHANNELS = 8
    cfg.MODEL.IMAGE_ENCODER.POSITION_GRID = [2, 2]
    cfg.MODEL.TEXT_ENCODER.DEPTH = cfg.MODEL.CROSS_ENCODER.DEPTH = 1
    cfg.MODEL.IMAGE_ENCODER.NUM_HEADS = 2
    cfg.MODEL.IMAGE_ENCODER.DROPOUT = 0.0
    cfg.MODEL.IMAGE_ENCODER.EMBED_DIM = 16
    return cfg


def noisy_stripes(rng, size):
    """A uint8 (3, size, size) image: 4 stripes of random colours under noise."""
    stripes = np.repeat(rng.randint(0, 200, (3, 4, 1)), size // 4, axis=1)
    return (stripes + rng.randint(0, 56, (3, size, size))).astype(np.uint8)


def make_samples(cfg, captions, seed=0, size=32):
    """Samples as the mapper makes them; every image has its own colours."""
    rng = np.random.RandomState(seed)
    tokenizer = build_tokenizer(cfg.MODEL.TEXT_ENCODER.TOKENIZER, cfg.MODEL.TEXT_ENCODER.MAX_TOKENS)
    samples = []
    for i, caption in enumerate(captions):
        encoding = tokenizer.encode(caption)
        ids, labels = mask_tokens(
            encoding,
            probability=0.3,
            budget="tokens",
            mask_id=tokenizer.special["mask"],
            vocabulary_size=tokenizer.vocabulary_size,
            rng=rng,
        )
        special = np.isin(encoding.ids, tokenizer.special_ids)
        samples.append(
            {
                "image": torch.from_numpy(noisy_stripes(rng, size)),
                "caption": caption,
                "input_ids": torch.from_numpy(ids),
                "original_ids": torch.from_numpy(encoding.ids),
                "attention_mask": torch.from_numpy(encoding.mask),
                "mlm_labels": torch.from_numpy(labels),
                "word_index": torch.from_numpy(np.where(special, -1, encoding.words)),
                "image_id": i,
                "file_name": f"noise-{i}",
            }
        )
    return samples
