"""The STKM meta-architecture: image encoder and character decoder."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from torch import Tensor

from ....data.collate import stacked
from ..base import ImagePretraining
from ..batch import places
from ..task import accuracy, mean_over
from .characters import PAD
from .decoder import CharacterDecoder
from .evaluator import STKMEvaluator
from .loss import smoothed_divergence


@META_ARCH_REGISTRY.register()
class STKM(ImagePretraining):
    """Self-attention based text knowledge mining (Wan, Ji and Shen, CVPR 2021).

    All words of an image are read as one sequence of characters. Training: a list of samples to a
    dict of losses. Inference: a list of samples to a list of dicts, what
    :class:`~.evaluator.STKMEvaluator` adds up; names beginning with
    ``shuffled_`` come from targets paired with the next image of the batch.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        decoder: CharacterDecoder,
        pixel_mean: list[float],
        pixel_std: list[float],
    ):
        """
        Args:
            backbone: gives ``fused`` (N, d, h, w).
            decoder: from (N, L) targets and (N, h * w, d) visual tokens to (N, L, classes) logits.
            pixel_mean: of each channel, in [0, 255].
            pixel_std: of each channel.
        """
        super().__init__(backbone, pixel_mean, pixel_std)
        self.decoder = decoder

    @classmethod
    def build_evaluator(cls, cfg: CfgNode) -> STKMEvaluator:
        return STKMEvaluator()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        return {
            "backbone": build_backbone(cfg),
            "decoder": CharacterDecoder(cfg),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def encode(self, samples: list[dict]) -> Tensor:
        """Return the visual tokens (N, h * w, d) of samples."""
        images = self.preprocess_images(samples).tensor
        return self.backbone(images)["fused"].flatten(2).transpose(1, 2)

    def targets(self, samples: list[dict]) -> tuple[Tensor, Tensor]:
        """Return the sequences of samples, and the places of what is no padding among them all.

        Returns:
            (N, L) int64, L being the length of the longest; (M,) int64 in [0, N * L).
        """
        targets = stacked([s["target"] for s in samples])
        # Before the upload: afterwards it would wait for the device.
        length = max(int((targets != PAD).sum(dim=1).max()), 1)
        targets = targets[:, :length]
        text = places(targets != PAD)
        return targets.to(self.device, non_blocking=True), text.to(self.device, non_blocking=True)

    def forward(
        self, samples: list[dict], count: Tensor | None = None
    ) -> dict[str, Tensor] | list[dict]:
        """
        Args:
            samples: of :class:`~.mapper.StkmMapper`.
            count: of :meth:`prepare_accumulation`, where the step has several micro-batches.

        Returns:
            In training a dict of losses, else one dict of tensors for each sample.
        """
        if not self.training:
            return self.inference(samples)
        count = self.count([samples]) if count is None else count
        targets, valid = self.targets(samples)
        logits = self.decoder(targets, self.encode(samples)).flatten(0, 1)[valid]
        targets = targets.flatten()[valid]
        loss = mean_over(smoothed_divergence(logits, targets), count)
        self.metrics = {
            "stkm/next_character_accuracy": accuracy(logits.argmax(dim=1) == targets),
            "stkm/words_left_out": float(sum(s["words_left_out"] for s in samples)),
        }
        return {"loss_stkm": loss}

    def count(self, batches: list[list[dict]]) -> Tensor:
        """Count characters and flags over micro-batches and processes, per process (0-d)."""
        count = sum(int((s["target"] != PAD).sum()) for samples in batches for s in samples)
        return self.mean_over_processes(torch.full((), count, device=self.device))

    def prepare_accumulation(
        self, micro_batches: list[list[dict]], seeded: Callable[[int], AbstractContextManager]
    ) -> list[dict]:
        """Let several micro-batches give the losses of one joined batch (but for batch norms).

        Returns:
            Keyword arguments of :meth:`forward` for each micro-batch, whose losses add up.
        """
        count = self.count(micro_batches)
        return [{"count": count} for _ in micro_batches]

    def inference(self, samples: list[dict]) -> list[dict]:
        """Read images greedily, and measure how often the next character is the right one.

        Returns:
            list[dict]: ``reading`` int64 (max_length,), see :meth:`CharacterDecoder.read`;
            ``next_correct`` and ``next_total``, 0-d, characters and flags of the target. Where the
            batch has several samples, the first two also for the next image, ``shuffled_``.
        """
        memory, (targets, _) = self.encode(samples), self.targets(samples)
        valid = targets != PAD
        measured = {
            "reading": self.decoder.read(memory),
            "next_correct": self._correct(targets, memory),
            "next_total": valid.sum(dim=1),
        }
        if len(samples) > 1:
            measured["shuffled_reading"] = measured["reading"].roll(-1, dims=0)
            measured["shuffled_next_correct"] = self._correct(targets, memory.roll(-1, dims=0))
        return [{name: rows[i] for name, rows in measured.items()} for i in range(len(samples))]

    def _correct(self, targets: Tensor, memory: Tensor) -> Tensor:
        hit = self.decoder(targets, memory).argmax(dim=2) == targets
        return (hit & (targets != PAD)).sum(dim=1)
