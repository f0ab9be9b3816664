"""Pre-training by several tasks on one encoding of images and texts."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, cast

import torch
from detectron2.config import configurable
from detectron2.modeling import Backbone
from torch import nn

from ..batch_norm import frozen_statistics
from .base import ImagePretraining
from .batch import EncodedT, TokensT
from .contrast import ContrastiveTask
from .task import PretextTask

__all__ = ["MicroBatchContext", "MultiTaskPretraining"]


@dataclass
class MicroBatchContext:
    """What one micro-batch has to know of the whole step's batch.

    Attributes:
        counts: items of each task in the whole step over the number of processes.
        contrast: the contrastive loss of the whole step with its gradient, or None.
    """

    counts: dict[str, torch.Tensor]
    contrast: "CachedContrast | None"


@dataclass
class CachedContrast:
    """Gradient of the whole step's contrastive loss at one micro-batch's vectors.

    Attributes:
        loss: this micro-batch's part of the loss, 0-d, for the log.
        image: (N, d) gradient at the image vectors.
        text: (N, d) gradient at the text vectors.
        log_scale: 0-d gradient at the temperature; zero in all micro-batches but the first.
        metrics: of the whole step.
    """

    loss: torch.Tensor
    image: torch.Tensor
    text: torch.Tensor
    log_scale: torch.Tensor
    metrics: dict[str, torch.Tensor]


class MultiTaskPretraining(ImagePretraining, Generic[TokensT, EncodedT]):
    """A backbone, an encoder of texts and pretext tasks on what both make of a batch.

    Training: a list of samples to a dict of losses. Inference: a list of samples to a list of
    dicts, what the evaluator adds up; names beginning with ``shuffled_`` come from texts paired
    with the next image of the batch. At most one task is a :class:`~.contrast.ContrastiveTask`.

    A meta-architecture gives :meth:`tokens`, :meth:`encode` and :meth:`unmasked`.
    """

    # A module of the kind that the meta-architecture calls.
    text_encoder: Any

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        text_encoder: nn.Module,
        tasks: dict[str, PretextTask[TokensT, EncodedT]],
        pixel_mean: list[float],
        pixel_std: list[float],
        normalization: str = "global",
    ):
        """
        Args:
            backbone: gives ``fused`` (N, d, h, w) and ``cls`` (N, d, 1, 1).
            text_encoder: makes vectors of texts.
            tasks: by name.
            pixel_mean, pixel_std: of each channel, in [0, 255].
            normalization: "global": losses are means over the items of all processes and
                micro-batches; "local": of each process.
        """
        super().__init__(backbone, pixel_mean, pixel_std)
        if normalization not in ("global", "local"):
            raise ValueError(
                f"MODEL.VLPT.NORMALIZATION must be 'global' or 'local', not {normalization!r}"
            )
        self.text_encoder = text_encoder
        self.tasks = cast("Mapping[str, PretextTask[TokensT, EncodedT]]", nn.ModuleDict(tasks))
        self.normalization = normalization

    def tokens(self, samples: list[dict]) -> TokensT:
        """Return the texts of samples as tensors on the model's device."""
        raise NotImplementedError

    def encode(self, samples: list[dict]) -> EncodedT:
        """Run both encoders."""
        raise NotImplementedError

    def sample_metrics(self, samples: list[dict]) -> dict[str, torch.Tensor | float]:
        """Return what to log of samples as they are, such as what was left out of them."""
        return {}

    def unmasked(self, encoded: EncodedT) -> EncodedT:
        """Return the batch with its texts encoded again, nothing masked."""
        raise NotImplementedError

    def encode_images(self, samples: list[dict]) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return visual tokens (N, 1 + h * w, d), the global one first, and (h, w)."""
        return self.visual_tokens(self.backbone(self.preprocess_images(samples).tensor))

    def visual_tokens(
        self, features: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return what :meth:`encode_images` does, from the backbone's output."""
        tokens = torch.cat([features["cls"].flatten(2), features["fused"].flatten(2)], dim=2)
        height, width = features["fused"].shape[-2:]
        return tokens.transpose(1, 2), (height, width)

    def forward(
        self, samples: list[dict], context: MicroBatchContext | None = None
    ) -> dict[str, torch.Tensor] | list[dict]:
        """
        Args:
            samples: of the mapper that belongs to the meta-architecture.
            context: of :meth:`prepare_accumulation`, where the step has several micro-batches.

        Returns:
            In training a dict of weighted losses, else one dict of tensors for each sample.
        """
        if not self.training:
            return self.inference(samples)
        losses = self.task_losses(self.encode(samples), context)
        self.metrics |= self.sample_metrics(samples)
        return losses

    def task_losses(
        self, encoded: EncodedT, context: MicroBatchContext | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the weighted losses of all tasks; see :meth:`forward`."""
        if context is None:
            context = MicroBatchContext(self.counts([encoded.tokens]), None)
        losses: dict[str, torch.Tensor] = {}
        metrics: dict[str, torch.Tensor | float] = {}
        for name, task in self.tasks.items():
            if isinstance(task, ContrastiveTask) and context.contrast is not None:
                loss, measured = self._cached_contrast(task, encoded, context.contrast)
            else:
                loss, measured = task(encoded, context.counts[name])
            losses[f"loss_{name.lower()}"] = task.weight * loss
            metrics.update(measured)
        self.metrics = metrics
        return losses

    def counts(self, batches: list[TokensT]) -> dict[str, torch.Tensor]:
        """Count each task's items over micro-batches and, if "global", over processes.

        Returns:
            dict[str, Tensor]: 0-d; with "global" divided by the number of processes, since their
            gradients are averaged.
        """
        counts = torch.stack(
            [sum(map(task.count, batches), torch.tensor(0)) for task in self.tasks.values()]
        ).double()
        if self.normalization == "global":
            counts = self.mean_over_processes(counts)
        return dict(zip(self.tasks, counts))

    def prepare_accumulation(
        self, micro_batches: list[list[dict]], seeded: Callable[[int], AbstractContextManager]
    ) -> list[dict]:
        """Let several micro-batches give the losses and gradients of one joined batch.

        The contrastive loss needs all pairs at once. A first pass without gradient caches every
        micro-batch's vectors; the loss and its gradient at the vectors are computed once; the
        second pass, with the same dropout, carries that gradient on (Gao et al., "Scaling Deep
        Contrastive Learning Batch Size under Memory Limited Setup", 2021). Batch norms normalise
        each micro-batch by itself, so only frozen norms give exactly the joined batch.

        Args:
            micro_batches: the samples of each.
            seeded: context manager that seeds torch as it will be for micro-batch i.

        Returns:
            Keyword arguments of :meth:`forward` for each micro-batch, whose losses add up.
        """
        counts = self.counts([self.tokens(samples) for samples in micro_batches])
        for name, task in self.tasks.items():
            if isinstance(task, ContrastiveTask):
                contrasts = self._contrast_all(task, micro_batches, seeded, counts[name])
                return [{"context": MicroBatchContext(counts, c)} for c in contrasts]
        return [{"context": MicroBatchContext(counts, None)} for _ in micro_batches]

    def _contrast_all(
        self,
        task: ContrastiveTask[TokensT, EncodedT],
        micro_batches: list[list[dict]],
        seeded: Callable[[int], AbstractContextManager],
        count: torch.Tensor,
    ) -> list[CachedContrast]:
        vectors, valid, text_keys = [], [], []
        with torch.no_grad(), frozen_statistics(self):
            for i, samples in enumerate(micro_batches):
                with seeded(i):
                    encoded = self.encode(samples)
                    vectors.append(task.features(encoded))
                    valid.append(encoded.tokens.has_words)
                    text_keys.append(encoded.tokens.text_keys)
        sizes = [len(v) for v in valid]
        image = torch.cat([v[0] for v in vectors]).requires_grad_()
        text = torch.cat([v[1] for v in vectors]).requires_grad_()
        loss, metrics = task.contrast(image, text, torch.cat(valid), torch.cat(text_keys), count)
        parameter = task.scale.log_scale
        d_image, d_text, d_scale = torch.autograd.grad(loss, [image, text, parameter])
        return [
            CachedContrast(
                loss=loss.detach() / len(sizes),
                image=g_image,
                text=g_text,
                log_scale=d_scale if i == 0 else torch.zeros_like(d_scale),
                metrics=metrics,
            )
            for i, (g_image, g_text) in enumerate(zip(d_image.split(sizes), d_text.split(sizes)))
        ]

    @staticmethod
    def _cached_contrast(
        task: ContrastiveTask[TokensT, EncodedT], encoded: EncodedT, cached: CachedContrast
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """A loss with the value and the gradient of the cached contrast."""
        image, text = task.features(encoded)
        carrier = (image * cached.image).sum() + (text * cached.text).sum()
        carrier = carrier + task.scale.log_scale * cached.log_scale
        return carrier - carrier.detach() + cached.loss, cached.metrics

    def inference(self, samples: list[dict]) -> list[dict]:
        """Encode a batch and :meth:`evaluate` it; one dict of tensors for each sample."""
        return self.evaluate(self.encode(samples))

    def evaluate(self, encoded: EncodedT) -> list[dict]:
        """Measure every task on a batch, and all but the contrast again with images shuffled.

        Retrieval is measured with whole texts, as it is used; in training the contrast sees the
        masked ones, among which a caption of one word would say nothing.
        """
        count = len(encoded.image)
        measured = {}
        for task in self.tasks.values():
            whole = self.unmasked(encoded) if isinstance(task, ContrastiveTask) else encoded
            measured.update(task.evaluate(whole))
        if count > 1:
            rolled = encoded.with_images_rolled()
            for task in self.tasks.values():
                if not isinstance(task, ContrastiveTask):
                    shuffled = task.evaluate(rolled)
                    measured.update({f"shuffled_{k}": v for k, v in shuffled.items()})
        return [{name: rows[i] for name, rows in measured.items()} for i in range(count)]
