"""A dataset declared outside of the package."""

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from vlpt_d2.data.datasets.dataset import DATASETS, TextDataset, read_split, register_dataset
from vlpt_d2.data.datasets.report import ReadReport


def test_a_declared_dataset_is_registered_with_its_parts(tmp_path, monkeypatch):
    def read(root, split, name):
        assert root == tmp_path / "my_signs"
        dicts = [{"file_name": f"{split}_{i}.jpg", "image_id": i} for i in range(4)]
        return dicts, ReadReport(name, images=4)

    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    dataset = TextDataset(
        "my_signs",
        "My signs",
        read,
        ("train", "test", "train_dark"),
        protocol="td500",
        parts={"half": ("train", lambda dicts: dicts[::2])},
        submission_formats={"test": "art"},
    )
    names = [f"my_signs_{split}" for split in ("train", "test", "half", "train_dark")]
    try:
        register_dataset(dataset)
        register_dataset(dataset)  # plugins may be imported twice
        assert [len(DatasetCatalog.get(name)) for name in names] == [4, 4, 2, 4]
        assert {MetadataCatalog.get(name).evaluator_type for name in names} == {"td500"}
        assert MetadataCatalog.get("my_signs_test").submission_format == "art"
        assert read_split("my_signs_test")[1].name == "my_signs_test"
        assert read_split("my_signs_train_dark")[1].name == "my_signs_train_dark"
        with pytest.raises(ValueError, match="there is a dataset 'my_signs' already"):
            register_dataset(TextDataset("my_signs", "Others", read, ("train",)))
    finally:
        DATASETS.pop("my_signs", None)
        for name in names:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
