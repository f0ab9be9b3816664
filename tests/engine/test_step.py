"""One optimiser step."""

import itertools

import pytest
import torch
from detectron2.utils.events import EventStorage
from tiny import TinyModel, TinyTrainer
from torch import nn
from torch.amp import GradScaler

from vlpt_d2.engine import TextTrainer
from vlpt_d2.engine.distributed import CPUSyncBatchNorm, sync_batch_norms_on_cpu
from vlpt_d2.engine.step import StepTrainer, autocast


class Linear(nn.Module):
    """Keeps what its dropout drew, and asks for its losses to be summed if told to."""

    def __init__(self, prepared=False):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.drawn, self.rehearsed, self.received = [], [], []
        if prepared:
            self.prepare_accumulation = self._prepare

    def _prepare(self, micro_batches, seeded):
        for i in range(len(micro_batches)):
            with seeded(i):
                self.rehearsed.append(torch.rand(1).item())
        return [{"extra": i} for i in range(len(micro_batches))]

    def forward(self, samples, extra=None):
        self.received.append(extra)
        self.drawn.append(torch.rand(1).item())
        x = torch.stack([s["x"] for s in samples])
        return {"loss_a": (x @ self.weight).square().mean(), "loss_b": 0 * self.weight.sum()}


def batches(count, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count * size, 2, generator=generator)
    samples = [{"x": row, "file_name": f"{i}.png"} for i, row in enumerate(x)]
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def step(cfg, model, data, accumulate, iteration=0, seed=1):
    cfg = cfg.clone()
    cfg.SOLVER.ACCUMULATE = accumulate
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = StepTrainer(cfg, model, data, optimizer, seed)
    trainer.iter = iteration
    with EventStorage() as storage:
        trainer.run_step()
        return storage.latest()


def test_micro_batches_are_averaged_to_the_whole_batch(tiny_cfg):
    one, four = Linear(), Linear()
    whole = list(itertools.chain(*batches(4, 3)))
    metrics_one = step(tiny_cfg, one, [whole], 1)
    metrics_four = step(tiny_cfg, four, batches(4, 3), 4)
    assert torch.allclose(one.weight, four.weight, atol=1e-6)
    assert metrics_four["total_loss"][0] == pytest.approx(metrics_one["total_loss"][0], rel=1e-5)


def test_prepared_micro_batches_are_summed(tiny_cfg):
    plain, prepared = Linear(), Linear(prepared=True)
    step(tiny_cfg, plain, batches(2, 3), 2)
    step(tiny_cfg, prepared, batches(2, 3), 2)
    assert prepared.received == [0, 1]
    change = torch.tensor([1.0, 2.0]) - plain.weight
    assert torch.allclose(torch.tensor([1.0, 2.0]) - prepared.weight, 2 * change, atol=1e-6)
    # The rehearsal saw the dropout that training then saw.
    assert prepared.rehearsed == prepared.drawn


def test_dropout_is_seeded_by_seed_iteration_and_micro_batch(tiny_cfg):
    def drawn(**kwargs):
        model = Linear()
        step(tiny_cfg, model, batches(2, 3), 2, **kwargs)
        return model.drawn

    first = drawn()
    torch.rand(7)  # what came before does not matter
    assert drawn() == first
    assert len({*first, *drawn(iteration=1), *drawn(seed=2)}) == 6


def test_loss_that_is_not_finite_names_losses_and_images(tiny_cfg):
    data = batches(2, 2)
    data[1][1]["x"][0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"loss_a nan.*2\.png, 3\.png"):
        step(tiny_cfg, Linear(), data, 2, iteration=4)


class Steep(Linear):
    """Its loss is finite, and at ``weight`` its gradient is not."""

    def forward(self, samples, extra=None):
        steep = (self.weight - self.weight.detach()).sqrt().sum()
        return {**super().forward(samples), "loss_c": steep}


def test_gradient_that_is_not_finite_leaves_the_weights_and_names_parameters_and_images(tiny_cfg):
    model = Steep()
    before = model.weight.detach().clone()
    with pytest.raises(FloatingPointError, match=r"gradient.*1 of 1.*weight.*0\.png.*3\.png"):
        step(tiny_cfg, model, batches(2, 2), 2)
    assert torch.equal(model.weight, before)


def test_loss_scaling_leaves_out_steps_whose_gradient_overflows(tiny_cfg, monkeypatch):
    scalers = []

    def scaler(device, enabled):
        scalers.append(GradScaler(device, init_scale=4.0, enabled=True))
        return scalers[-1]

    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    model = Steep()
    before = model.weight.detach().clone()
    step(tiny_cfg, model, batches(1, 2), 1)
    assert torch.equal(model.weight, before) and scalers[0].get_scale() == 2.0


def test_float16_needs_a_gpu(tiny_cfg):
    tiny_cfg.SOLVER.AMP.ENABLED = True
    tiny_cfg.SOLVER.AMP.DTYPE = "float16"
    with pytest.raises(ValueError, match="bfloat16"):
        autocast(tiny_cfg)
    tiny_cfg.SOLVER.AMP.DTYPE = "half"
    with pytest.raises(ValueError, match="half"):
        autocast(tiny_cfg)


@pytest.mark.parametrize("native", [True, False])
def test_a_cpu_without_bfloat16_computes_in_float32(native, tiny_cfg, monkeypatch):
    monkeypatch.setattr("vlpt_d2.engine.step._computes_bfloat16", lambda: native)
    tiny_cfg.MODEL.DEVICE = "cpu"
    tiny_cfg.SOLVER.AMP.ENABLED = True
    with autocast(tiny_cfg):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


@pytest.mark.parametrize(
    "device, amp, asked, last",
    [
        ("cuda", True, False, True),
        ("cuda", False, False, False),
        ("cpu", True, False, False),
        ("cpu", False, True, True),
    ],
)
def test_channels_are_last_on_gpus_with_amp(tiny_cfg, monkeypatch, device, amp, asked, last):
    monkeypatch.setattr("vlpt_d2.engine.trainer.build_model", lambda cfg: torch.nn.Conv2d(3, 4, 3))
    tiny_cfg.merge_from_list(["MODEL.DEVICE", device, "SOLVER.AMP.ENABLED", amp])
    tiny_cfg.SOLVER.CHANNELS_LAST = asked
    weight = TextTrainer.build_model(tiny_cfg).weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == last


def test_bfloat16_and_channels_last_train_on_cpu(tiny_cfg, monkeypatch):
    monkeypatch.setattr("vlpt_d2.engine.step._computes_bfloat16", lambda: True)
    tiny_cfg.SOLVER.AMP.ENABLED = True
    tiny_cfg.SOLVER.CHANNELS_LAST = True
    tiny_cfg.SOLVER.MAX_ITER = 1
    trainer = TinyTrainer(tiny_cfg)
    seen = []
    layer = trainer.model.backbone.bottom_up.res2[0].conv1
    layer.register_forward_hook(lambda m, i, o: seen.append((o.dtype, o.is_contiguous())))
    before = layer.weight.detach().clone()
    trainer.train()
    assert seen == [(torch.bfloat16, False)]
    assert layer.weight.dtype == torch.float32 and not torch.equal(layer.weight, before)


def test_sync_batch_norms_become_ones_for_the_cpu():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.SyncBatchNorm(4, eps=1e-3)))
    weight = model[1][0].weight
    keys = list(model.state_dict())
    sync_batch_norms_on_cpu(model)
    assert type(model[1][0]) is CPUSyncBatchNorm
    assert model[1][0].weight is weight and model[1][0].eps == 1e-3
    assert list(model.state_dict()) == keys
    with torch.autocast("cpu", torch.bfloat16):
        assert model(torch.randn(2, 3, 4, 4)).dtype == torch.bfloat16
        assert model.eval()(torch.randn(2, 3, 4, 4)).dtype == torch.bfloat16


def test_accumulation_reaches_the_model_in_equal_parts(tiny_cfg):
    tiny_cfg.SOLVER.ACCUMULATE = 2
    tiny_cfg.SOLVER.MAX_ITER = 2
    trainer = TinyTrainer(tiny_cfg)
    assert isinstance(trainer.model, TinyModel)
    trainer.train()
    assert trainer.model.calls == [2, 2, 2, 2]
