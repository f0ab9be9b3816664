"""Samples depend on their number alone; errors reach the main process."""

import itertools
import multiprocessing
import random
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.fuzz_images import png_header
from tiny import TinyMapper
from torch.utils.data import DataLoader

from vlpt_d2.data.loader import (
    _start_worker,
    build_test_loader,
    build_train_loader,
    get_dataset_dicts,
)
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
    assert len(get_dataset_dicts(["tiny_photos"])) == 7
    assert [d["image_id"] for d in get_dataset_dicts(["tiny_photos"], filter_empty=True)] == [3]
    assert {s["image_id"] for s in samples(tiny_cfg, 0)} == set(range(7))
    tiny_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True
    assert {s["image_id"] for s in samples(tiny_cfg, 0)} == {3}


@pytest.mark.parametrize("filtered", [False, True])
def test_images_without_any_text_to_learn_are_refused(tiny_cfg, tiny_photos, filtered):
    tiny_photos[3]["annotations"] = []
    tiny_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = filtered
    with pytest.raises(ValueError, match="tiny_photos .*nothing is annotated or all of it is ign"):
        build_train_loader(tiny_cfg)
    assert len(list(build_test_loader(tiny_cfg, "tiny_photos"))) == 2


def test_a_pretraining_needs_words(tiny_cfg, tiny_photos, monkeypatch):
    monkeypatch.setattr(TinyMapper, "needs_words", True, raising=False)
    tiny_photos[3]["annotations"][0]["text"] = "###"
    with pytest.raises(ValueError, match="tiny_photos has a word to read"):
        build_train_loader(tiny_cfg)
    tiny_photos[3]["annotations"][0]["text"] = "exit"
    assert len(build_train_loader(tiny_cfg).dataset) == 7


def break_image(dataset_dict, kind="truncated"):
    broken = Path(dataset_dict["file_name"])
    bomb = png_header(100_000, 100_000)
    broken.write_bytes(bomb if kind == "bomb" else broken.read_bytes()[:60])
    return broken.name


@pytest.mark.parametrize("kind", ["truncated", "bomb"])
@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_image_is_named(tiny_cfg, tiny_photos, workers, kind):
    name = break_image(tiny_photos[4], kind)
    with pytest.raises(CorruptImageError, match=name):
        samples(tiny_cfg, workers)


@pytest.mark.parametrize("kind", ["truncated", "bomb"])
def test_corrupt_images_are_passed_over_where_that_is_asked(tiny_cfg, tiny_photos, caplog, kind):
    whole = samples(tiny_cfg, 0)
    names = [break_image(tiny_photos[index], kind) for index in (4, 5)]
    tiny_cfg.DATALOADER.SKIP_BROKEN_IMAGES = True
    drawn = samples(tiny_cfg, 0)
    for before, now in zip(whole, drawn, strict=True):
        if before["image_id"] in (4, 5):
            assert now["image_id"] not in (4, 5)
        else:
            assert_equal([before], [now])
    warnings = [r.getMessage() for r in caplog.records if "passed over" in r.getMessage()]
    assert len(warnings) == 2
    assert all(any(name in warning for warning in warnings) for name in names)
    assert "has seen: 2)" in warnings[1]
    # The same in any process, and after resuming.
    assert_equal(drawn, samples(tiny_cfg, 2))
    assert_equal(drawn[6:], samples(tiny_cfg, 2, count=6, start_iter=3))


def test_evaluations_pass_over_nothing_and_neither_does_anybody_pass_over_all(
    tiny_cfg, tiny_photos
):
    tiny_cfg.DATALOADER.SKIP_BROKEN_IMAGES = True
    name = break_image(tiny_photos[4])
    with pytest.raises(CorruptImageError, match=name):
        list(build_test_loader(tiny_cfg, "tiny_photos"))
    for dataset_dict in tiny_photos:
        break_image(dataset_dict)
    with pytest.raises(CorruptImageError):
        samples(tiny_cfg, 0)


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


def fork_after_opencv_threads():
    cv2.setNumThreads(2)
    cv2.resize(np.zeros((1500, 1500, 3), np.float32), (3000, 3000))  # starts the threads
    time.sleep(0.3)  # they sleep
    options = {"worker_init_fn": _start_worker, "timeout": 30, "multiprocessing_context": "fork"}
    assert list(DataLoader(range(2), num_workers=1, **options)) == [0, 1]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_workers_start_after_the_main_process_used_opencv_threads():
    # As after an evaluation, which decodes in the main process. pytest's may have other threads.
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=fork_after_opencv_threads)
    process.start()
    process.join()
    assert process.exitcode == 0
