"""Parameter groups, clipping and schedules against hand-made and other libraries' ones."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn
from transformers import get_linear_schedule_with_warmup

from vlpt_d2.config import get_cfg
from vlpt_d2.solver import build_lr_scheduler, build_optimizer, parameter_groups


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = FrozenBatchNorm2d(4)
        self.attention = nn.MultiheadAttention(4, 1)
        self.layer_norm = nn.LayerNorm(4)
        self.cls_token = nn.Parameter(torch.zeros(4))
        self.position_embeddings = nn.Embedding(2, 4)
        self.unused = nn.Linear(2, 2).requires_grad_(False)
        self.tied = self.conv


def decays(cfg):
    net = Net()
    names = {p: n for n, p in net.named_parameters()}
    groups = parameter_groups(cfg, net)
    return {names[p]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


def test_each_kind_of_parameter_has_its_decay():
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR = 1.0
    cfg.SOLVER.WEIGHT_DECAY = 0.1
    cfg.SOLVER.WEIGHT_DECAY_NORM = 0.2
    cfg.SOLVER.WEIGHT_DECAY_BATCH_NORM = 0.3
    cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.4
    cfg.SOLVER.BIAS_LR_FACTOR = 2.0
    assert decays(cfg) == {
        "conv.weight": (1.0, 0.1),
        "conv.bias": (2.0, 0.4),
        "norm.weight": (1.0, 0.3),
        "norm.bias": (2.0, 0.4),
        "attention.in_proj_weight": (1.0, 0.1),
        "attention.in_proj_bias": (2.0, 0.4),
        "attention.out_proj.weight": (1.0, 0.1),
        "attention.out_proj.bias": (2.0, 0.4),
        "layer_norm.weight": (1.0, 0.2),
        "layer_norm.bias": (2.0, 0.4),
        "cls_token": (1.0, 0.0),
        "position_embeddings.weight": (1.0, 0.0),
    }


def test_decays_left_open_follow_the_next_in_line():
    cfg = get_cfg()
    cfg.SOLVER.WEIGHT_DECAY = 0.1
    cfg.SOLVER.WEIGHT_DECAY_NORM = 0.2
    cfg.SOLVER.NO_WEIGHT_DECAY = []
    found = {name: decay for name, (_, decay) in decays(cfg).items()}
    assert found["norm.weight"] == 0.2
    assert found["norm.bias"] == found["conv.bias"] == found["cls_token"] == 0.1
    cfg.SOLVER.WEIGHT_DECAY_NORM = None
    assert decays(cfg)["layer_norm.weight"][1] == 0.1


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_optimizers_take_their_keys(name):
    cfg = get_cfg()
    cfg.SOLVER.OPTIMIZER = name
    cfg.SOLVER.BETAS = (0.8, 0.9)
    optimizer = build_optimizer(cfg, Net())
    assert type(optimizer) is getattr(torch.optim, name)
    group = optimizer.param_groups[0]
    assert group["momentum"] == 0.9 if name == "SGD" else group["betas"] == (0.8, 0.9)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_fused_steps_are_the_plain_ones(name):
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BASE_LR = name, 0.1
    ours, theirs = Net(), Net()
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(cfg, ours)
    assert optimizer.param_groups[0]["fused"]
    keys = {"momentum": 0.9} if name == "SGD" else {"betas": cfg.SOLVER.BETAS}
    plain = getattr(torch.optim, name)(parameter_groups(cfg, theirs), lr=0.1, foreach=False, **keys)
    for _ in range(3):
        for a, b in zip(ours.parameters(), theirs.parameters()):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        optimizer.step()
        plain.step()
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_unknown_optimizer_is_refused():
    cfg = get_cfg()
    cfg.SOLVER.OPTIMIZER = "LAMB"
    with pytest.raises(ValueError, match="SGD, Adam, AdamW"):
        build_optimizer(cfg, Net())


@pytest.mark.parametrize("kind, expected", [("full_model", [0.6, 0.8]), ("norm", [1.0, 1.0])])
def test_gradient_clipping_by_norm(kind, expected):
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.MOMENTUM, cfg.SOLVER.WEIGHT_DECAY = 1.0, 0.0, 0.0
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = kind
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 1.0
    model = nn.ParameterList([torch.zeros(1), torch.zeros(1)])
    optimizer = build_optimizer(cfg, model)
    for parameter, gradient in zip(model, (30.0, 40.0)):
        parameter.grad = torch.tensor([gradient])
    optimizer.step()
    assert [-p.item() for p in model] == pytest.approx(expected, rel=1e-4)


def rates(cfg, steps):
    optimizer = build_optimizer(cfg, nn.Linear(1, 1))
    scheduler = build_lr_scheduler(cfg, optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def schedule_cfg(name, max_iter, warmup, factor=0.0):
    cfg = get_cfg()
    cfg.SOLVER.LR_SCHEDULER_NAME = name
    cfg.SOLVER.BASE_LR = 0.5
    cfg.SOLVER.MAX_ITER = max_iter
    cfg.SOLVER.WARMUP_ITERS = warmup
    cfg.SOLVER.WARMUP_FACTOR = factor
    return cfg


@pytest.mark.parametrize(
    "name, key, value, message",
    [
        ("WarmupCosineLR", "BASE_LR_END", 0.6, r"SOLVER\.BASE_LR_END is 0\.6"),
        (
            "WarmupMultiStepLR",
            "STEPS",
            (20,),
            r"SOLVER\.STEPS \(20,\) do not fit SOLVER\.MAX_ITER 20",
        ),
    ],
)
def test_schedules_that_make_no_sense_are_refused(name, key, value, message):
    cfg = schedule_cfg(name, 20, 0)
    cfg.SOLVER[key] = value
    with pytest.raises(ValueError, match=message):
        rates(cfg, 1)


@pytest.mark.parametrize("max_iter, warmup", [(20, 5), (20, 0), (3, 5), (5, 5), (1, 0), (1, 1)])
def test_linear_schedule_is_hugging_faces(max_iter, warmup):
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    theirs = get_linear_schedule_with_warmup(optimizer, warmup, max_iter)
    expected = []
    for _ in range(max_iter):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    found = rates(schedule_cfg("WarmupLinearLR", max_iter, warmup), max_iter)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name, power", [("WarmupPolyLR", 0.9), ("WarmupLinearLR", 1.0)])
@pytest.mark.parametrize(
    "max_iter, warmup", [(12, 2), (12, 0), (7, 7), (7, 9), (97, 31), (1000, 999), (1500, 170)]
)
def test_poly_schedule_is_its_formula_at_every_step(max_iter, warmup, name, power):
    cfg = schedule_cfg(name, max_iter, warmup, factor=0.1)
    rise = [0.1 + 0.9 * step / max(warmup, 1) for step in range(warmup)]
    fall = (
        [((max_iter - step) / (max_iter - warmup)) ** power for step in range(warmup, max_iter + 1)]
        if warmup < max_iter
        else [0.1 + 0.9 * max_iter / warmup]
    )
    expected = [0.5 * share for share in (rise[:max_iter] + fall)[: max_iter + 1]]
    found = rates(cfg, max_iter + 1)
    # After the last step the scheduler is asked once more.
    assert all(isinstance(rate, float) for rate in found)
    assert found[:-1] == pytest.approx(expected[:-1], abs=1e-12)
    assert found[-1] == pytest.approx(expected[-1], abs=1e-7)


@pytest.mark.parametrize("name", ["WarmupMultiStepLR", "WarmupCosineLR", "WarmupLinearLR"])
@pytest.mark.parametrize("max_iter", [1, 2, 999, 1000])
def test_any_length_of_run_has_a_schedule(name, max_iter):
    cfg = schedule_cfg(name, max_iter, 1000, factor=0.001)
    cfg.SOLVER.STEPS = (30000,)
    found = rates(cfg, min(max_iter, 3))
    assert all(0 < rate <= 0.5 for rate in found)
