"""The detection mapper on generated images and on real ones."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from helpers.real_images import icdar2015_dicts

from vlpt_d2.config import get_cfg
from vlpt_d2.data import build_mapper
from vlpt_d2.modeling.detection.mapper import DetectionMapper


@pytest.fixture
def cfg():
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.DETECTION.TRAIN_SIZE = (256, 256)
    cfg.INPUT.DETECTION.TEST_RESIZE = "height"
    cfg.INPUT.DETECTION.TEST_SIZE = (128, 0)
    return cfg


def annotation(x0, y0, x1, y1, iscrowd=0):
    return {
        "bbox": [x0, y0, x1, y1],
        "bbox_mode": 0,
        "category_id": 0,
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        "iscrowd": iscrowd,
        "text": "###" if iscrowd else "word",
    }


def sample_dict(tmp_path, annotations):
    image = np.zeros((200, 300, 3), np.uint8)
    image[..., 2] = 50  # red
    for a in annotations:
        x0, y0, x1, y1 = a["bbox"]
        image[y0:y1, x0:x1] = (0, 255, 255 if a["iscrowd"] else 0)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), image)
    return {
        "file_name": str(path),
        "height": 200,
        "width": 300,
        "image_id": 7,
        "annotations": annotations,
    }


def test_training_sample(cfg, tmp_path):
    record = sample_dict(
        tmp_path, [annotation(40, 40, 160, 80), annotation(180, 120, 280, 170, iscrowd=1)]
    )
    before = pickle.dumps(record)
    mapper = build_mapper(cfg, is_train=True)
    assert isinstance(mapper, DetectionMapper)
    ignored = 0
    for _ in range(8):
        sample = mapper(record)
        image, targets = sample["image"], sample["targets"]
        assert image.shape == (3, 256, 256) and image.dtype == torch.uint8
        assert targets.keys() == {"text", "text_mask", "threshold", "threshold_mask"}
        assert all(t.shape == (256, 256) for t in targets.values())
        assert "texts" not in sample and sample["image_id"] == 7
        # Text pixels are where the image is green; ignored ones where it is yellow.
        text = targets["text"] > 0
        assert text.any()
        assert (image[1][text] > 200).all() and (image[0][text] < 60).all()
        skipped = targets["text_mask"] == 0
        yellow = (image[0] > 200) & (image[1] > 200)
        ignored += int(yellow.sum())
        assert (yellow & ~skipped).sum() <= 0.03 * yellow.sum()
        assert not (text & skipped).any()
    assert ignored > 0
    assert pickle.dumps(record) == before


def test_numpy_seed_decides_and_mapper_pickles(cfg, tmp_path):
    record = sample_dict(tmp_path, [annotation(40, 40, 160, 80)])
    mapper = pickle.loads(pickle.dumps(build_mapper(cfg, is_train=True)))
    images = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        images.append(mapper(record)["image"])
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


@pytest.mark.parametrize("annotations", [[], [annotation(40, 40, 160, 80, iscrowd=1)]])
def test_images_without_text_to_learn(cfg, tmp_path, annotations):
    sample = build_mapper(cfg, is_train=True)(sample_dict(tmp_path, annotations))
    assert not sample["targets"]["text"].any()
    assert not sample["targets"]["threshold_mask"].any()
    assert bool((sample["targets"]["text_mask"] == 0).any()) == bool(annotations)


def test_test_sample(cfg, tmp_path):
    annotations = [annotation(40, 40, 160, 80), annotation(180, 120, 280, 170, iscrowd=1)]
    sample = build_mapper(cfg, is_train=False)(sample_dict(tmp_path, annotations))
    assert sample["image"].shape == (3, 128, 192)
    assert (sample["height"], sample["width"]) == (200, 300)
    assert sample["texts"].to_annotations() == annotations and "targets" not in sample
    assert sample["image"][0, 0, 0] == 50  # red comes first
    cfg.INPUT.FORMAT = "BGR"
    bgr = build_mapper(cfg, is_train=False)(sample_dict(tmp_path, annotations))
    assert torch.equal(bgr["image"].flip(0), sample["image"])


def test_broken_polygons_do_not_stop_training(cfg, tmp_path):
    broken = annotation(40, 40, 160, 80) | {"segmentation": [[40, 40, 160, 80, 160, 40, 40, 80]]}
    flat = annotation(10, 10, 30, 30) | {"segmentation": [[10, 10, 20, 20, 30, 30]]}
    outside = annotation(10, 10, 30, 30) | {"segmentation": [[-90, 0, -50, 0, -50, 30, -90, 30]]}
    sample = build_mapper(cfg, is_train=True)(sample_dict(tmp_path, [broken, flat, outside]))
    assert torch.isfinite(sample["targets"]["threshold"]).all()


def test_a_text_without_a_place_is_refused(cfg, tmp_path):
    record = sample_dict(tmp_path, [annotation(40, 40, 160, 80)])
    record["annotations"].append({"text": "shop"})
    with pytest.raises(ValueError, match=r"image\.png: the text 'shop' has neither polygon"):
        build_mapper(cfg, is_train=True)(record)


def test_real_images(cfg, icdar2015_root):
    """On ICDAR2015, a map of every image with a readable word large enough; nothing fails."""
    cfg.INPUT.DETECTION.TRAIN_SIZE = (640, 640)
    mapper = build_mapper(cfg, is_train=True)
    with_text = 0
    for record in icdar2015_dicts(icdar2015_root, range(12)):
        sample = mapper(record)
        assert sample["image"].shape == (3, 640, 640)
        assert sample["image"].float().std() > 5
        with_text += bool(sample["targets"]["text"].any())
        assert sample["targets"]["text"].float().mean() < 0.5
    assert with_text >= 4
