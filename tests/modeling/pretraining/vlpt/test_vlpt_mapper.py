"""The pre-training sample: image, caption and masks."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from helpers.pretraining import tiny_vlpt_cfg
from helpers.real_images import icdar2015_dicts

from vlpt_d2.config import get_cfg
from vlpt_d2.data import build_mapper
from vlpt_d2.modeling.pretraining.vlpt.mapper import PretrainMapper


def annotation(text, iscrowd=0):
    return {"text": text, "iscrowd": iscrowd, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    image = np.full((40, 60, 3), (200, 100, 50), np.uint8)  # BGR
    cv2.imwrite(str(path), image)
    return {
        "file_name": str(path),
        "height": 40,
        "width": 60,
        "image_id": "photo",
        "annotations": [annotation("exit"), annotation("shop"), annotation("###", 1)],
    }


def mapper(tmp_path, is_train, **options):
    cfg = tiny_vlpt_cfg(tmp_path)
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.PRETRAIN.SIZE = (32, 32)
    for key, value in options.items():
        cfg.merge_from_list([key.replace("__", "."), value])
    return PretrainMapper(cfg, is_train)


def test_sample(tmp_path, photo):
    sample = mapper(tmp_path, is_train=False)(photo)
    assert sample["image"].dtype == torch.uint8
    assert sample["image"].shape == (3, 32, 32)
    assert sample["image"][:, 16, 16].tolist() == [50, 100, 200]
    assert sample["caption"] == "exit shop"
    assert sample["attention_mask"].tolist() == [True] * 4 + [False] * 4
    hidden = sample["mlm_labels"] != -100
    assert hidden.sum() == 1
    # [CLS] exit shop [SEP]
    assert sample["original_ids"].tolist() == [2, 5, 7, 3, 0, 0, 0, 0]
    assert torch.equal(sample["original_ids"][hidden], sample["mlm_labels"][hidden])
    assert torch.equal(sample["original_ids"][~hidden], sample["input_ids"][~hidden])
    assert sample["word_index"].tolist() == [-1, 0, 1, -1, -1, -1, -1, -1]
    assert (sample["height"], sample["width"], sample["image_id"]) == (40, 60, "photo")
    assert len(photo["annotations"]) == 3  # the dataset dict is left alone


def test_words_with_unknown_pieces(tmp_path, photo):
    """ "bus-zzz" is bus, [UNK] and [UNK]: WIP asks for "bus", where the word is cannot be asked."""
    photo["annotations"] = [annotation(word) for word in ("bus-zzz", "taxi", "zzz", "bar")]
    sample = mapper(tmp_path, False, MODEL__TEXT_ENCODER__MAX_TOKENS=9)(photo)
    assert sample["word_index"].tolist() == [-1, 0, -1, -1, 1, -1, 3, -1, -1]
    assert sample["token_words"].tolist() == [-1, -1, -1, -1, 1, -1, 3, -1, -1]


def test_held_out_samples_say_where_words_are(tmp_path, photo):
    words = [("exits", 0), ("hidden", 1), ("###", 0), ("bar", 0)]
    photo["annotations"] = [annotation(text, crowd) for text, crowd in words]
    sample = mapper(tmp_path, False, INPUT__PRETRAIN__SIZE=(80, 30))(photo)
    assert sample["token_words"].tolist() == [-1, 0, 0, 1, -1, -1, -1, -1]
    assert sample["token_words"].dtype == torch.int64
    resized = [[0, 0], [2, 0], [2, 8], [0, 8]]  # half as wide, twice as high
    places = [[ring.tolist() for ring in rings] for rings in sample["word_polygons"]]
    assert places == [[resized]] * 2
    assert "word_polygons" not in mapper(tmp_path, True)(photo)


def test_words_outside_their_image_are_not_in_the_caption(tmp_path):
    """Two of three words lie outside a 200 x 100 image, as some of SynthText do."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((100, 200, 3), 90, np.uint8))
    rows = {"inside": (60, 40), "outside": (260, 40), "left": (-90, 40)}
    record = {
        "file_name": str(tmp_path / "a.png"),
        "image_id": 1,
        "annotations": [
            {
                "text": text,
                "iscrowd": 0,
                "bbox": [x, y, x + 60, y + 20],
                "bbox_mode": 0,
                "segmentation": [[x, y, x + 60, y, x + 60, y + 20, x, y + 20]],
            }
            for text, (x, y) in rows.items()
        ],
    }
    for name in ("pretrain", "oclip", "stkm", "regions"):
        cfg = get_cfg()
        cfg.INPUT.DATASET_MAPPER_NAME = name
        cfg.INPUT.PRETRAIN.SIZE = (64, 64)
        cfg.MODEL.TEXT_HEAD.NAME = "DBHead"
        for is_train in (True, False):
            sample = build_mapper(cfg, is_train)(record)
            assert sample["caption"] == "inside", (name, is_train)
            if "word_polygons" in sample:
                assert len(sample["word_polygons"]) == 1
            if "regions" in sample:
                assert len(sample["regions"]) == 1
    assert len(record["annotations"]) == 3


def test_held_out_masks_depend_on_the_image_alone(tmp_path, photo):
    held_out = mapper(tmp_path, is_train=False)
    np.random.seed(1)
    first = held_out(photo)
    np.random.seed(2)
    assert torch.equal(first["mlm_labels"], held_out(photo)["mlm_labels"])
    train = mapper(tmp_path, is_train=True)
    assert len({tuple(train(photo)["mlm_labels"].tolist()) for _ in range(20)}) > 1
    assert len({tuple(train(photo)["image"].flatten().tolist()) for _ in range(5)}) == 5


def test_without_mlm_nothing_is_masked(tmp_path, photo):
    cfg = tiny_vlpt_cfg(tmp_path, tasks=("ITC",))
    assert (PretrainMapper(cfg, True)(photo)["mlm_labels"] == -100).all()


def test_rendered_images_are_mapped(tmp_path):
    dataset_dict = DatasetCatalog.get("rendered_quickstart_val")[0]
    sample = mapper(tmp_path, is_train=False)(dataset_dict)
    assert sample["caption"]
    assert sample["image"].float().std() > 1


def test_real_images_are_mapped(tmp_path, icdar2015_root):
    train = mapper(tmp_path, is_train=True)
    for dataset_dict in icdar2015_dicts(icdar2015_root, range(5)):
        sample = train(dataset_dict)
        assert sample["image"].shape == (3, 32, 32)
        assert "###" not in sample["caption"]
