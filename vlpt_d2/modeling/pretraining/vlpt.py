"""The pre-training meta-architecture: image encoder, text encoder and the configured tasks."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from detectron2.utils import comm
from torch import nn

from ...data.tokenizer import build_tokenizer
from ..statistics import frozen_statistics
from .base import ImagePretraining
from .batch import EncodedBatch, TokenBatch
from .itc import ITC
from .task import PRETEXT_TASK_REGISTRY, PretextTask
from .text_encoder import build_text_encoder


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
        text: (N, d) gradient at the caption vectors.
        log_scale: 0-d gradient at the temperature; zero in all micro-batches but the first.
        metrics: of the whole step.
    """

    loss: torch.Tensor
    image: torch.Tensor
    text: torch.Tensor
    log_scale: torch.Tensor
    metrics: dict[str, torch.Tensor]


@META_ARCH_REGISTRY.register()
class VLPT(ImagePretraining):
    """VLPT-STD pre-training (Song et al., CVPR 2022).

    Training: a list of samples to a dict of losses. Inference: a list of samples to a list of
    dicts, what :class:`~vlpt_d2.evaluation.PretrainEvaluator` adds up; names beginning with
    ``shuffled_`` come from captions paired with the next image of the batch.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        text_encoder: nn.Module,
        tasks: dict[str, PretextTask],
        pixel_mean: list[float],
        pixel_std: list[float],
        modality_embedding: bool = True,
        normalization: str = "global",
        init_std: float = 0.02,
    ):
        """
        Args:
            backbone: gives ``fused`` (N, d, h, w) and ``cls`` (N, d, 1, 1).
            text_encoder: ids and mask (N, K) to (N, K, d).
            tasks: by name.
            pixel_mean: of each channel, in [0, 255].
            pixel_std: of each channel.
            modality_embedding: add a learned vector to all tokens of a modality.
            normalization: "global" or "local"; see ``MODEL.VLPT.NORMALIZATION``.
            init_std: standard deviation of the modality embedding's initialisation.
        """
        super().__init__(backbone=backbone, pixel_mean=pixel_mean, pixel_std=pixel_std)
        if normalization not in ("global", "local"):
            raise ValueError(
                f"MODEL.VLPT.NORMALIZATION must be 'global' or 'local', not {normalization!r}"
            )
        width, text_width = backbone.output_shape()["fused"].channels, text_encoder.embed_dim
        if width != text_width:
            raise ValueError(
                f"image tokens have {width} channels and text tokens {text_width}; set MODEL."
                "IMAGE_ENCODER.EMBED_DIM and MODEL.TEXT_ENCODER.EMBED_DIM alike"
            )
        self.text_encoder = text_encoder
        self.tasks = nn.ModuleDict(tasks)
        self.normalization = normalization
        self.modality = nn.Embedding(2, width) if modality_embedding else None
        if self.modality is not None:
            nn.init.normal_(self.modality.weight, std=init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        node = cfg.MODEL.VLPT
        unknown = [name for name in node.TASKS if name not in PRETEXT_TASK_REGISTRY]
        if unknown or not node.TASKS or len(set(node.TASKS)) != len(node.TASKS):
            known = ", ".join(name for name, _ in PRETEXT_TASK_REGISTRY)
            raise ValueError(
                f"MODEL.VLPT.TASKS is {list(node.TASKS)}; name one or more of {known}, each once"
            )
        text_encoder = build_text_encoder(cfg)
        tokenizer = build_tokenizer(cfg.MODEL.TEXT_ENCODER.TOKENIZER)
        shape = tuple(text_encoder.word_embeddings.weight.shape)
        return {
            "backbone": build_backbone(cfg),
            "text_encoder": text_encoder,
            "tasks": {
                name: PRETEXT_TASK_REGISTRY.get(name)(cfg, tokenizer.special_ids, shape)
                for name in node.TASKS
            },
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "modality_embedding": node.MODALITY_EMBEDDING,
            "normalization": node.NORMALIZATION,
            "init_std": node.INIT_STD,
        }

    def encode(self, samples: list[dict]) -> EncodedBatch:
        """Run both encoders and add the modality embedding."""
        tokens = TokenBatch.from_samples(samples, self.device)
        features = self.backbone(self.preprocess_images(samples))
        image = torch.cat([features["cls"].flatten(2), features["fused"].flatten(2)], dim=2)
        image = image.transpose(1, 2)
        if self.modality is not None:
            image = image + self.modality.weight[1]
        text = self.encode_text(tokens.input_ids, tokens)
        return EncodedBatch(image, text, tokens, self.text_encoder.word_embeddings.weight)

    def encode_text(self, input_ids: torch.Tensor, tokens: TokenBatch) -> torch.Tensor:
        """Encode captions, masked or whole, to (N, K, d) with the modality embedding."""
        text = self.text_encoder(input_ids, tokens.attention_mask)
        return text if self.modality is None else text + self.modality.weight[0]

    def forward(
        self, samples: list[dict], context: MicroBatchContext | None = None
    ) -> dict[str, torch.Tensor] | list[dict]:
        """
        Args:
            samples: of :class:`~vlpt_d2.data.pretrain_mapper.PretrainMapper`.
            context: of :meth:`prepare_accumulation`, where the step has several micro-batches.

        Returns:
            In training a dict of weighted losses, else one dict of tensors for each sample.
        """
        if not self.training:
            return self.inference(samples)
        encoded = self.encode(samples)
        if context is None:
            context = MicroBatchContext(self.counts([encoded.tokens]), None)
        losses, metrics = {}, {}
        for name, task in self.tasks.items():
            if name == "ITC" and context.contrast is not None:
                loss, measured = self._cached_contrast(encoded, context.contrast)
            else:
                loss, measured = task(encoded, context.counts[name])
            losses[f"loss_{name.lower()}"] = task.weight * loss
            metrics.update(measured)
        self.log_metrics(metrics)
        return losses

    def counts(self, batches: list[TokenBatch]) -> dict[str, torch.Tensor]:
        """Count each task's items over micro-batches and, if "global", over processes.

        Returns:
            dict[str, Tensor]: 0-d; with "global" divided by the number of processes, since their
            gradients are averaged.
        """
        counts = torch.stack(
            [sum(task.count(tokens) for tokens in batches) for task in self.tasks.values()]
        ).double()
        if self.normalization == "global" and comm.get_world_size() > 1:
            torch.distributed.all_reduce(counts)
            counts /= comm.get_world_size()
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
        tokens = [TokenBatch.from_samples(m, self.device) for m in micro_batches]
        counts = self.counts(tokens)
        if "ITC" not in self.tasks:
            return [{"context": MicroBatchContext(counts, None)} for _ in micro_batches]
        contrasts = self._contrast_all(micro_batches, seeded, counts["ITC"])
        return [{"context": MicroBatchContext(counts, contrast)} for contrast in contrasts]

    def _contrast_all(
        self,
        micro_batches: list[list[dict]],
        seeded: Callable[[int], AbstractContextManager],
        count: torch.Tensor,
    ) -> list[CachedContrast]:
        task: ITC = self.tasks["ITC"]
        vectors, valid = [], []
        with torch.no_grad(), frozen_statistics(self):
            for i, samples in enumerate(micro_batches):
                with seeded(i):
                    encoded = self.encode(samples)
                    vectors.append(task.features(encoded))
                    valid.append(encoded.tokens.has_words)
        sizes = [len(v) for v in valid]
        image = torch.cat([v[0] for v in vectors]).requires_grad_()
        text = torch.cat([v[1] for v in vectors]).requires_grad_()
        loss, metrics = task.contrast(image, text, torch.cat(valid), count)
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

    def _cached_contrast(
        self, encoded: EncodedBatch, cached: CachedContrast
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """A loss with the value and the gradient of the cached contrast."""
        task: ITC = self.tasks["ITC"]
        image, text = task.features(encoded)
        carrier = (image * cached.image).sum() + (text * cached.text).sum()
        carrier = carrier + task.scale.log_scale * cached.log_scale
        return carrier - carrier.detach() + cached.loss, cached.metrics

    def inference(self, samples: list[dict]) -> list[dict]:
        """Measure every task on a batch, and MLM and WIP again with the images shuffled.

        Retrieval is measured with whole captions, as it is used; in training ITC sees the masked
        ones, among which a caption of one word would say nothing.
        """
        encoded = self.encode(samples)
        measured = {}
        for name, task in self.tasks.items():
            whole = encoded
            if name == "ITC":
                tokens = encoded.tokens
                whole = replace(encoded, text=self.encode_text(tokens.original_ids, tokens))
            measured.update(task.measure(whole))
        if len(samples) > 1:
            rolled = encoded.with_images_rolled()
            for name in ("WIP", "MLM"):
                if name in self.tasks:
                    shuffled = self.tasks[name].measure(rolled)
                    measured.update({f"shuffled_{k}": v for k, v in shuffled.items()})
        return [{name: rows[i] for name, rows in measured.items()} for i in range(len(samples))]
