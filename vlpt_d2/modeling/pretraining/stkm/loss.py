"""STKM's loss (paper section 3.3; CVI-SZU/STKM loss.py)."""

import math

import torch
from torch import Tensor

from .characters import PAD


def smoothed_divergence(logits: Tensor, targets: Tensor, smoothing: float = 0.1) -> Tensor:
    """Sum of the Kullback-Leibler divergences from smoothed one-hot targets.

    A target keeps 1 - smoothing; the rest is spread evenly over the other classes but padding. So
    a perfect prediction has a divergence of 0, unlike the cross-entropy.

    Args:
        logits: (M, C), of places that are not padding.
        targets: (M,) int64, none of them :data:`PAD`.
        smoothing: in (0, 1); that of the release.

    Returns:
        Tensor: 0-d; 0 where M is.
    """
    log_probabilities = torch.log_softmax(logits, dim=1)
    spread = smoothing / (logits.shape[1] - 2)
    hit = log_probabilities.gather(1, targets[:, None]).squeeze(1)
    others = log_probabilities.sum(dim=1) - log_probabilities[:, PAD] - hit
    negative_entropy = (1 - smoothing) * math.log(1 - smoothing)
    negative_entropy += smoothing * math.log(spread)
    return (negative_entropy - (1 - smoothing) * hit - spread * others).sum()
