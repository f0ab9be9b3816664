"""Interrupted runs end as runs left alone."""

import numpy as np
import pytest
import torch
import yaml
from detectron2.config import CfgNode
from tiny import TinyTrainer

from vlpt_d2.engine import load_config


def train(cfg, *, folder, stop_at=None, resume=False, workers=0, seed=None):
    cfg = cfg.clone()
    cfg.OUTPUT_DIR = str(folder)
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.SEED = cfg.SEED if seed is None else seed
    trainer = TinyTrainer(cfg)
    trainer.resume_or_load(resume=resume)
    if stop_at is not None:
        trainer.max_iter = stop_at  # the schedule keeps the whole run's length
    trainer.train()
    return trainer


def weights(trainer):
    return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_run_ends_with_the_same_weights(tiny_cfg, tmp_path, workers):
    whole = weights(train(tiny_cfg, folder=tmp_path / "whole"))
    train(tiny_cfg, folder=tmp_path / "parts", stop_at=3, workers=workers)
    torch.manual_seed(99)  # another process has other generators
    np.random.seed(99)
    resumed = train(tiny_cfg, folder=tmp_path / "parts", resume=True, workers=workers)
    assert resumed.start_iter == 3
    assert_same(whole, weights(resumed))


def test_another_seed_ends_elsewhere(tiny_cfg, tmp_path):
    one = weights(train(tiny_cfg, folder=tmp_path / "one"))
    other = weights(train(tiny_cfg, folder=tmp_path / "other", seed=6))
    assert not torch.equal(one["linear.weight"], other["linear.weight"])


def test_drawn_seed_is_kept_on_resuming(tiny_cfg, tmp_path):
    first = train(tiny_cfg, folder=tmp_path / "drawn", seed=-1, stop_at=3)
    drawn = first.cfg.SEED
    assert drawn >= 0
    resumed = train(tiny_cfg, folder=tmp_path / "drawn", seed=-1, resume=True)
    assert drawn == resumed.cfg.SEED
    whole = train(tiny_cfg, folder=tmp_path / "whole", seed=drawn)
    assert_same(weights(whole), weights(resumed))


def test_finished_run_resumed_does_nothing(tiny_cfg, tmp_path):
    done = weights(train(tiny_cfg, folder=tmp_path / "run"))
    again = train(tiny_cfg, folder=tmp_path / "run", resume=True)
    assert again.start_iter == 6
    assert_same(done, weights(again))


SMALL_PRETRAINING = """
MODEL:
  RESNETS: {DEPTH: 50, STEM_OUT_CHANNELS: 8, RES2_OUT_CHANNELS: 16, WIDTH_PER_GROUP: 8}
  IMAGE_ENCODER: {EMBED_DIM: 16, DROPOUT: 0.1}
  TEXT_ENCODER: {EMBED_DIM: 16, DROPOUT: 0.1}
  CROSS_ENCODER: {DROPOUT: 0.1}
INPUT: {PRETRAIN: {SIZE: [64, 64]}}
DATASETS: {TRAIN: ["rendered_quickstart_val"], VALIDATION: []}
SOLVER: {MAX_ITER: 4, IMS_PER_BATCH: 4, ACCUMULATE: 2, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 2}
TEST: {EVAL_PERIOD: 0, BEST_METRIC: ""}
SEED: 2
"""


def test_pre_training_itself_resumes_exactly(tmp_path):
    """With dropout, bfloat16, micro-batches, cached contrast and live norms."""
    cfg = load_config("quickstart/pretrain.yaml").clone()
    cfg.defrost()
    cfg.merge_from_other_cfg(CfgNode(yaml.safe_load(SMALL_PRETRAINING)))
    assert cfg.SOLVER.AMP.ENABLED and set(cfg.MODEL.VLPT.TASKS) == {"ITC", "WIP", "MLM"}
    whole = train(cfg, folder=tmp_path / "whole")
    train(cfg, folder=tmp_path / "parts", stop_at=2)
    resumed = train(cfg, folder=tmp_path / "parts", resume=True, workers=1)
    assert resumed.start_iter == 2
    assert_same(weights(whole), weights(resumed))
    a, b = whole.optimizer.state_dict()["state"], resumed.optimizer.state_dict()["state"]
    assert all(torch.equal(a[i]["exp_avg"], b[i]["exp_avg"]) for i in a)
