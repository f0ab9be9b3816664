"""Every shipped pre-training, ablation and arm of the comparisons trains, at tiny size."""

import functools
import math
import re

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import ResNet
from detectron2.utils.events import JSONWriter

from vlpt_d2.engine import TextTrainer, load_config
from vlpt_d2.model_zoo import list_configs

FOLDERS = ("ablation/", "comparison/", "photo/", "pretrain/", "transfer/")
CONFIGS = [n for n in list_configs() if n.startswith(FOLDERS) or n == "pretrain.yaml"]
OLDER = [n for n in list_configs() if re.match("detection/.*/(?!db|east|psenet|ppocr)", n)]
STEPS = 3

TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.TEXT_HEAD.NORM": "BN",
    "MODEL.IMAGE_ENCODER.FPN_CHANNELS": 8,
    "MODEL.IMAGE_ENCODER.EMBED_DIM": 16,
    "MODEL.IMAGE_ENCODER.NUM_HEADS": 2,
    "MODEL.IMAGE_ENCODER.POSITION_GRID": [2, 2],
    "MODEL.TEXT_ENCODER.MAX_TOKENS": 8,
    "MODEL.TEXT_ENCODER.DEPTH": 1,
    "MODEL.CROSS_ENCODER.DEPTH": 1,
    "MODEL.STKM.NORM": "BN",
    "MODEL.STKM.FPN_CHANNELS": 8,
    "MODEL.STKM.EMBED_DIM": 16,
    "MODEL.STKM.MAX_LENGTH": 20,
    "MODEL.STKM.DECODER.DEPTH": 1,
    "MODEL.STKM.DECODER.FFN_DIM": 16,
    "MODEL.OCLIP.EMBED_DIM": 16,
    "MODEL.OCLIP.POOL_HEADS": 2,
    "MODEL.OCLIP.POSITION_GRID": [1, 1],
    "MODEL.OCLIP.WORDS.MAX_WORDS": 4,
    "MODEL.OCLIP.WORDS.DEPTH": 1,
    "MODEL.OCLIP.DECODER.DEPTH": 1,
    "MODEL.OCLIP.DECODER.NUM_HEADS": 2,
    "MODEL.DB.NECK_CHANNELS": 16,
    "MODEL.DB.MIN_TEXT_SIZE": 2.0,
    "MODEL.PSENET.NECK_CHANNELS": 8,
    "MODEL.SAE.NECK_CHANNELS": 8,
    "MODEL.TEXTFIELD.NECK_CHANNELS": 8,
    "MODEL.EAST.NECK_CHANNELS": (8, 8, 8),
    "MODEL.EAST.MIN_TEXT_SIZE": 2.0,
    "INPUT.PRETRAIN.SIZE": (32, 32),
    "INPUT.DETECTION.SHORT_SIDE": 64,
    "INPUT.DETECTION.TRAIN_SIZE": (64, 64),
    "DATASETS.VALIDATION": (),
    "DATASETS.TEST": (),
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 4,
    "SOLVER.EPOCHS": 0,
    "SOLVER.EPOCH_STEPS": (),
    "SOLVER.STEPS": (2,),
    "SOLVER.MAX_ITER": STEPS,
    "SOLVER.WARMUP_ITERS": 1,
    "SOLVER.AMP.ENABLED": False,
    "SOLVER.CHECKPOINT_PERIOD": 1000,
    "TEST.EVAL_PERIOD": 0,
    "TEST.BEST_METRIC": "",
    "SEED": 1,
}


class QuietTrainer(TextTrainer):
    """Without the writer that imports tensorboard."""

    def build_writers(self):
        return [JSONWriter(f"{self.cfg.OUTPUT_DIR}/metrics.json")]


@pytest.fixture(scope="module")
def dataset():
    """Six images of 64 pixels in memory, each with two written words."""
    rng = np.random.default_rng(0)
    words = ["exit", "sale", "open", "taxi", "park", "bank", "tea"]
    dicts = []
    for i in range(6):
        image = rng.integers(150, 255, (64, 64, 3), dtype=np.uint8)
        annotations = []
        for j in range(2):
            text, y = words[i + j], 4 + 30 * j
            cv2.putText(image, text, (6, y + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2)
            ring = [4, y, 60, y, 60, y + 24, 4, y + 24]
            annotation = {"bbox": [4, y, 60, y + 24], "bbox_mode": 0, "segmentation": [ring]}
            annotations.append(annotation | {"text": text, "iscrowd": 0, "category_id": 0})
        record = {"file_name": f"{i}.png", "image_id": i, "height": 64, "width": 64}
        record["image_bytes"] = cv2.imencode(".png", image)[1].tobytes()
        dicts.append(record | {"annotations": annotations})
    DatasetCatalog.register("shipped_trainings", lambda: dicts)
    yield "shipped_trainings"
    DatasetCatalog.remove("shipped_trainings")


@pytest.fixture(scope="module")
def trained():
    """Configs, as text, that were trained already."""
    return set()


@pytest.fixture(autouse=True)
def _short_stages(monkeypatch):
    """Build stages of one block, whatever the depth."""
    make_stage = ResNet.make_stage

    def short(block_class, num_blocks, **options):
        options = {k: v[:1] if k.endswith("_per_block") else v for k, v in options.items()}
        return make_stage(block_class, 1, **options)

    monkeypatch.setattr(ResNet, "make_stage", short)


@functools.cache
def _load_tiny(name):
    cfg = load_config(name)
    options = TINY | {"MODEL.RESNETS.DEPTH": 13 if cfg.MODEL.RESNETS.VARIANT == "lcnet" else 50}
    cfg.merge_from_list([word for pair in options.items() for word in pair])
    return cfg


def tiny_config(name, folder, dataset, **more):
    options = {"DATASETS.TRAIN": (dataset,), "OUTPUT_DIR": str(folder)}
    options |= {key.replace("__", "."): value for key, value in more.items()}
    cfg = _load_tiny(name).clone()
    cfg.merge_from_list([word for pair in options.items() for word in pair])
    return cfg


@pytest.mark.parametrize("name", CONFIGS)
def test_three_steps(name, dataset, trained, tmp_path):
    cfg = tiny_config(name, tmp_path, dataset)
    if (alike := cfg.dump().replace(str(tmp_path), "")) in trained:
        return  # it differs from another one by its datasets or sizes alone
    trained.add(alike)
    trainer = QuietTrainer(cfg)
    before = {k: v.detach().clone() for k, v in trainer.model.named_parameters()}
    trainer.train()
    losses = [value for value, _ in trainer.storage.history("total_loss").values()]
    assert len(losses) == STEPS
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
    # All of the trunk learns, unless it is frozen; what a task leaves out, such as a text's side,
    # need not be there.
    trunk = [name for name in before if name.startswith("backbone.bottom_up.")]
    after = dict(trainer.model.named_parameters())
    still = [name for name in trunk if (after[name] == before[name]).all()]
    assert trunk and still == (trunk if cfg.MODEL.BACKBONE.FREEZE_AT == 5 else [])


@pytest.mark.parametrize("name", OLDER)
def test_twenty_steps_of_the_older_detectors(name, dataset, trained, tmp_path):
    """Their losses fall, and an image of odd sides gives polygons."""
    more = {"SOLVER__MAX_ITER": 20, "SOLVER__STEPS": (15,), "INPUT__DETECTION__AUGMENT": False}
    more |= {"INPUT__DETECTION__TEST_RESIZE": "fixed", "INPUT__DETECTION__TEST_SIZE": (64, 64)}
    more |= {"SOLVER__OPTIMIZER": "Adam", "SOLVER__BASE_LR": 0.002}
    cfg = tiny_config(name, tmp_path, dataset, **more)
    if cfg.MODEL.TEXT_HEAD.NAME in trained:
        return
    trained.add(cfg.MODEL.TEXT_HEAD.NAME)
    trainer = QuietTrainer(cfg)
    trainer.train()
    losses = [value for value, _ in trainer.storage.history("total_loss").values()]
    assert np.isfinite(losses).all() and min(losses[-3:]) < 0.9 * losses[0]
    with torch.no_grad():
        (found,) = trainer.model.eval()([{"image": torch.zeros(3, 61, 93, dtype=torch.uint8)}])
    assert found["instances"].image_size == (61, 93) and found["instances"].has("pred_polygons")
