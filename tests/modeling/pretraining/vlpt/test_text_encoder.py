"""Text encoders: padding, positions and transformers models from a folder."""

import pytest
import torch
from helpers.pretraining import WORDS, tiny_vlpt_cfg
from transformers import BertConfig, BertModel

from vlpt_d2.modeling.pretraining.vlpt.text_encoder import build_text_encoder


def test_padding_does_not_change_tokens(tmp_path):
    encoder = build_text_encoder(tiny_vlpt_cfg(tmp_path)).eval()
    ids = torch.tensor([[2, 5, 7, 3, 0, 0]])
    mask = ids != 0
    short = encoder(ids[:, :4], mask[:, :4])
    torch.testing.assert_close(encoder(ids, mask)[:, :4], short)
    swapped = encoder(ids[:, [0, 2, 1, 3]], mask[:, :4])
    assert not torch.allclose(swapped[:, 1], short[:, 2])  # order matters


def test_padding_row_is_zero_and_stays_so(tmp_path):
    encoder = build_text_encoder(tiny_vlpt_cfg(tmp_path))
    ids = torch.tensor([[2, 5, 3, 0]])
    encoder(ids, ids != 0).sum().backward()
    assert encoder.word_embeddings.weight[0].abs().sum() == 0
    assert encoder.word_embeddings.weight.grad[0].abs().sum() == 0


def saved_bert(folder, rows):
    config = BertConfig(
        vocab_size=rows,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    model = BertModel(config).eval()
    model.save_pretrained(folder)
    return model


def hugging_face_cfg(tmp_path, rows):
    cfg = tiny_vlpt_cfg(tmp_path)
    reference = saved_bert(tmp_path / "bert", rows)
    cfg.MODEL.TEXT_ENCODER.NAME = "HuggingFaceTextEncoder"
    cfg.MODEL.TEXT_ENCODER.PRETRAINED = str(tmp_path / "bert")
    return cfg, reference


def test_transformers_encoder_from_a_folder(tmp_path):
    cfg, reference = hugging_face_cfg(tmp_path, len(WORDS))
    encoder = build_text_encoder(cfg).eval()
    ids = torch.tensor([[2, 5, 7, 3, 0, 0]])
    out = encoder(ids, ids != 0)
    assert out.shape == (1, 6, 16)
    hidden = reference(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    torch.testing.assert_close(out, encoder.project(hidden))
    assert encoder.word_embeddings.weight.shape == (len(WORDS), 24)
    out.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_transformers_encoder_trains_in_the_model(tmp_path):
    from detectron2.modeling import build_model
    from helpers.pretraining import make_samples

    cfg, _ = hugging_face_cfg(tmp_path, len(WORDS))
    losses = build_model(cfg).train()(make_samples(cfg, ["exit shop", "sale bar"]))
    assert all(torch.isfinite(v) for v in losses.values())


def test_mismatches_are_refused(tmp_path):
    cfg, _ = hugging_face_cfg(tmp_path, 10)
    with pytest.raises(ValueError, match="21 ids but the text encoder"):
        build_text_encoder(cfg)
    cfg.MODEL.TEXT_ENCODER.PRETRAINED = ""
    with pytest.raises(ValueError, match="needs MODEL.TEXT_ENCODER.PRETRAINED"):
        build_text_encoder(cfg)
