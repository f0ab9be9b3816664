"""Where the time and the memory of a detector's training and inference go."""

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage
from tabulate import tabulate
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, record_function
from torch.utils.flop_counter import FlopCounterMode

from ..config import with_values
from ..modeling.detection import TextDetector
from ..utils.names import counted
from ..utils.rng import STEPS, seeded_rng
from .models import build_model_with_weights
from .step import StepTrainer, autocast
from .trainer import TextTrainer

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["Profile", "peak_memory", "profile_inference", "profile_training", "stage_seconds"]

logger = logging.getLogger(__name__)

# As an image goes through them.
_STAGES = ("data", "backbone", "neck", "head, loss", "head", "backward", "optimiser", "decode")
# Dense 16-bit FLOP/s of tensor cores, by the beginning of the GPU's name (NVIDIA's data sheets of
# the SXM boards).
_PEAKS = {"NVIDIA A100-SXM": 312e12, "NVIDIA H100 80GB HBM3": 989e12, "NVIDIA H200": 989e12}


@dataclass(frozen=True)
class Profile:
    """The mean of some rounds of one kind.

    Attributes:
        title: what was measured.
        images: of one round.
        seconds: of a round, by the wall clock.
        stages: a stage to its seconds on the CPU and of the GPU's kernels that it launched.
        memory: peak bytes of the whole run: of tensors on a GPU, of the process on the CPU.
        flop: of the convolutions, matrix products and attentions of a round.
        peak: FLOP/s of the device; 0: not known.
    """

    title: str
    images: int
    seconds: float
    stages: dict[str, tuple[float, float]]
    memory: int
    flop: int
    peak: float = 0.0

    def table(self) -> str:
        """The stages as text."""
        on_gpu = any(kernels for _, kernels in self.stages.values())
        rows = [
            [name, 1e3 * cpu, 100 * cpu / self.seconds, *([1e3 * kernels] if on_gpu else [])]
            for name, (cpu, kernels) in self.stages.items()
        ]
        gpu = 1e3 * sum(kernels for _, kernels in self.stages.values())
        rows.append(["all", 1e3 * self.seconds, 100.0, *([gpu] if on_gpu else [])])
        headers = ["stage", "ms", "%", *(["GPU ms"] if on_gpu else [])]
        speed = self.flop / self.seconds
        summary = (
            f"{self.title}: {self.images / self.seconds:.2f} images/s, peak memory "
            f"{self.memory / 2**20:.0f} MiB, {self.flop / self.images / 1e9:.2f} GFLOP an image, "
            f"{speed / 1e12:.3g} TFLOP/s"
        )
        if self.peak:
            summary += f" (MFU {speed / self.peak:.1%})"
        return f"{summary}\n{tabulate(rows, headers=headers, floatfmt='.1f')}"


def profile_training(cfg: CfgNode, steps: int = 5, warmup: int = 2) -> Profile:
    """Measure the trainer's steps: data, backbone, neck, head and loss, backward, optimiser.

    The samples are made in this process, so "data" is the time of one worker.

    Args:
        cfg: a detector's config.
        steps: measured ones; means are given.
        warmup: steps before, in addition to the one whose FLOP are counted.
    """
    cfg = with_values(cfg, {"DATALOADER.NUM_WORKERS": 0, "SEED": max(cfg.SEED, 0)})
    model = _watched(TextTrainer.build_model(cfg).train(), "head, loss")
    trainer = StepTrainer(
        cfg,
        model,
        TextTrainer.build_train_loader(cfg),
        TextTrainer.build_optimizer(cfg, model),
        cfg.SEED,
    )
    with EventStorage() as trainer.storage:
        return _measure(
            cfg,
            model,
            f"training step, {counted(cfg.SOLVER.IMS_PER_BATCH, 'image')}",
            cfg.SOLVER.IMS_PER_BATCH,
            trainer.run_step,
            steps,
            warmup,
            cfg.SOLVER.AMP.ENABLED,
        )


def profile_inference(cfg: CfgNode, steps: int = 5, warmup: int = 2) -> Profile:
    """Measure inference on DATASETS.TEST: data, backbone, neck, head, decoding.

    Without MODEL.WEIGHTS the maps are noise, which takes longer to decode than text.

    Args:
        cfg: a detector's config.
        steps: measured batches; means are given.
        warmup: batches before, in addition to the one whose FLOP are counted.
    """
    cfg = with_values(cfg, {"DATALOADER.NUM_WORKERS": 0, "SEED": max(cfg.SEED, 0)})
    model = _watched(build_model_with_weights(cfg), "head")
    if not cfg.MODEL.WEIGHTS:
        logger.warning("MODEL.WEIGHTS is empty: decoding is measured on the maps of random weights")
    loader = TextTrainer.build_test_loader(cfg, cfg.DATASETS.TEST[0])
    batches = iter(loader)

    def step() -> None:
        nonlocal batches
        with record_function("data"):
            try:
                batch = next(batches)
            except StopIteration:
                batches = iter(loader)
                batch = next(batches)
        with torch.no_grad(), autocast(cfg, cfg.TEST.AMP_ENABLED):
            predicted = model.predict_maps(batch)
        with record_function("decode"):
            for (maps, size), sample in zip(predicted, batch):
                model.decode(maps, size, sample)

    images = min(cfg.TEST.IMS_PER_BATCH, len(loader.dataset))  # type: ignore[arg-type]
    title = f"inference, {counted(images, 'image')}"
    return _measure(cfg, model, title, images, step, steps, warmup, cfg.TEST.AMP_ENABLED)


def stage_seconds(events: Iterable[Any], names: Collection[str]) -> dict[str, tuple[float, float]]:
    """Add up the time of stages; an inner stage is not part of the outer.

    Args:
        events: of a ``torch.profiler.profile``, with nested ``record_function`` on one thread.
        names: of the stages.

    Returns:
        Each stage that ran to its seconds on the CPU, and of the GPU's kernels that were launched
        meanwhile, on any thread.
    """
    listed = [event for event in events if event.device_type == DeviceType.CPU]
    # Those that begin first, and of these the longest.
    listed.sort(key=lambda event: (event.time_range.start, -event.time_range.end))
    cpu: dict[str, float] = defaultdict(float)
    kernels: dict[str, float] = defaultdict(float)
    stack: list[Any] = []
    for event in listed:
        while stack and stack[-1].time_range.end <= event.time_range.start:
            stack.pop()
        if event.name in names:
            cpu[event.name] += event.time_range.elapsed_us()
            if stack:
                cpu[stack[-1].name] -= event.time_range.elapsed_us()
            stack.append(event)
        elif stack and not event.is_user_annotation:  # whose kernels are those of its operators
            kernels[stack[-1].name] += sum(kernel.duration for kernel in event.kernels)
    return {name: (1e-6 * cpu[name], 1e-6 * kernels[name]) for name in cpu}


def _measure(
    cfg: CfgNode,
    model: TextDetector,
    title: str,
    images: int,
    step: Callable[[], None],
    steps: int,
    warmup: int,
    half: bool,
) -> Profile:
    device = torch.device(cfg.MODEL.DEVICE)
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    sizes: list[torch.Size] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    with seeded_rng(STEPS, 0):
        with FlopCounterMode(display=False) as counter:
            step()
        for _ in range(warmup):
            step()
        if on_gpu:
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        with torch.profiler.profile(activities=activities) as profiler:
            start = time.perf_counter()
            for _ in range(steps):
                with record_function("other"):
                    step()
            if on_gpu:
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - start
    measured = stage_seconds(profiler.events(), (*_STAGES, "other"))
    found = {
        name: (measured[name][0] / steps, measured[name][1] / steps)
        for name in (*_STAGES, "other")
        if name in measured
    }
    gpu = torch.cuda.get_device_name(device) if on_gpu and half else ""
    return Profile(
        f"{title} of {sizes[-1][-2]} x {sizes[-1][-1]}",
        images,
        seconds / steps,
        found,
        peak_memory(device),
        counter.get_total_flops(),
        next((peak for name, peak in _PEAKS.items() if gpu.startswith(name)), 0.0),
    )


def peak_memory(device: torch.device) -> int:
    """Peak bytes: of tensors on a GPU; on the CPU of the process (0 on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    # In KiB on Linux; macOS counts bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _watched(model: nn.Module, head: str) -> TextDetector:
    """Record the backbone, the neck and the rest of the head as stages."""
    if not isinstance(model, TextDetector):
        raise ValueError(
            f"only text detectors are profiled, not {type(model).__name__}: set "
            "MODEL.META_ARCHITECTURE to TextDetector"
        )
    for name, module in (
        ("backbone", model.backbone),
        ("neck", model.text_head.neck),
        (head, model.text_head),
    ):
        module.forward = record_function(name)(module.forward)
    return model
