"""Shards in training: every image once an epoch, whoever reads it, and the same after a resume."""

import itertools
import pickle

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm
from helpers.sharding import image_folder

from vlpt_d2.config import get_cfg
from vlpt_d2.data.loader import build_test_loader, build_train_loader, get_dataset_dicts
from vlpt_d2.data.samplers import TrainingBatches
from vlpt_d2.data.shards import (
    ShardStreams,
    StreamSplit,
    dataset,
    open_shards,
    register_shards,
    write_shards,
)

COUNT = 23


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    write_shards(image_folder(root / "photos", COUNT), root / "out", "toy", per_shard=3, seed=None)
    return str(root / "out")


def read_by_workers(shards, batch, accumulate, world, workers, steps, start=0, buffer=4, seed=7):
    """Sample number -> image, read as processes and their workers do, each by its own copy."""
    split = StreamSplit(batch, accumulate, world, workers)
    images, streams = {}, []
    for rank in range(world):
        batches = TrainingBatches(
            batch, start_iter=start, accumulate=accumulate, rank=rank, world_size=world
        )
        copies = [
            ShardStreams(pickle.loads(pickle.dumps(shards)), split, seed, buffer)
            for _ in range(max(workers, 1))
        ]
        dealt = itertools.cycle(copies)
        for numbers in itertools.islice(iter(batches), steps * accumulate):
            worker = next(dealt)
            for number in numbers:
                assert number not in images
                images[number] = worker[number]["image_id"]
                assert len(worker._held) < buffer
        streams += copies
    return [images[n] for n in sorted(images)], streams


LAYOUTS = [(4, 1, 1, 0), (4, 1, 2, 2), (6, 3, 1, 2), (8, 2, 2, 3), (5, 1, 1, 4)]


@pytest.mark.parametrize(("batch", "accumulate", "world", "workers"), LAYOUTS)
def test_every_image_once_an_epoch(folder, batch, accumulate, world, workers):
    layout = (batch, accumulate, world, workers)
    drawn, _ = read_by_workers(open_shards(folder), *layout, steps=-(-3 * COUNT // batch))
    epochs = [drawn[i * COUNT : (i + 1) * COUNT] for i in range(3)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert list(range(COUNT)) not in epochs


@pytest.mark.parametrize(("batch", "accumulate", "world", "workers"), LAYOUTS)
def test_resumed_run_sees_what_one_left_alone_sees(folder, batch, accumulate, world, workers):
    layout, steps = (batch, accumulate, world, workers), -(-2 * COUNT // batch)
    whole, _ = read_by_workers(open_shards(folder), *layout, steps=steps)
    for start in range(1, steps):
        rest, _ = read_by_workers(open_shards(folder), *layout, steps=steps - start, start=start)
        assert rest == whole[start * batch :]


def test_seed_and_buffer_make_the_order(folder):
    orders = [
        read_by_workers(open_shards(folder), 1, 1, 1, 1, COUNT, seed=seed, buffer=buffer)[0]
        for seed, buffer in ((7, 4), (7, 4), (8, 4), (7, 1), (7, 100))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    # Without a buffer shards come whole, in a new order.
    shards = [orders[3][i] // 3 for i in range(COUNT)]
    assert len([k for k, _ in itertools.groupby(shards)]) == 8
    assert shards != sorted(shards)
    # With one, an image comes after every image that lies a buffer before it.
    lies = {image: place for place, image in enumerate(orders[3])}
    for buffer, order in ((4, orders[0]), (100, orders[4])):
        came = [lies[image] for image in order]
        for turn, place in enumerate(came):
            assert all(other in came[:turn] for other in range(max(place - buffer + 1, 0)))
        assert came != sorted(came)
    assert any(image // 3 != other // 3 for image, other in itertools.pairwise(orders[4][:3]))


def test_each_shard_is_read_by_one_or_two(folder, monkeypatch):
    opened = []
    original = dataset.read_samples

    def counted(url, *arguments):
        opened.append(url)
        return original(url, *arguments)

    monkeypatch.setattr(dataset, "read_samples", counted)
    read_by_workers(open_shards(folder), 4, 1, 2, 2, steps=5)  # 20 of 23: within an epoch
    assert len(opened) <= 8 + 4
    assert max(opened.count(url) for url in opened) <= 2


def test_out_of_order_numbers_give_the_same_images(folder):
    split = StreamSplit(4, 1, 2, 2)
    streams = ShardStreams(open_shards(folder), split, 7, 4)
    forward = [streams[n]["image_id"] for n in range(60)]
    assert sorted(forward[:COUNT]) == list(range(COUNT))
    for number in np.random.default_rng(0).permutation(60)[:25]:
        assert streams[int(number)]["image_id"] == forward[number]


def test_streams_are_what_the_loader_deals():
    """Number -> (rank, worker), dealt out one by one."""
    for batch, accumulate, world, workers in LAYOUTS:
        split = StreamSplit(batch, accumulate, world, workers)
        streams = [0] * (world * max(workers, 1))
        expected = {}
        for rank in range(world):
            batches = TrainingBatches(batch, accumulate=accumulate, rank=rank, world_size=world)
            for k, numbers in enumerate(itertools.islice(iter(batches), 12 * accumulate)):
                for number in numbers:
                    expected[number] = rank * max(workers, 1) + k % max(workers, 1)
        for number in range(12 * batch):
            assert np.diff(split.before(number)).tolist() == streams
            assert split.stream(number) == expected[number]
            streams[expected[number]] += 1


def test_buffer_of_none_is_refused(folder):
    with pytest.raises(ValueError, match=r"DATALOADER\.SHARD_BUFFER is 0"):
        ShardStreams(open_shards(folder), StreamSplit(1), 0, 0)


@pytest.fixture
def cfg(folder, tmp_path):
    register_shards("toy_shards_to_train", folder)
    write_shards(image_folder(tmp_path / "photos", 3), tmp_path / "out", "more")
    register_shards("toy_more_shards", str(tmp_path / "out"))
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.DETECTION.TRAIN_SIZE = (32, 32)
    cfg.INPUT.DETECTION.TEST_SIZE = (32, 64)
    cfg.DATASETS.TRAIN = ("toy_shards_to_train",)
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.SEED = 3
    yield cfg
    for name in ("toy_shards_to_train", "toy_more_shards"):
        DatasetCatalog.pop(name, None)
        MetadataCatalog.pop(name, None)


def drawn(cfg, batches, start=0):
    loader = build_train_loader(cfg, start)
    return [s for batch in itertools.islice(loader, batches) for s in batch]


def test_two_processes_of_two_workers(cfg, monkeypatch):
    cfg.DATALOADER.NUM_WORKERS = 2
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    steps = -(-COUNT // 4)
    whole = []
    for rank in range(2):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        samples = drawn(cfg, steps)
        whole.append([s["image_id"] for s in samples])
        later = drawn(cfg, steps - 3, start=3)
        assert [s["image_id"] for s in later] == whole[rank][6:]
        for one, other in zip(later, samples[6:]):
            assert (one["image"] == other["image"]).all()
    in_order = [
        image
        for step in range(steps)
        for images in whole
        for image in images[2 * step : 2 * step + 2]
    ]
    assert sorted(in_order[:COUNT]) == list(range(COUNT))


@pytest.mark.parametrize("workers", [0, 1])
def test_shards_are_joined_and_filtered(cfg, workers):
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.DATASETS.TRAIN = ("toy_shards_to_train", "toy_more_shards")
    assert len(get_dataset_dicts(cfg.DATASETS.TRAIN)) == COUNT + 3
    names = [s["file_name"] for s in drawn(cfg, 13)]
    assert len(set(names[: COUNT + 3])) == COUNT + 3
    assert sum(name.startswith("more-") for name in names[: COUNT + 3]) == 3
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True
    # Without 0, 4, 8, 12, 16, 20 and, of the second set, 0.
    kept = COUNT + 3 - 7
    images = [s["image_id"] for s in drawn(cfg, 5)][:kept]
    assert sorted(images) == sorted([*(i for i in range(COUNT) if i % 4), 1, 2])


def test_shards_beside_other_datasets_are_refused(cfg):
    cfg.DATASETS.TRAIN = ("toy_shards_to_train", "rendered_quickstart_val")
    with pytest.raises(ValueError, match="write the others as shards too"):
        build_train_loader(cfg)


def test_shards_without_ground_truth_are_refused(cfg, tmp_path):
    dicts = image_folder(tmp_path / "bare_photos", 2)
    for record in dicts:
        del record["annotations"]
    write_shards(dicts, tmp_path / "bare", "bare")
    register_shards("toy_more_shards_bare", str(tmp_path / "bare"))
    try:
        cfg.DATASETS.TRAIN = ("toy_more_shards_bare",)
        with pytest.raises(ValueError, match="without ground truth"):
            build_train_loader(cfg)
        assert "annotations" not in get_dataset_dicts(["toy_more_shards_bare"])[0]
    finally:
        DatasetCatalog.pop("toy_more_shards_bare")


@pytest.mark.parametrize("workers", [0, 2])
def test_test_loader_reads_in_order(cfg, workers):
    cfg.DATALOADER.NUM_WORKERS = workers
    loader = build_test_loader(cfg, "toy_shards_to_train")
    assert [s["image_id"] for batch in loader for s in batch] == list(range(COUNT))
