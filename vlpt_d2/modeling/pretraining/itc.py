"""Image-text contrast (paper 3.4; release models/losses.py)."""

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.utils import comm
from fvcore.nn.distributed import differentiable_all_gather
from torch import nn

from ..transformer import init_transformer_weights
from .batch import Encoded, EncodedBatch, Tokens, full_precision
from .task import PRETEXT_TASK_REGISTRY, LogitScale, PretextTask, mean_over, share


def gather_rows(x: torch.Tensor, gradient: bool = True) -> torch.Tensor:
    """Concatenate (N, ...) tensors of equal shape over processes, in rank order.

    Args:
        x: this process's rows.
        gradient: whether gradients flow back to the process each row came from.
    """
    if comm.get_world_size() == 1:
        return x
    if gradient and x.requires_grad:
        return torch.cat(differentiable_all_gather(x))
    # The release: copies without gradient, a process's own among them.
    rows = [torch.empty_like(x) for _ in range(comm.get_world_size())]
    torch.distributed.all_gather(rows, x.detach().contiguous())
    return torch.cat(rows)


def contrastive_sum(
    queries: torch.Tensor,
    keys: torch.Tensor,
    scale: torch.Tensor,
    targets: torch.Tensor,
    valid_keys: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of -log softmax(scale * q . k) at the targets.

    Args:
        queries: (N, d) unit vectors.
        keys: (M, d) unit vectors.
        scale: 0-d inverse temperature.
        targets: (N,) the row of ``keys`` that matches each query.
        valid_keys: (M,) bool; other keys are no negatives.

    Returns:
        The 0-d sum and (N,) bool, whether each target has the largest logit.
    """
    logits = scale * queries @ keys.T
    logits = logits.masked_fill(~valid_keys, float("-inf"))
    return F.cross_entropy(logits, targets, reduction="sum"), logits.argmax(dim=1) == targets


class Contrast(PretextTask):
    """In-batch contrast of one vector of each image and one of its text, over all processes.

    Loss: the mean of the image-to-text and the text-to-image cross-entropy. Texts without a word
    take no part: every one of them would match every other.
    """

    def __init__(
        self,
        *,
        image_projection: nn.Module,
        text_projection: nn.Module,
        weight: float = 1.0,
        gather_gradient: bool = True,
        temperature: float = 0.07,
        max_logit_scale: float = 100.0,
    ):
        """
        Args:
            image_projection: from the image's vector to the one that is compared.
            text_projection: likewise of the text's.
            weight: factor of the loss.
            gather_gradient: gradient through the vectors gathered from other processes.
            temperature: initial temperature.
            max_logit_scale: largest inverse temperature.
        """
        super().__init__()
        self.weight = weight
        self.gather_gradient = gather_gradient
        self.image_projection = image_projection
        self.text_projection = text_projection
        self.scale = LogitScale(temperature, max_logit_scale)

    def text_vectors(self, encoded: Encoded) -> torch.Tensor:
        """Return the vector of each text before projection, (N, d); that of images is token 0."""
        raise NotImplementedError

    def count(self, tokens: Tokens) -> torch.Tensor:
        return tokens.has_words.sum()

    def features(self, encoded: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the unit vectors of images and texts, (N, d) each."""
        image = full_precision(self.image_projection(encoded.image[:, 0]))
        text = full_precision(self.text_projection(self.text_vectors(encoded)))
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def contrast(
        self,
        image: torch.Tensor,
        text: torch.Tensor,
        valid: torch.Tensor,
        count: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """
        Args:
            image: (N, d) unit vectors of this process's images.
            text: (N, d) unit vectors of their texts.
            valid: (N,) bool; other rows are neither queries nor keys.
            count: valid rows of all processes over the number of processes.
        """
        with torch.autocast(image.device.type, enabled=False):
            all_image = gather_rows(image, self.gather_gradient)
            all_text = gather_rows(text, self.gather_gradient)
            all_valid = gather_rows(valid)
            offset = comm.get_rank() * len(image)
            targets = torch.arange(len(image), device=image.device)[valid] + offset
            scale = full_precision(self.scale())
            i2t, i2t_hit = contrastive_sum(image[valid], all_text, scale, targets, all_valid)
            t2i, t2i_hit = contrastive_sum(text[valid], all_image, scale, targets, all_valid)
            loss = mean_over(0.5 * (i2t + t2i), count)
        metrics = {
            "itc/image_to_text": share(i2t_hit),
            "itc/text_to_image": share(t2i_hit),
            "itc/scale": scale.detach(),
        }
        return loss, metrics

    def forward(
        self, encoded: Encoded, count: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        image, text = self.features(encoded)
        return self.contrast(image, text, encoded.tokens.has_words, count)

    def measure(self, encoded: Encoded) -> dict[str, torch.Tensor]:
        image, text = self.features(encoded)
        return {
            "image_vector": image,
            "text_vector": text,
            "has_words": encoded.tokens.has_words,
        }


@PRETEXT_TASK_REGISTRY.register()
class ITC(Contrast):
    """The contrast of projections of the image's [CLS] and the caption's [CLS]."""

    @configurable
    def __init__(
        self,
        *,
        embed_dim: int,
        weight: float = 1.0,
        gather_gradient: bool = True,
        temperature: float = 0.07,
        max_logit_scale: float = 100.0,
        init_std: float = 0.02,
    ):
        """
        Args:
            embed_dim: width of the tokens and of the contrasted vectors.
            weight, gather_gradient, temperature, max_logit_scale: see :class:`Contrast`.
            init_std: standard deviation of the initialisation.
        """
        super().__init__(
            image_projection=nn.Linear(embed_dim, embed_dim),
            text_projection=nn.Linear(embed_dim, embed_dim),
            weight=weight,
            gather_gradient=gather_gradient,
            temperature=temperature,
            max_logit_scale=max_logit_scale,
        )
        init_transformer_weights(self, init_std)

    @classmethod
    def from_config(cls, cfg: CfgNode, special_ids: list[int], table_shape: tuple) -> dict:
        node = cfg.MODEL.VLPT.ITC
        return {
            "embed_dim": cfg.MODEL.IMAGE_ENCODER.EMBED_DIM,
            "weight": node.WEIGHT,
            "gather_gradient": node.GATHER_GRADIENT,
            "temperature": node.TEMPERATURE,
            "max_logit_scale": node.MAX_LOGIT_SCALE,
            "init_std": cfg.MODEL.VLPT.INIT_STD,
        }

    def text_vectors(self, encoded: EncodedBatch) -> torch.Tensor:
        return encoded.text[:, 0]
