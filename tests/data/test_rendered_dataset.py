import pickle

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from vlpt_d2.config import get_cfg
from vlpt_d2.data.datasets.rendered import register_rendered, register_rendered_from_config
from vlpt_d2.data.sample import load_sample


@pytest.mark.parametrize(
    "name", ["rendered", "rendered_quickstart", "rendered_quickstart_detection"]
)
def test_training_and_validation_share_no_image(name):
    parts = [DatasetCatalog.get(f"{name}_{part}") for part in ("train", "val")]
    keys = [{(d["render"]["seed"], d["render"]["index"]) for d in part} for part in parts]
    assert keys[0].isdisjoint(keys[1])
    assert all(len(key) == len(part) for key, part in zip(keys, parts))
    assert MetadataCatalog.get(f"{name}_val").evaluator_type == "icdar2015"


def test_dataset_dicts_are_small_and_make_samples():
    record = DatasetCatalog.get("rendered_quickstart_val")[3]
    assert len(pickle.dumps(record)) < 500
    assert record["annotations"] == []
    image, texts = load_sample(record, "RGB")
    assert image.shape == (record["height"], record["width"], 3)
    assert len(texts) and all(texts.words)
    np.testing.assert_array_equal(load_sample(record, "BGR")[0][..., ::-1], image)


def test_corpus_of_the_config():
    cfg = get_cfg()
    before = set(DatasetCatalog.list())
    register_rendered_from_config(cfg)
    assert set(DatasetCatalog.list()) == before
    node = cfg.DATASETS.RENDERED
    node.NAME, node.PRESET, node.SEED, node.TRAIN_SIZE, node.VAL_SIZE = (
        "mine",
        "quickstart",
        9,
        5,
        2,
    )
    cfg.merge_from_list(["DATASETS.RENDERED.SETTINGS.SIZE", [64, 96]])
    try:
        register_rendered_from_config(cfg)
        train, val = DatasetCatalog.get("mine_train"), DatasetCatalog.get("mine_val")
        assert (len(train), len(val)) == (5, 2)
        assert train[0]["render"]["settings"] == {"size": [64, 96]}
        image, _ = load_sample(train[0], "RGB")
        assert image.shape == (64, 96, 3)
        # Registered again, as by a second run in the same process, with other values.
        node.TRAIN_SIZE = 7
        register_rendered_from_config(cfg)
        assert len(DatasetCatalog.get("mine_train")) == 7
    finally:
        for name in ("mine_train", "mine_val"):
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


def test_impossible_settings_are_refused_at_registration():
    with pytest.raises(ValueError, match="unknown render setting"):
        register_rendered("never", "default", {"colour": "red"})
    assert "never" not in DatasetCatalog.list()
