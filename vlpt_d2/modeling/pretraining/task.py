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


class LogitScale(nn.Module):
    """A learnable inverse temperature exp(s), s clamped to [0, ln(max_scale)].

    Release models/VLPT.py: initial temperature 0.07, clamp to [0, ln 100]; as in CLIP.
    """

    def __init__(self, temperature: float, max_scale: float):
        """
        Args:
            temperature: initial temperature, in (0, 1].
            max_scale: largest exp(s).
        """
        super().__init__()
        self.max_log = math.log(max_scale)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self) -> torch.Tensor:
        """Return the 0-d scale."""
        if self.training:
            # The parameter itself, so that it never drifts to where it has no gradient.
            with torch.no_grad():
                self.log_scale.clamp_(0.0, self.max_log)
        return self.log_scale.clamp(0.0, self.max_log).exp()


def accuracy(correct: torch.Tensor) -> torch.Tensor:
    """Return the share of True in a bool tensor, NaN where it is empty."""
    return correct.float().mean()


def mean_over(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Divide a loss's sum by its 0-d count; no items give zero, with a gradient of zero."""
    return total / count.to(total.dtype).clamp(min=torch.finfo(total.dtype).eps)
