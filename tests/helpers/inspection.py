"""A tiny VLPT checkpoint to look into."""

import torch
from detectron2.modeling import build_model
from transformers import BertConfig, BertModel, BertTokenizerFast

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.inspection import load_for_inspection

from .pretraining import tiny_vlpt_cfg


def tiny_checkpoint(folder, **changes):
    """Write ``config.yaml`` and ``model.pth`` of a random tiny model; return their paths.

    Args:
        folder: where to.
        changes: config keys, "__" for ".".
    """
    cfg = tiny_vlpt_cfg(folder)
    cfg.INPUT.PRETRAIN.SIZE = (64, 64)
    cfg.MODEL.CROSS_ENCODER.DEPTH = 2
    cfg.merge_from_list(
        [x for key, value in changes.items() for x in (key.replace("__", "."), value)]
    )
    torch.manual_seed(5)
    model = build_model(cfg)
    for parameter in model.text_encoder.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    TextCheckpointer(model, str(folder), cfg=cfg).save("model")
    (folder / "config.yaml").write_text(cfg.dump())
    return str(folder / "config.yaml"), str(folder / "model.pth")


def tiny_inspected(folder, **changes):
    """Load that checkpoint."""
    config, weights = tiny_checkpoint(folder, **changes)
    return load_for_inspection(config, ["NUM_THREADS", "1"], weights)


def saved_bert(folder, words):
    """Save a random BERT of 8 channels and its tokenizer to ``folder``; return the model."""
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "words.txt")).save_pretrained(folder)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertModel(BertConfig(vocab_size=len(words), intermediate_size=8, **size))
    model.save_pretrained(folder)
    return model
