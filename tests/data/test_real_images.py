"""Real photographs through the mappers: some of ICDAR2015's and MSRA-TD500's."""

import numpy as np
import pytest
from helpers.detectors import HEADS, detector_cfg
from helpers.pretraining import tiny_vlpt_cfg

from vlpt_d2.data import build_mapper
from vlpt_d2.data.lazy import spread
from vlpt_d2.data.loader import get_dataset_dicts
from vlpt_d2.modeling.pretraining.vlpt.mapper import PretrainMapper
from vlpt_d2.structures import TextInstances


@pytest.fixture(params=["icdar2015_train", "icdar2015_test", "msra_td500_train"])
def records(request, real_icdar2015, msra_td500_root):
    return request.param, list(spread(get_dataset_dicts([request.param]), 6))


def test_detection_and_pretraining(records, tmp_path):
    name, records = records
    pretrain, upright = (PretrainMapper(tiny_vlpt_cfg(tmp_path), train) for train in (True, False))
    for number, record in enumerate(records):
        cfg = detector_cfg(HEADS[number % len(HEADS)], "tiny")
        sample = build_mapper(cfg, True)(record)
        assert all(np.isfinite(target).all() for target in sample["targets"].values())
        sample = build_mapper(cfg, False)(record)
        # Squeezed copies of ICDAR2015's images come back to their size.
        original = (720, 1280) if "icdar" in name else (record["height"], record["width"])
        assert (sample["height"], sample["width"]) == original
        size = np.array([sample["width"], sample["height"]])
        for ring in sample["texts"].polygons:
            assert (ring > -0.1 * size).all() and (ring < 1.1 * size).all()
        texts = TextInstances.from_annotations(record["annotations"])
        caption = " ".join(texts.legible().captions())
        assert upright(record)["caption"] == caption
        # The rotation in training turns some words out of the image; the others keep their order.
        words = iter(caption.split(" "))
        assert all(word in words for word in pretrain(record)["caption"].split(" "))
