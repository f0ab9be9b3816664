"""Optimiser and schedule of a config."""

import logging
from collections import defaultdict
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d
from detectron2.layers.batch_norm import LayerNorm as ChannelLayerNorm
from detectron2.solver import LRMultiplier
from detectron2.solver import build_lr_scheduler as build_detectron2_lr_scheduler
from detectron2.solver.build import maybe_add_gradient_clipping
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
    PolynomialDecayParamScheduler,
)
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["build_lr_scheduler", "build_optimizer", "parameter_groups"]

logger = logging.getLogger(__name__)

_OTHER_NORMS = (
    *(nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d, nn.LocalResponseNorm),
    *(ChannelLayerNorm, FrozenBatchNorm2d),
)

# detectron2's schedules.
_SCHEDULERS = ("WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR")
# Exponent of "WarmupPolyLR" (MhLiao/DB).
_POLY_POWER = 0.9


def parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict[str, Any]]:
    """Group the trainable parameters by weight decay and learning rate.

    In this order, the first that applies: NO_WEIGHT_DECAY by name; biases (WEIGHT_DECAY_BIAS,
    BIAS_LR_FACTOR; also those of norms); weights of batch norms (WEIGHT_DECAY_BATCH_NORM); of
    other norms (WEIGHT_DECAY_NORM); all else (WEIGHT_DECAY). None stands for the next in line:
    batch norms for all norms, anything else for WEIGHT_DECAY.

    Args:
        cfg: reads SOLVER.
        model: its parameters without ``requires_grad`` are left out; shared ones come once.

    Returns:
        Groups with ``params, lr, weight_decay``, in a fixed order.
    """
    solver = cfg.SOLVER
    norm_decay = _first(solver.WEIGHT_DECAY_NORM, solver.WEIGHT_DECAY)
    batch_norm_decay = _first(solver.WEIGHT_DECAY_BATCH_NORM, norm_decay)
    bias_decay = _first(solver.WEIGHT_DECAY_BIAS, solver.WEIGHT_DECAY)
    bias_factor = _first(solver.BIAS_LR_FACTOR, 1.0)
    no_decay = set(solver.NO_WEIGHT_DECAY)
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    seen: set[nn.Parameter] = set()
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            rate, decay = solver.BASE_LR, solver.WEIGHT_DECAY
            # torch.nn.MultiheadAttention has an "in_proj_bias".
            is_bias = name == "bias" or name.endswith("_bias")
            if is_bias:
                rate, decay = rate * bias_factor, bias_decay
            elif isinstance(module, _BatchNorm):
                decay = batch_norm_decay
            elif isinstance(module, _OTHER_NORMS):
                decay = norm_decay
            if no_decay.intersection([*prefix.split("."), name]):
                decay = 0.0
            groups[rate, decay].append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build SOLVER.OPTIMIZER over :func:`parameter_groups`, with gradient clipping if enabled.

    Raises:
        ValueError: no such optimiser.
    """
    solver = cfg.SOLVER
    # One kernel for all parameters, which takes half the time on a CPU, too. With loss scaling,
    # unscale the gradients before the step: a fused optimiser would do it after the clipping.
    device = torch.device(cfg.MODEL.DEVICE).type
    fused = {"fused": True} if device in ("cpu", "cuda") else {}
    adam = {"betas": tuple(solver.BETAS), **fused}
    sgd = {"momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV, **fused}
    optimizers = {
        "SGD": (torch.optim.SGD, sgd),
        "Adam": (torch.optim.Adam, adam),
        "AdamW": (torch.optim.AdamW, adam),
    }
    if solver.OPTIMIZER not in optimizers:
        raise ValueError(
            f"SOLVER.OPTIMIZER is {solver.OPTIMIZER!r}; it must be one of {', '.join(optimizers)}"
        )
    kind: Any
    kind, arguments = optimizers[solver.OPTIMIZER]
    if solver.CLIP_GRADIENTS.ENABLED and solver.CLIP_GRADIENTS.CLIP_TYPE == "full_model":
        kind = _clipping_the_whole_gradient(
            kind, solver.CLIP_GRADIENTS.CLIP_VALUE, solver.CLIP_GRADIENTS.NORM_TYPE
        )
    else:
        kind = maybe_add_gradient_clipping(cfg, kind)
    return kind(
        parameter_groups(cfg, model),
        lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        **arguments,
    )


def build_lr_scheduler(
    cfg: CfgNode, optimizer: torch.optim.Optimizer
) -> torch.optim.lr_scheduler.LRScheduler:
    """Build SOLVER.LR_SCHEDULER_NAME: "WarmupLinearLR", "WarmupPolyLR" or one of detectron2's.

    The first two reach the full rate at the end of the warm-up and fall from there to 0 at
    SOLVER.MAX_ITER; "WarmupLinearLR" is the schedule of the VLPT-STD release. detectron2's own
    warm-up joins the decay where that is by then, below the full rate.

    Raises:
        ValueError: no such schedule, one that would rise, or STEPS that do not fit MAX_ITER.
    """
    solver = cfg.SOLVER
    powers = {"WarmupLinearLR": 1.0, "WarmupPolyLR": _POLY_POWER}
    if solver.LR_SCHEDULER_NAME not in (known := (*powers, *_SCHEDULERS)):
        raise ValueError(
            f"SOLVER.LR_SCHEDULER_NAME is {solver.LR_SCHEDULER_NAME!r}; it must be one of "
            f"{', '.join(known)}"
        )
    if solver.LR_SCHEDULER_NAME == "WarmupCosineLR" and not (
        solver.BASE_LR_END <= solver.BASE_LR > 0
    ):
        raise ValueError(
            f"SOLVER.BASE_LR_END is {solver.BASE_LR_END} and SOLVER.BASE_LR {solver.BASE_LR}; the "
            "rate falls from the second, which must be above 0, to the first"
        )
    if solver.WARMUP_ITERS >= solver.MAX_ITER:
        logger.warning(
            "SOLVER.WARMUP_ITERS %d is not below SOLVER.MAX_ITER %d: the learning rate rises to "
            "the end and the full rate is never reached",
            solver.WARMUP_ITERS,
            solver.MAX_ITER,
        )
    if solver.LR_SCHEDULER_NAME not in powers:
        try:
            return build_detectron2_lr_scheduler(cfg, optimizer)
        except ValueError as error:
            raise ValueError(
                f"SOLVER.STEPS {tuple(solver.STEPS)} do not fit SOLVER.MAX_ITER {solver.MAX_ITER}: "
                f"{error}"
            ) from error
    max_iter = max(solver.MAX_ITER, 1)
    decay = PolynomialDecayParamScheduler(1.0, powers[solver.LR_SCHEDULER_NAME])
    return LRMultiplier(
        optimizer,
        _with_warmup(decay, solver.WARMUP_ITERS / max_iter, solver.WARMUP_FACTOR),
        max_iter,
    )


def _with_warmup(decay: ParamScheduler, share: float, factor: float) -> ParamScheduler:
    """Precede a schedule by a linear rise from ``factor`` to 1 over ``share`` of the run."""
    if share >= 1:
        return LinearParamScheduler(factor, factor + (1 - factor) / share)
    if share == 0:
        return decay
    warmup = LinearParamScheduler(factor, 1.0)
    return CompositeParamScheduler([warmup, decay], [share, 1 - share], ["rescaled"] * 2)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _clipping_the_whole_gradient(
    kind: Any, limit: float, norm_type: float
) -> type[torch.optim.Optimizer]:
    # The base is known only here, which no type can say.
    class FullModelClipping(kind):
        def step(self, closure=None):
            parameters = [p for group in self.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, limit, norm_type)
            return super().step(closure)

    FullModelClipping.__name__ = f"{kind.__name__}WithFullModelClipping"
    return FullModelClipping
