"""The sample of STKM: image and character sequence."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from helpers.real_images import icdar2015_dicts
from helpers.stkm import tiny_stkm_cfg

from vlpt_d2.data import build_mapper
from vlpt_d2.modeling.pretraining.stkm.characters import decode_words
from vlpt_d2.modeling.pretraining.stkm.mapper import StkmMapper


def annotation(text, iscrowd=0):
    return {"text": text, "iscrowd": iscrowd, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((40, 60, 3), (200, 100, 50), np.uint8))  # BGR
    texts = [annotation("shop"), annotation("###"), annotation("Exit 2"), annotation("no", 1)]
    return {"file_name": str(path), "image_id": 7, "annotations": texts}


def test_sample(photo):
    cfg = tiny_stkm_cfg()
    mapper = build_mapper(cfg, False)
    assert isinstance(mapper, StkmMapper)
    sample = mapper(photo)
    assert sample["image"].shape == (3, 32, 32)
    assert sample["image"][:, 16, 16].tolist() == [50, 100, 200]
    assert sample["caption"] == "2 Exit shop"
    assert sample["target"].shape == (24,)
    assert decode_words(sample["target"]) == ["2", "Exit", "shop"]
    assert sample["words_left_out"] == 0
    assert (sample["height"], sample["width"], sample["image_id"]) == (40, 60, 7)
    assert len(photo["annotations"]) == 4  # the dataset dict is left alone


def test_words_beyond_the_length_are_counted(photo):
    sample = StkmMapper(tiny_stkm_cfg(MAX_LENGTH=8), False)(photo)
    assert decode_words(sample["target"]) == ["2", "Exit"]
    assert sample["words_left_out"] == 1
    assert sample["caption"] == "2 Exit shop"
    with pytest.raises(ValueError, match="MAX_LENGTH is 1"):
        StkmMapper(tiny_stkm_cfg(MAX_LENGTH=1), False)


def test_training_images_are_rotated(photo):
    mapper = StkmMapper(tiny_stkm_cfg(), True)
    images = [mapper(photo)["image"] for _ in range(3)]
    assert not torch.equal(images[0], images[1])
    assert torch.equal(*(StkmMapper(tiny_stkm_cfg(), False)(photo)["image"] for _ in range(2)))


def test_images_without_words(photo):
    sample = StkmMapper(tiny_stkm_cfg(), True)({**photo, "annotations": [annotation("###")]})
    assert sample["caption"] == ""
    assert (sample["target"] != 0).sum() == 1


def test_rendered_and_real_images_are_mapped(icdar2015_root):
    cfg = tiny_stkm_cfg(MAX_LENGTH=200)
    dicts = icdar2015_dicts(icdar2015_root, range(5))
    for dataset_dict in [*dicts, DatasetCatalog.get("rendered_quickstart_val")[0]]:
        sample = StkmMapper(cfg, True)(dataset_dict)
        assert "###" not in sample["caption"]
        read = decode_words(sample["target"])
        assert read == sorted(read) == sample["caption"].split()
