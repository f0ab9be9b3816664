"""Label maps beside captions: they lie on the words, however the image was turned."""

import numpy as np
import pytest
import torch
from helpers.regions import PLACES, regions_cfg, word_record

from vlpt_d2.data import build_mapper
from vlpt_d2.modeling.pretraining.vlpt.mapper import PretrainMapper


def test_labels_lie_on_the_turned_words(tmp_path):
    cfg = regions_cfg(tmp_path, INPUT__PRETRAIN__ROTATION=20.0)
    mapper = build_mapper(cfg, is_train=True)
    record = word_record(tmp_path, ["exit", "shop", None])
    angles = set()
    for _ in range(6):
        sample = mapper(record)
        text, mask = sample["targets"]["text"].bool(), sample["targets"]["text_mask"].bool()
        white = sample["image"][0] > 200
        assert text.shape == (64, 64)
        # DB's labels are the words shrunk: well inside, and a good part of them.
        assert white[text].float().mean() > 0.99
        assert text.sum() > 0.2 * (white & mask).sum()
        # The third shape is not to be learnt from, and is masked where it is white.
        assert 0.8 * 18 * 20 * 64 / 96 < (~mask).sum() < 1.2 * 18 * 20 * 64 / 96
        assert white[~mask].float().mean() > 0.8
        angles.add(int(text.nonzero().sum()))
        assert sample["caption"] == "exit shop"
    assert len(angles) > 3


def test_test_time_samples_have_polygons(tmp_path):
    cfg = regions_cfg(tmp_path)
    record = word_record(tmp_path, ["exit", "shop"], ignored=(1,))
    sample = build_mapper(cfg, is_train=False)(record)
    assert "targets" not in sample
    np.testing.assert_allclose(sample["regions"].polygons[0], np.array(PLACES[0]) * (64 / 96, 1.0))
    assert sample["regions"].ignore.tolist() == [False, True]
    plain = PretrainMapper(cfg, False)(record)
    for name, value in plain.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(sample[name], value), name
        elif name != "word_polygons":
            assert sample[name] == value


def test_a_text_without_a_place_is_refused(tmp_path):
    record = word_record(tmp_path, ["exit"])
    record["annotations"].append({"text": "shop", "iscrowd": 0})
    mapper = build_mapper(regions_cfg(tmp_path), is_train=True)
    with pytest.raises(ValueError, match=r"exit\.png: the text 'shop' has neither polygon nor box"):
        mapper(record)
