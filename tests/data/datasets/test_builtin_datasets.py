"""Every registered dataset on a miniature in its original format, through both mappers."""

import logging

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from helpers.miniatures import MINIATURES, WITHOUT_GROUND_TRUTH
from helpers.pretraining import tiny_vlpt_cfg

from vlpt_d2.config import get_cfg
from vlpt_d2.data import build_mapper
from vlpt_d2.data.datasets.builtin import DATASETS
from vlpt_d2.data.loader import build_train_loader, get_dataset_dicts
from vlpt_d2.evaluation.protocols import PROTOCOLS
from vlpt_d2.modeling.pretraining.vlpt.mapper import PretrainMapper

# Datasets of text lines without transcriptions.
WITHOUT_WORDS = ("msra_td500", "hust_tr400")


@pytest.fixture(params=sorted(MINIATURES))
def miniature(request, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    MINIATURES[request.param](tmp_path / "datasets")
    return request.param


def test_every_benchmark_has_a_miniature():
    names = {f"{d.name}_{split}" for d in DATASETS.values() for split in d.splits}
    assert names <= set(MINIATURES)
    assert set(MINIATURES) <= set(DatasetCatalog.list())


def test_dataset_dicts(miniature):
    dicts = DatasetCatalog.get(miniature)
    assert len(dicts) == {"icdar2015_trainval_train": 18}.get(
        miniature, 20 if miniature in ("icdar2015_train", "icdar2015_test") else 2
    )
    assert len({d["image_id"] for d in dicts}) == len(dicts)
    metadata = MetadataCatalog.get(miniature)
    assert metadata.thing_classes == ["text"]
    assert metadata.evaluator_type in PROTOCOLS
    for record in dicts:
        assert (record["height"], record["width"]) == (64, 96)
        if miniature in WITHOUT_GROUND_TRUTH:
            assert "annotations" not in record
            continue
        first, *rest = record["annotations"]
        assert first["bbox"] == pytest.approx([10, 20, 50, 40])
        ring = np.reshape(first["segmentation"][0], (-1, 2))
        area = 0.5 * np.sum(ring[:, 0] * np.roll(ring[:, 1], -1))
        area -= 0.5 * np.sum(ring[:, 1] * np.roll(ring[:, 0], -1))
        assert area == pytest.approx(800)  # positive: clockwise as seen
        assert first["text"] == ("" if miniature.startswith(WITHOUT_WORDS) else "Joy")
        ignored = 0 if miniature.startswith("ctw1500") else 1  # there every line counts
        assert [a["iscrowd"] for a in (first, *rest)] == [0] + [ignored] * len(rest)


def test_both_mappers(miniature, tmp_path):
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.DETECTION.TRAIN_SIZE = (64, 64)
    cfg.DATASETS.RESTORE_SIZE = False
    pretrain_cfg = tiny_vlpt_cfg(tmp_path)
    pretrain_cfg.DATASETS.RESTORE_SIZE = False
    for record in get_dataset_dicts([miniature])[:2]:
        for is_train in (True, False):
            sample = build_mapper(cfg, is_train)(record)
            assert sample["image"].shape[0] == 3
            annotated = miniature not in WITHOUT_GROUND_TRUTH
            assert "targets" in sample if is_train else ("texts" in sample) == annotated
        pretrain = PretrainMapper(pretrain_cfg, True)(record)
        silent = miniature.startswith(WITHOUT_WORDS) or miniature in WITHOUT_GROUND_TRUTH
        assert pretrain["caption"] == ("" if silent else "Joy")


def test_synthtext_is_split(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    MINIATURES["synthtext_train"](tmp_path)
    parts = [DatasetCatalog.get(f"synthtext_trainval_{part}") for part in ("train", "val")]
    assert [len(part) for part in parts] == [2, 0]  # 4 % of two


def test_missing_folders_show_the_expected_tree(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    for name in sorted(MINIATURES):
        with pytest.raises(FileNotFoundError, match=r"(?s)expected, for .*datasets/README\.md"):
            DatasetCatalog.get(name)


@pytest.mark.parametrize("name", sorted(WITHOUT_GROUND_TRUTH))
def test_sets_without_ground_truth_are_not_trained_on(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    MINIATURES[name](tmp_path)
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = (name,)
    with pytest.raises(ValueError, match="has no ground truth: a set without cannot be trained"):
        build_train_loader(cfg, seed=0)


def test_one_report_a_process(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    MINIATURES["total_text_test"](tmp_path)
    with caplog.at_level(logging.INFO, logger="vlpt_d2"):
        DatasetCatalog.get("total_text_test")
        DatasetCatalog.get("total_text_test")
    assert caplog.text.count("total_text_test: 2 images, 4 words, 2 of them ignored") == 1
