"""Training on a handful of images on purpose."""

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog

from vlpt_d2.data.datasets.rendered import register_rendered
from vlpt_d2.data.datasets.subset import register_first_with_text
from vlpt_d2.data.loader import build_test_loader, build_train_loader
from vlpt_d2.engine import load_config
from vlpt_d2.engine.overfit import overfit, overfit_config

TINY = [
    "MODEL.DEVICE", "cpu", "MODEL.DB.NECK_CHANNELS", "32", "SEED", "3", "NUM_THREADS", "1",
    "MODEL.RESNETS.DEPTH", "50", "MODEL.RESNETS.STEM_OUT_CHANNELS", "8",
    "MODEL.RESNETS.RES2_OUT_CHANNELS", "16", "MODEL.RESNETS.WIDTH_PER_GROUP", "4",
    "INPUT.DETECTION.TEST_SIZE", "(64, 96)", "TEST.AMP_ENABLED", "False",
    "SOLVER.AMP.ENABLED", "False", "SOLVER.IMS_PER_BATCH", "8",
]  # fmt: skip


@pytest.fixture
def signs():
    register_rendered("overfit_signs", "quickstart_detection", {"size": (128, 192)}, size=5)
    yield "overfit_signs"
    for name in [n for n in DatasetCatalog.list() if n.startswith("overfit_signs")]:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)


def test_the_first_images_with_a_text_to_learn(tiny_photos):
    MetadataCatalog.get("tiny_photos").set(evaluator_type="icdar2015")
    box = tiny_photos[0]["annotations"][0]
    for index in (2, 3, 5):
        tiny_photos[index]["annotations"] = [box | {"iscrowd": 0}]
    name = register_first_with_text("tiny_photos", 2)
    try:
        # The image at 0 has an ignored region alone, that at 1 nothing at all.
        assert [d["image_id"] for d in DatasetCatalog.get(name)] == [2, 3]
        assert MetadataCatalog.get(name).evaluator_type == "icdar2015"
        with pytest.raises(ValueError, match="tiny_photos has 3; ask for 1 to 3"):
            register_first_with_text("tiny_photos", 4)
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name)
        MetadataCatalog.pop("tiny_photos")


def test_training_and_test_show_the_same_images(signs, tmp_path):
    opts = [*TINY, "DATASETS.TRAIN", f"('{signs}',)", "OUTPUT_DIR", str(tmp_path)]
    cfg = overfit_config("quickstart/db_icdar2015.yaml", 3, 2, [*opts, "SOLVER.EPOCHS", "7"])
    assert cfg.SOLVER.MAX_ITER == 2 and cfg.SOLVER.IMS_PER_BATCH == 3
    given = load_config("quickstart/db_icdar2015.yaml", opts)
    assert cfg.MODEL == given.MODEL and cfg.TEST.SCORE_THRESH == given.TEST.SCORE_THRESH
    trained = {s["image_id"]: s["image"] for s in next(iter(build_train_loader(cfg)))}
    tested = [s for batch in build_test_loader(cfg, cfg.DATASETS.TEST[0]) for s in batch]
    assert sorted(trained) == [s["image_id"] for s in tested] == [0, 1, 2]
    for sample in tested:
        assert torch.equal(sample["image"], trained[sample["image_id"]])
        assert sample["image"].shape == (3, 64, 96)
    scores = overfit(cfg)
    assert scores.keys() == {"precision", "recall", "hmean"}
