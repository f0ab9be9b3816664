"""Batches as one block of memory: whatever a mapper returns comes back equal."""

import itertools
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances

from vlpt_d2.config import get_cfg
from vlpt_d2.data.collate import CollatedBatch, stacked
from vlpt_d2.data.loader import build_train_loader
from vlpt_d2.data.mapper import MAPPER_REGISTRY


def test_samples_come_back_equal_whatever_holds_their_tensors():
    instances = Instances((4, 6), gt_boxes=Boxes(torch.rand(3, 4)))
    samples = [
        {
            "image": torch.randint(0, 255, (3, 5 + i, 7), dtype=torch.uint8),
            "targets": {"text": torch.rand(4, 9).t(), "empty": torch.zeros(0, 2)},
            "ragged": [torch.arange(n) for n in range(i)],
            "flag": torch.tensor(i == 1),
            "half": torch.rand(3).bfloat16(),
            "weight": torch.rand(2, requires_grad=True),
            "array": np.arange(i, dtype=np.float32),
            "instances": instances,
            "file_name": "same",
            "nothing": None,
        }
        for i in range(3)
    ]
    found = CollatedBatch(samples).samples()
    assert len(found) == 3
    for before, after in zip(samples, found):
        assert list(before) == list(after)
        for key in ("image", "flag", "half", "weight"):
            assert after[key].dtype == before[key].dtype
            assert torch.equal(after[key], before[key])
        assert torch.equal(after["targets"]["text"], before["targets"]["text"])
        assert after["targets"]["empty"].shape == (0, 2)
        assert [t.tolist() for t in after["ragged"]] == [t.tolist() for t in before["ragged"]]
        assert np.array_equal(after["array"], before["array"])
        assert torch.equal(after["instances"].gt_boxes.tensor, instances.gt_boxes.tensor)
        assert (after["file_name"], after["nothing"]) == ("same", None)
    assert CollatedBatch([]).samples() == []


def test_tensors_of_one_key_are_joined_without_a_copy():
    samples = [{"ids": torch.full((4,), i), "labels": torch.full((4,), -i)} for i in range(3)]
    assert not _shares(stacked([s["ids"] for s in samples]), samples[0]["ids"])
    found = CollatedBatch(samples).samples()
    for key in ("ids", "labels"):
        joined = stacked([s[key] for s in found])
        assert _shares(joined, found[0][key])
        assert torch.equal(joined, torch.stack([s[key] for s in samples]))


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2], [0, 1, 0], [2]])
def test_any_choice_of_samples_is_stacked_right(order):
    found = CollatedBatch([{"x": torch.arange(6).view(2, 3) + 10 * i} for i in range(3)]).samples()
    chosen = [found[i]["x"] for i in order]
    assert torch.equal(stacked(chosen), torch.stack(chosen))


def test_stacked_compares_shape_type_and_strides():
    block = torch.arange(12.0)
    square, wide = block[:4].view(2, 2), block[4:8].view(1, 4)
    with pytest.raises(RuntimeError):
        stacked([square, wide])
    turned = [block[:4].view(2, 2).t(), block[4:8].view(2, 2).t()]
    assert torch.equal(stacked(turned), torch.stack(turned))


def _shares(a, b):
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


class NumberMapper:
    """The number of a record as an image and as ragged tensors."""

    def __init__(self, cfg, is_train):
        pass

    def __call__(self, record):
        number = record["image_id"]
        image = torch.full((3, 8, 8), number % 256, dtype=torch.uint8)
        return {"image": image, "image_id": number, "ragged": [torch.arange(number % 5)] * 2}


@pytest.fixture
def numbers():
    MAPPER_REGISTRY.register(NumberMapper)
    DatasetCatalog.register(
        "numbers", lambda: [{"image_id": i, "annotations": [{}]} for i in range(500)]
    )
    yield "numbers"
    DatasetCatalog.remove("numbers")
    del MAPPER_REGISTRY._obj_map["NumberMapper"]


@pytest.fixture
def few_descriptors():
    """A hundred open files more than there are now."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max_descriptor() + 100, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def max_descriptor():
    return max(int(path.name) for path in Path("/proc/self/fd").iterdir())


def test_a_batch_needs_few_file_descriptors(numbers, few_descriptors):
    """300 images, two workers, and 100 files to open: one descriptor an image would not do."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.INPUT.DATASET_MAPPER_NAME = "number"
    cfg.DATASETS.TRAIN = (numbers,)
    cfg.DATALOADER.NUM_WORKERS = 2
    cfg.SOLVER.IMS_PER_BATCH = 300
    cfg.SEED = 0
    batches = list(itertools.islice(build_train_loader(cfg), 8))
    samples = [sample for batch in batches for sample in batch]
    assert len(samples) == 2400
    for sample in samples:
        number = sample["image_id"]
        assert (sample["image"] == number % 256).all()
        assert [r.tolist() for r in sample["ragged"]] == [list(range(number % 5))] * 2
    assert sorted(s["image_id"] for s in samples[:500]) == list(range(500))
