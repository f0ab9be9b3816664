"""A tiny model and tiny photographs that the engine's tests train on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, ResNet, build_backbone
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem
from torch import nn

from vlpt_d2.config import get_cfg
from vlpt_d2.data.mapper import MAPPER_REGISTRY
from vlpt_d2.data.sample import load_sample
from vlpt_d2.engine import TextTrainer
from vlpt_d2.modeling.backbone.trunk import ResNetTrunk


@BACKBONE_REGISTRY.register()
def build_tiny_trunk(cfg, input_shape):
    """A ResNet of one block a stage, two where DEPTH is 101: a checkpoint of few tensors."""
    node = cfg.MODEL.RESNETS
    blocks = 2 if node.DEPTH == 101 else 1
    channels = node.STEM_OUT_CHANNELS
    stem = BasicStem(input_shape.channels, channels, node.NORM)
    stages = []
    for i in range(4):
        widths = {"in_channels": channels, "out_channels": node.RES2_OUT_CHANNELS * 2**i}
        options = {"stride_per_block": [min(i, 1) + 1] + [1] * (blocks - 1), "norm": node.NORM}
        stages.append(ResNet.make_stage(BasicBlock, blocks, **widths, **options))
        channels = widths["out_channels"]
    return ResNetTrunk(ResNet(stem, stages, out_features=["res5"]))


@META_ARCH_REGISTRY.register()
class TinyModel(nn.Module):
    """A ResNet, dropout and a linear layer that predicts the mean grey of each image."""

    def __init__(self, cfg):
        super().__init__()
        self.backbone = build_backbone(cfg)
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(self.backbone.output_shape()["res5"].channels, 1)
        self.register_buffer("pixel_mean", torch.tensor(cfg.MODEL.PIXEL_MEAN).view(-1, 1, 1), False)
        self.calls = []

    def forward(self, samples):
        images = torch.stack([s["image"] for s in samples]).float()
        grey = images.mean(dim=(1, 2, 3))
        features = self.backbone((images - self.pixel_mean) / 60)["res5"].mean(dim=(2, 3))
        predicted = self.linear(self.dropout(features)).squeeze(1)
        if not self.training:
            return [{"error": e.item()} for e in (predicted - grey / 255).abs()]
        self.calls.append(len(samples))
        return {"loss_grey": ((predicted - grey / 255) ** 2).mean()}


@MAPPER_REGISTRY.register()
class TinyMapper:
    """Crops 32 pixels at random and adds noise, drawn from numpy's and torch's generators."""

    def __init__(self, cfg, is_train):
        self.is_train = is_train

    def __call__(self, dataset_dict):
        image, _ = load_sample(dict(dataset_dict), "RGB")
        x = np.random.randint(0, image.shape[1] - 31) if self.is_train else 0
        image = torch.from_numpy(image[:32, x : x + 32].transpose(2, 0, 1).copy())
        if self.is_train:
            image = image // 2 + torch.randint(0, 100, image.shape).byte()
        return {"image": image, **{k: dataset_dict[k] for k in ("file_name", "image_id")}}


class TinyEvaluator(DatasetEvaluator):
    """The mean error, beside results that are no numbers."""

    runs = 0

    def reset(self):
        self.errors = []

    def process(self, inputs, outputs):
        self.errors += [o["error"] for o in outputs]

    def evaluate(self):
        type(self).runs += 1
        return {"tiny": {"error": np.mean(self.errors), "per_image": self.errors, "note": "x"}}


class TinyTrainer(TextTrainer):
    """The trainer with the tiny evaluator."""

    @classmethod
    def build_evaluator(cls, cfg, dataset_name, weights=None):
        return TinyEvaluator()


def write_photos(folder: Path) -> list[dict]:
    """Write seven random images of 32 x 48; return their dataset dicts."""
    rng = np.random.RandomState(0)
    dicts = []
    for i in range(7):
        name = str(folder / f"photo_{i}.png")
        cv2.imwrite(name, rng.randint(0, 255, (32, 48, 3), dtype=np.uint8))
        annotation = {"bbox": [0, 0, 9, 9], "bbox_mode": 0, "category_id": 0, "iscrowd": i == 0}
        dicts.append(
            {
                "file_name": name,
                "image_id": i,
                "height": 32,
                "width": 48,
                "annotations": [annotation] if i in (0, 3) else [],
            }
        )
    return dicts


@pytest.fixture
def tiny_photos(tmp_path: Path):
    """Register "tiny_photos", the images of :func:`write_photos`, as long as the test runs."""
    dicts = write_photos(tmp_path)
    DatasetCatalog.register("tiny_photos", lambda: [dict(d) for d in dicts])
    yield dicts
    DatasetCatalog.remove("tiny_photos")


@pytest.fixture
def tiny_cfg(tmp_path: Path, tiny_photos):
    """The config of :func:`build_tiny_cfg`."""
    TinyEvaluator.runs = 0
    return build_tiny_cfg(tmp_path / "run")


def build_tiny_cfg(output: Path) -> CfgNode:
    """A config that trains the tiny model for six steps of four images of "tiny_photos"."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "TinyModel"
    cfg.MODEL.BACKBONE.NAME = "build_tiny_trunk"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = 50
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = 4
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 8
    cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 4
    cfg.INPUT.DATASET_MAPPER_NAME = "tiny"
    cfg.DATASETS.TRAIN = ("tiny_photos",)
    cfg.DATASETS.TEST = ("tiny_photos",)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.OPTIMIZER = "AdamW"
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.SOLVER.MAX_ITER = 6
    cfg.SOLVER.BASE_LR = 1e-3
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupLinearLR"
    cfg.SOLVER.WARMUP_ITERS = 2
    cfg.SOLVER.CHECKPOINT_PERIOD = 3
    cfg.TEST.IMS_PER_BATCH = 4
    cfg.SEED = 5
    cfg.OUTPUT_DIR = str(output)
    return cfg
