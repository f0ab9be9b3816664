"""Samples depend on their number alone; errors reach the main process."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from vlpt_d2.data.loader import build_test_loader, build_train_loader, get_dataset_dicts
from vlpt_d2.data.sample import CorruptImageError


def samples(cfg, workers, count=9, start_iter=0):
    cfg = cfg.clone()
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SOLVER.IMS_PER_BATCH = 2
    loader = build_train_loader(cfg, start_iter)
    return list(itertools.chain(*itertools.islice(loader, count)))


def assert_equal(a, b):
    assert [s["image_id"] for s in a] == [s["image_id"] for s in b]
    assert all(torch.equal(x["image"], y["image"]) for x, y in zip(a, b))


def test_samples_are_the_same_for_any_number_of_workers(tiny_cfg):
    alone = samples(tiny_cfg, 0)
    assert_equal(alone, samples(tiny_cfg, 1))
    assert_equal(alone, samples(tiny_cfg, 2))
    assert_equal(alone[6:], samples(tiny_cfg, 2, count=6, start_iter=3))


def test_augmentation_differs_between_epochs_and_seeds(tiny_cfg):
    drawn = samples(tiny_cfg, 0)  # 18 samples of 7 images
    by_id = {}
    for sample in drawn:
        by_id.setdefault(sample["image_id"], []).append(sample["image"])
    assert all(not torch.equal(images[0], images[1]) for images in by_id.values())
    tiny_cfg.SEED = 6
    assert [s["image_id"] for s in samples(tiny_cfg, 0)] != [s["image_id"] for s in drawn]


def test_main_process_keeps_its_generators(tiny_cfg):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    samples(tiny_cfg, 0)
    samples(tiny_cfg, 1)
    list(build_test_loader(tiny_cfg, "tiny_photos"))
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


def test_images_without_usable_texts_are_kept_unless_asked(tiny_cfg, tiny_photos):
    tiny_photos[3]["annotations"] = [{"iscrowd": 0}]
    assert len(get_dataset_dicts(["tiny_photos"])) == 7
    assert [d["image_id"] for d in get_dataset_dicts(["tiny_photos"], filter_empty=True)] == [3]
    assert {s["image_id"] for s in samples(tiny_cfg, 0)} == set(range(7))
    tiny_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True
    assert {s["image_id"] for s in samples(tiny_cfg, 0)} == {3}


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_image_is_named(tiny_cfg, tiny_photos, workers):
    broken = Path(tiny_photos[4]["file_name"])
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(CorruptImageError, match=broken.name):
        samples(tiny_cfg, workers)


@pytest.mark.parametrize("batch, lengths", [(1, [1] * 7), (2, [2, 2, 3]), (4, [3, 4]), (9, [7])])
def test_test_loader_goes_through_all_images_in_order(tiny_cfg, batch, lengths):
    tiny_cfg.TEST.IMS_PER_BATCH = batch
    loader = build_test_loader(tiny_cfg, "tiny_photos")
    batches = list(loader)
    assert [len(b) for b in batches] == lengths and len(loader) == len(lengths)
    assert [s["image_id"] for b in batches for s in b] == list(range(7))


def test_unknown_or_missing_datasets_are_named(tiny_cfg):
    with pytest.raises(KeyError, match="did you mean 'tiny_photos'"):
        get_dataset_dicts(["tiny_photo"])
    with pytest.raises(ValueError, match=r"DATASETS\.TRAIN"):
        get_dataset_dicts([])


def test_missing_dataset_folder_says_what_to_do(tiny_cfg, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    tiny_cfg.DATASETS.TRAIN = ("icdar2015_train",)
    with pytest.raises(FileNotFoundError, match="DETECTRON2_DATASETS"):
        build_train_loader(tiny_cfg)
