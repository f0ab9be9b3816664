"""The pre-training sample: image, caption and masks."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from helpers.pretraining import tiny_vlpt_cfg

from vlpt_d2.config import get_cfg
from vlpt_d2.data import build_mapper
from vlpt_d2.data.squashed_image import rotate_image
from vlpt_d2.modeling.pretraining.vlpt.mapper import PretrainMapper, caption_of


def annotation(text, iscrowd=0):
    return {"text": text, "iscrowd": iscrowd, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}


def test_caption_keeps_order_and_leaves_out_what_cannot_be_read():
    words = [annotation(t) for t in ("Stop", "bus", "", "bus", "###", ".")]
    words.insert(1, annotation("hidden", iscrowd=1))
    assert caption_of(words) == "Stop bus bus ."
    assert caption_of([]) == ""


def test_rotation_is_counter_clockwise_about_the_centre():
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 8] = 255  # right of the centre
    turned = rotate_image(image, 90.0)
    assert turned[0, 4].tolist() == [255, 255, 255]
    assert turned.sum() == 3 * 255
    white = rotate_image(np.full((9, 15, 3), 255, np.uint8), 20.0)
    assert white.shape == (9, 15, 3)
    assert white[0, 0, 0] < 128


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
    assert (sample["mlm_labels"] != -100).sum() == 1
    assert (sample["height"], sample["width"], sample["image_id"]) == (40, 60, "photo")
    assert len(photo["annotations"]) == 3  # the dataset dict is left alone


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
    from vlpt_d2.data.datasets.icdar2015 import load_icdar2015

    dicts = load_icdar2015(
        icdar2015_root / "ch4_training_images",
        icdar2015_root / "ch4_training_localization_transcription_gt",
    )
    train = mapper(tmp_path, is_train=True)
    for dataset_dict in dicts[:5]:
        sample = train(dataset_dict)
        assert sample["image"].shape == (3, 32, 32)
        assert "###" not in sample["caption"]
