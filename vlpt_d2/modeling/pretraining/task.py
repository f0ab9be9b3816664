"""The interface of the pretext tasks, and the temperature they share."""

import math
from typing import Generic

import torch
from fvcore.common.registry import Registry
from torch import nn

from .batch import EncodedT, TokensT

PRETEXT_TASK_REGISTRY = Registry("PRETEXT_TASK")
PRETEXT_TASK_REGISTRY.__doc__ = """
Pretext tasks by the names of ``MODEL.VLPT.TASKS``, called as ``obj(cfg, special_ids, table_shape)``
with the ids that stand for no word and the (V, d) shape of the word embedding table.
"""


class PretextTask(nn.Module, Generic[TokensT, EncodedT]):
    """One loss of the pre-training, of a form of texts and of what the encoders make of them.

    The loss is the sum over the task's items divided by ``count``. With ``count`` the number of
    items in the whole step's batch over the number of processes, averaging gradients over
    processes and summing them over micro-batches gives the mean over all items.
    """

    weight: float

    def count(self, tokens: TokensT) -> torch.Tensor:
        """Return how many items of a batch the loss is a mean of, as a 0-d tensor."""
        raise NotImplementedError

    def forward(
        self, encoded: EncodedT, count: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss and metrics to log, each a 0-d tensor."""
        raise NotImplementedError

    def evaluate(self, encoded: EncodedT) -> dict[str, torch.Tensor]:
        """Return what the evaluator needs of each image, tensors of N rows."""
        raise NotImplementedError


# The first temperature, and the largest inverse one (release models/VLPT.py; as in CLIP).
TEMPERATURE, MAX_SCALE = 0.07, 100.0


class LogitScale(nn.Module):
    """A learnable inverse temperature exp(s), s clamped to [0, ln 100]."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def forward(self) -> torch.Tensor:
        """Return the 0-d scale."""
        if self.training:
            # The parameter itself, so that it never drifts to where it has no gradient.
            with torch.no_grad():
                self.log_scale.clamp_(0.0, math.log(MAX_SCALE))
        return self.log_scale.clamp(0.0, math.log(MAX_SCALE)).exp()


def accuracy(correct: torch.Tensor) -> torch.Tensor:
    """Return the share of True in a bool tensor, NaN where it is empty."""
    return correct.float().mean()


def mean_over(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Divide a loss's sum by its 0-d count; no items give zero, with a gradient of zero."""
    return total / count.to(total.dtype).clamp(min=torch.finfo(total.dtype).eps)
