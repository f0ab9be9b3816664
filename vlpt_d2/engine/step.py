"""One optimiser step: mixed precision, micro-batches, seeded dropout, checked losses."""

import functools
import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn, cast

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import record_function
from torch.utils.data import DataLoader

from ..checkpoint import CheckpointError
from ..utils.rng import STEPS, derive_seed
from .distributed import unwrap

__all__ = ["StepTrainer", "autocast"]

logger = logging.getLogger(__name__)

_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@functools.cache
def _computes_bfloat16() -> bool:
    """Whether this CPU's convolutions and matrix products have kernels for bfloat16."""
    computes = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if not computes:
        logger.warning("this CPU has no instructions for bfloat16: it computes in float32")
    return computes


def autocast(cfg: CfgNode, enabled: bool | None = None) -> torch.autocast:
    """The autocast context of a config.

    A CPU without instructions for bfloat16 emulates it some ten times slower than float32, so
    nothing is cast there, with a warning.

    Args:
        cfg: reads MODEL.DEVICE and SOLVER.AMP.
        enabled: SOLVER.AMP.ENABLED if not given.

    Raises:
        ValueError: no such precision, or one that the device lacks.
    """
    enabled = cfg.SOLVER.AMP.ENABLED if enabled is None else enabled
    device, precision = torch.device(cfg.MODEL.DEVICE).type, cfg.SOLVER.AMP.DTYPE
    if precision not in _PRECISIONS:
        raise ValueError(
            f"SOLVER.AMP.DTYPE is {precision!r}; it must be one of {', '.join(_PRECISIONS)}"
        )
    if enabled and precision == "float16" and device != "cuda":
        raise ValueError(
            f"SOLVER.AMP.DTYPE float16 needs a GPU and MODEL.DEVICE is {device!r}; set it to "
            "bfloat16, or SOLVER.AMP.ENABLED to False"
        )
    if enabled and device == "cpu" and not _computes_bfloat16():
        enabled = False
    return torch.autocast(device, dtype=_PRECISIONS[precision], enabled=enabled)


class StepTrainer(SimpleTrainer):
    """detectron2's ``SimpleTrainer`` with a step of its own.

    - Every call of the model has torch's generators seeded from (seed, iteration, rank,
      micro-batch), so dropout after resuming is that of a run left alone.
    - A step is made of several micro-batches whose gradients add up; processes exchange gradients
      at the last. A model with ``prepare_accumulation(micro_batches, seeded)`` is asked first: it
      returns keyword arguments of its ``forward`` for each micro-batch and its losses are summed.
      The losses of other models are averaged.
    - bfloat16 autocast anywhere; float16 with loss scaling on GPUs.
    - A loss or a gradient that is not finite stops the run before the weights change, and names
      the images. Losses, the gradient's norm and a model's ``metrics`` are read together, which is
      all that a step waits for on a GPU.
    """

    def __init__(
        self,
        cfg: CfgNode,
        model: nn.Module,
        data_loader: DataLoader | None,
        optimizer: torch.optim.Optimizer,
        seed: int,
    ):
        """
        Args:
            cfg: reads MODEL.DEVICE, SOLVER.AMP and SOLVER.ACCUMULATE.
            model: returns a dict of losses in training mode.
            data_loader: see :func:`~vlpt_d2.data.loader.build_train_loader`; may be set later.
            optimizer: of the model's parameters.
            seed: the run's, not negative.
        """
        super().__init__(model, data_loader, optimizer)
        self.seed = seed
        self.accumulate = cfg.SOLVER.ACCUMULATE
        self.autocast = autocast(cfg)
        scales = cfg.SOLVER.AMP.ENABLED and cfg.SOLVER.AMP.DTYPE == "float16"
        self.grad_scaler = torch.amp.GradScaler(torch.device(cfg.MODEL.DEVICE).type, enabled=scales)

    @contextmanager
    def seeded(self, micro: int) -> Iterator[None]:
        """Seed torch's generators, on all devices, as they are for a micro-batch of this step."""
        torch.manual_seed(derive_seed(STEPS, self.seed, self.iter, comm.get_rank(), micro))
        yield

    def run_step(self) -> None:
        """Train on ``accumulate`` micro-batches and update the weights once."""
        assert self.model.training, "the model was left in eval mode"
        start = time.perf_counter()
        with record_function("data"):
            batches = [next(self._data_loader_iter) for _ in range(self.accumulate)]
        data_time = time.perf_counter() - start

        self.optimizer.zero_grad(set_to_none=True)
        arguments, share = self._prepare(batches)
        all_losses: list[dict[str, torch.Tensor]] = []
        metrics: list[tuple[str, torch.Tensor | float]] = []
        for micro, (samples, keywords) in enumerate(zip(batches, arguments)):
            last = micro == len(batches) - 1
            with self._exchanging_gradients(last), self.seeded(micro):
                with self.autocast:
                    losses = self.model(samples, **keywords)
                all_losses.append({name: loss.detach().float() for name, loss in losses.items()})
                metrics += getattr(unwrap(self.model), "metrics", {}).items()
                with record_function("backward"):
                    self.grad_scaler.scale(sum(losses.values()) * share).backward()
        self.after_backward()
        # Clipping is inside the optimiser's step. A fused one would get scaled gradients there.
        self.grad_scaler.unscale_(self.optimizer)
        self._check_and_log(all_losses, metrics, share, data_time, batches)
        with record_function("optimiser"):
            self.grad_scaler.step(self.optimizer)
            self.grad_scaler.update()

    def _prepare(self, batches: list[list[dict]]) -> tuple[list[dict[str, Any]], float]:
        """Each micro-batch's keyword arguments, and the factor on its losses."""
        model: Any = unwrap(self.model)
        if len(batches) == 1 or not hasattr(model, "prepare_accumulation"):
            return [{} for _ in batches], 1 / len(batches)
        with self.autocast:
            return model.prepare_accumulation(batches, self.seeded), 1.0

    def _exchanging_gradients(self, last: bool) -> AbstractContextManager:
        if last or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    def _check_and_log(
        self,
        losses: list[dict[str, torch.Tensor]],
        metrics: list[tuple[str, torch.Tensor | float]],
        share: float,
        data_time: float,
        batches: list[list[dict]],
    ) -> None:
        """Stop the run at a loss or a gradient that is not finite; log losses and metrics.

        Everything is read from the device at once: nothing else in a step waits for it.

        Args:
            losses: of each micro-batch.
            metrics: of all micro-batches.
            share: factor on the losses.
            data_time: seconds that this process waited for its samples.
            batches: the samples of each micro-batch.
        """
        checked = [value for each in losses for value in each.values()]
        if not self.grad_scaler.is_enabled():
            # With loss scaling gradients overflow now and then: the scaler leaves such steps out.
            checked.append(nn.utils.get_total_norm(self._gradients().values()).float())
        sums = [cast(torch.Tensor, sum(each[name] for each in losses)) for name in losses[0]]
        totals = torch.stack(sums) * share
        totals = torch.cat([totals, totals.new_full((1,), data_time)])
        rows = [totals]
        if comm.get_world_size() > 1:
            rows = [torch.empty_like(totals) for _ in range(comm.get_world_size())]
            torch.distributed.all_gather(rows, totals)
        measured = [value.float() for _, value in metrics if isinstance(value, torch.Tensor)]
        numbers = torch.cat([torch.stack(checked + measured), *rows]).cpu()
        finite = numbers[: len(checked)].isfinite().tolist()
        if not all(finite):
            self._stop(losses, numbers.tolist(), batches)
        self._log(losses[0], numbers[-len(rows) * len(totals) :].view(len(rows), -1).numpy())
        values = iter(numbers[len(checked) :].tolist())
        for name, value in metrics:
            number = next(values) if isinstance(value, torch.Tensor) else value
            if math.isfinite(number):
                get_event_storage().put_scalar(name, number)

    def _log(self, names: Iterable[str], totals: np.ndarray) -> None:
        """Log the losses' means over the processes, as detectron2's trainer does.

        Args:
            names: of the losses.
            totals: (processes, losses + 1) the losses and the seconds waited for samples.
        """
        storage = get_event_storage()
        storage.put_scalar("rank_data_time", totals[comm.get_rank(), -1], cur_iter=self.iter)
        if not comm.is_main_process():
            return
        # The slowest process makes the others wait.
        storage.put_scalar("data_time", totals[:, -1].max(), cur_iter=self.iter)
        means = dict(zip(names, totals[:, :-1].mean(axis=0, dtype=np.float64)))
        storage.put_scalar("total_loss", sum(means.values()), cur_iter=self.iter)
        if len(means) > 1:
            storage.put_scalars(cur_iter=self.iter, **means)

    def _stop(
        self,
        losses: list[dict[str, torch.Tensor]],
        values: list[float],
        batches: list[list[dict]],
    ) -> NoReturn:
        """Raise what names the fault, given the values of all losses."""
        for each, samples in zip(losses, batches):
            own = dict(zip(each, values))
            values = values[len(each) :]
            if not all(map(math.isfinite, own.values())):
                listed = ", ".join(f"{name} {value:g}" for name, value in own.items())
                self._refuse(f"a loss is not finite at iteration {self.iter}: {listed}", samples)
        wrong = [
            name for name, gradient in self._gradients().items() if not gradient.norm().isfinite()
        ]
        self._refuse(
            f"the gradient is not finite at iteration {self.iter}, in {len(wrong)} of "
            f"{len(self._gradients())} parameters such as {next(iter(wrong), 'their sum')}",
            [sample for samples in batches for sample in samples],
        )

    def _gradients(self) -> dict[str, torch.Tensor]:
        parameters = unwrap(self.model).named_parameters()
        return {name: p.grad for name, p in parameters if p.grad is not None}

    def _refuse(self, fault: str, samples: list[dict]) -> NoReturn:
        images = ", ".join(str(s.get("file_name") or s.get("image_id")) for s in samples)
        raise FloatingPointError(
            f"{fault}. Images: {images}. Look at them, lower SOLVER.BASE_LR, or enable "
            "SOLVER.CLIP_GRADIENTS"
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state, and the loss scale where there is one."""
        state = super().state_dict()
        if self.grad_scaler.is_enabled():
            state["grad_scaler"] = self.grad_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of :meth:`state_dict`; rates and decays stay the config's.

        Raises:
            CheckpointError: the state is of another optimiser, or of other groups of parameters.
        """
        groups = self.optimizer.param_groups
        ours = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        theirs = state_dict["optimizer"]["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in theirs]:
            raise CheckpointError(
                f"the optimiser's state is of {len(theirs)} groups of parameters and the config "
                f"makes {len(groups)}, or other ones, so the run cannot be resumed: set "
                "SOLVER.WEIGHT_DECAY*, NO_WEIGHT_DECAY, BIAS_LR_FACTOR and what is frozen as they "
                "were, or start a run of its own from the checkpoint (MODEL.WEIGHTS, another "
                "OUTPUT_DIR, no --resume)"
            )
        # Adam's and AdamW's states are of one kind.
        if any(("betas" in group) != ("betas" in other) for group, other in zip(ours, theirs)):
            raise CheckpointError(
                f"the optimiser's state is of {'Adam' if 'betas' in theirs[0] else 'SGD'}, which "
                "SOLVER.OPTIMIZER cannot take over, so the run cannot be resumed: set it as it "
                "was, or start a run of its own from the checkpoint (MODEL.WEIGHTS, another "
                "OUTPUT_DIR, no --resume)"
            )
        super().load_state_dict(state_dict)
        for group, settings in zip(self.optimizer.param_groups, ours):
            group.update(settings)
        if self.grad_scaler.is_enabled() and "grad_scaler" in state_dict:
            self.grad_scaler.load_state_dict(state_dict["grad_scaler"])
