"""In-batch contrast of images and texts, which VLPT and oCLIP share."""

import torch
import torch.nn.functional as F
from detectron2.utils import comm
from fvcore.nn.distributed import differentiable_all_gather
from torch import nn

from .batch import EncodedT, TokensT, full_precision
from .task import LogitScale, PretextTask, mean_over


def gather_rows(x: torch.Tensor, gradient: bool = True) -> torch.Tensor:
    """Concatenate (N, ...) tensors of equal shape over processes, in rank order.

    Args:
        x: this process's rows.
        gradient: let it flow through the rows of all processes; if not, through none, this
            process's own neither.
    """
    if not gradient:
        x = x.detach()
    if comm.get_world_size() == 1:
        return x
    if x.requires_grad:
        return torch.cat(differentiable_all_gather(x))
    rows = [torch.empty_like(x) for _ in range(comm.get_world_size())]
    torch.distributed.all_gather(rows, x.contiguous())
    return torch.cat(rows)


def contrastive_sum(
    queries: torch.Tensor,
    keys: torch.Tensor,
    scale: torch.Tensor,
    positives: torch.Tensor,
    valid_keys: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the cross-entropy of softmax(scale * q . k) and a uniform target on the positives.

    Args:
        queries, keys: (N, d) and (M, d) unit vectors.
        scale: 0-d inverse temperature.
        positives: (N, M) bool, the keys that match each query; all are valid. A query without one
            takes no part.
        valid_keys: (M,) bool; other keys are no negatives.

    Returns:
        The 0-d sum and (N,) bool, whether a match has the largest logit.
    """
    logits = scale * queries @ keys.T
    # Finite: without a valid key there would be no softmax.
    log_shares = logits.masked_fill(~valid_keys, torch.finfo(logits.dtype).min).log_softmax(dim=1)
    matches = positives.sum(dim=1).clamp(min=1)
    matched = log_shares.masked_fill(~positives, 0.0).sum(dim=1) / matches
    hits = positives.gather(1, log_shares.argmax(dim=1, keepdim=True)).squeeze(1)
    return -matched.sum(), hits


class ContrastiveTask(PretextTask[TokensT, EncodedT]):
    """In-batch contrast of one vector of each image and one of its text, over all processes.

    Loss: the mean of the image-to-text and the text-to-image cross-entropy. Texts that read the
    same match each other's images as well as their own. Texts without a word take no part.
    """

    def __init__(
        self,
        *,
        image_projection: nn.Module,
        text_projection: nn.Module,
        weight: float = 1.0,
        gather_gradient: bool = True,
        match_equal_captions: bool = True,
    ):
        """
        Args:
            image_projection: from the image's vector to the one that is compared.
            text_projection: the same for texts.
            weight: factor of the loss.
            gather_gradient: the exact gradient of the loss over the batch of all processes; else
                each direction of the loss reaches its own queries only (VLPT's release).
            match_equal_captions: texts that read the same are positives of each other; else each
                is a negative of the others.
        """
        super().__init__()
        self.weight = weight
        self.gather_gradient = gather_gradient
        self.match_equal_captions = match_equal_captions
        self.image_projection = image_projection
        self.text_projection = text_projection
        self.scale = LogitScale()

    def text_vectors(self, encoded: EncodedT) -> torch.Tensor:
        """Return the vector of each text before projection, (N, d); that of images is token 0."""
        raise NotImplementedError

    def count(self, tokens: TokensT) -> torch.Tensor:
        return tokens.has_words.sum()

    def features(self, encoded: EncodedT) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the unit vectors of images and texts, (N, d) each."""
        image = full_precision(self.image_projection(encoded.image[:, 0]))
        text = full_precision(self.text_projection(self.text_vectors(encoded)))
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)

    def contrast(
        self,
        image: torch.Tensor,
        text: torch.Tensor,
        valid: torch.Tensor,
        text_keys: torch.Tensor,
        count: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """
        Args:
            image: (N, d) unit vectors of this process's images.
            text: (N, d) unit vectors of their texts.
            valid: (N,) bool; other rows are neither queries nor keys.
            text_keys: (N,) int64, equal where texts are.
            count: valid rows of all processes over the number of processes.
        """
        with torch.autocast(image.device.type, enabled=False):
            all_image = gather_rows(image, self.gather_gradient)
            all_text = gather_rows(text, self.gather_gradient)
            all_valid = gather_rows(valid)
            rows = torch.arange(len(all_valid), device=image.device)
            names = gather_rows(text_keys) if self.match_equal_captions else rows
            own = names[comm.get_rank() * len(image) :][: len(image)]
            positives = (own[:, None] == names) & valid[:, None] & all_valid
            scale = full_precision(self.scale())
            i2t, i2t_hit = contrastive_sum(image, all_text, scale, positives, all_valid)
            t2i, t2i_hit = contrastive_sum(text, all_image, scale, positives, all_valid)
            loss = mean_over(0.5 * (i2t + t2i), count)
        metrics = {
            "itc/image_to_text": i2t_hit.sum() / valid.sum(),
            "itc/text_to_image": t2i_hit.sum() / valid.sum(),
            "itc/scale": scale.detach(),
        }
        return loss, metrics

    def forward(
        self, encoded: EncodedT, count: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        image, text = self.features(encoded)
        tokens = encoded.tokens
        return self.contrast(image, text, tokens.has_words, tokens.text_keys, count)

    def evaluate(self, encoded: EncodedT) -> dict[str, torch.Tensor]:
        image, text = self.features(encoded)
        return {
            "image_vector": image,
            "text_vector": text,
            "has_words": encoded.tokens.has_words,
            "text_key": encoded.tokens.text_keys,
        }
