"""The average of the weights: what it is, where it is used, and that it resumes."""

from pathlib import Path

import pytest
import torch
from tiny import TinyTrainer


class Recording(TinyTrainer):
    """Keeps the weights after each step and those that are evaluated."""

    def __init__(self, cfg):
        super().__init__(cfg)
        self.steps, self.evaluated = [], []

    def run_step(self):
        super().run_step()
        self.steps.append(self.model.linear.weight.detach().double().clone())

    def test(self, cfg, model, evaluators=None, **kwargs):
        self.evaluated.append(model.linear.weight.detach().clone())
        return {"tiny": {"error": 0.0}}


def checkpoint(cfg, name):
    return torch.load(Path(cfg.OUTPUT_DIR, name), weights_only=True)


def test_the_average_is_evaluated_and_saved_and_training_goes_on_without_it(tiny_cfg):
    tiny_cfg.TEST.EVAL_PERIOD = 3
    plain = Recording(tiny_cfg)
    plain.train()
    tiny_cfg.SOLVER.EMA = 0.3
    averaged = Recording(tiny_cfg)
    start = averaged.model.linear.weight.detach().double().clone()
    averaged.train()
    assert all(torch.equal(a, b) for a, b in zip(averaged.steps, plain.steps, strict=True))
    # By the definition, in double precision.
    expected, decays = [], [2 / 11, 3 / 12, 0.3, 0.3, 0.3, 0.3]
    for decay, weights in zip(decays, averaged.steps, strict=True):
        start = decay * start + (1 - decay) * weights
        expected.append(start)
    for at, found in zip((2, 5), averaged.evaluated, strict=True):
        torch.testing.assert_close(found.double(), expected[at], rtol=1e-6, atol=1e-8)
    final = checkpoint(tiny_cfg, "model_final.pth")
    assert torch.equal(final["model"]["linear.weight"], averaged.evaluated[1])
    trained = final["trainer"]["hooks"]["WeightAverage"]["trained"]
    assert torch.equal(trained["linear.weight"].double(), averaged.steps[-1])
    # Running means are averaged, counters are not.
    name = "backbone.bottom_up.stem.conv1.norm."
    assert not torch.equal(final["model"][f"{name}running_mean"], trained[f"{name}running_mean"])
    assert f"{name}num_batches_tracked" not in trained
    assert final["model"][f"{name}num_batches_tracked"] == 6


@pytest.mark.parametrize("then", [0.0, 0.9])
def test_a_resumed_run_ends_with_the_same_average(tiny_cfg, tmp_path, then):
    """``then`` is the decay of the run that was interrupted."""
    results = []
    for stops in ([6], [3, 6]):
        cfg = tiny_cfg.clone()
        cfg.OUTPUT_DIR = str(tmp_path / f"{len(stops)}")
        for stop in stops:
            cfg.SOLVER.EMA = then if stop == 3 else 0.9
            trainer = TinyTrainer(cfg)
            trainer.resume_or_load(resume=True)
            trainer.max_iter = stop
            trainer.train()
        results.append(checkpoint(cfg, "model_final.pth"))
    whole, parts = results
    trained = [r["trainer"]["hooks"]["WeightAverage"]["trained"] for r in results]
    assert all(torch.equal(w, trained[1][k]) for k, w in trained[0].items())
    same = all(torch.equal(w, parts["model"][k]) for k, w in whole["model"].items())
    assert same == (then > 0)


def test_the_average_begins_with_the_loaded_weights(tiny_cfg, tmp_path):
    TinyTrainer(tiny_cfg).train()
    cfg = tiny_cfg.clone()
    cfg.OUTPUT_DIR = str(tmp_path / "second")
    cfg.MODEL.WEIGHTS = str(Path(tiny_cfg.OUTPUT_DIR, "model_final.pth"))
    cfg.SOLVER.BASE_LR = 0.0
    cfg.SOLVER.EMA = 0.9
    trainer = TinyTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.max_iter = 2
    trainer.train()
    first, second = (checkpoint(c, "model_final.pth")["model"] for c in (tiny_cfg, cfg))
    torch.testing.assert_close(first["linear.weight"], second["linear.weight"])


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(tiny_cfg, decay):
    tiny_cfg.SOLVER.EMA = decay
    with pytest.raises(ValueError, match=r"SOLVER\.EMA is .*in \[0, 1\)"):
        TinyTrainer(tiny_cfg)
