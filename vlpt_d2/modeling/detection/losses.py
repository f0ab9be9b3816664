"""Losses on dense maps, shared by the detectors.

All compute in float32 under autocast (dice sums and steep sigmoids lose too much in 16
bits) and are finite on batches without text or with everything ignored.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Keeps quotients finite where nothing is left in.
EPS = 1e-6


def dice_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Dice loss 1 - 2 |P G| / (|P| + |G|) over the whole batch (MhLiao/DB decoders/dice_loss.py).

    Args:
        prediction: probabilities in [0, 1], any shape.
        target: 0 or 1, same shape.
        mask: weight of each pixel, same shape; 0 leaves it out.

    Returns:
        Scalar in [0, 1]; 1, with zero gradient, where the mask leaves nothing in.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        prediction, target, mask = prediction.float(), target.float(), mask.float()
        intersection = (prediction * target * mask).sum()
        union = ((prediction + target) * mask).sum()
        return 1.0 - 2.0 * intersection / (union + EPS)


def sample_dice_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Dice loss 1 - 2 |P G| / (|P^2| + |G^2|) of each map (whai362/PSENet models/loss).

    Sums of squares go easier on unsure pixels than :func:`dice_loss`, and no map counts for more
    than another because its texts are larger.

    Args:
        prediction: probabilities in [0, 1], (..., H, W).
        target: 0 or 1, same shape.
        mask: 1 or 0, which leaves a pixel out; broadcast against the others.

    Returns:
        (...) in [0, 1]; 1, with zero gradient, where nothing of the target is left in.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        mask = mask.float()
        prediction, target = prediction.float() * mask, target.float() * mask
        intersection = (prediction * target).sum(dim=(-2, -1))
        squares = prediction.square().sum(dim=(-2, -1)) + target.square().sum(dim=(-2, -1))
        # PSENet adds 0.001 to each of the two sums.
        return 1.0 - 2.0 * intersection / (squares + 2e-3)


def kth_largest(values: Tensor, k: Tensor) -> Tensor:
    """The k-th largest value of each row, found on a GPU without waiting for it.

    Args:
        values: (N, M) float32, without NaN.
        k: (N,) int64, at most M.

    Returns:
        (N,); inf where k is 0.
    """
    if values.is_cpu:
        places = (values.shape[1] + 1 - k).tolist()
        found = [
            row.kthvalue(place).values if place <= len(row) else row.new_tensor(torch.inf)
            for row, place in zip(values, places)
        ]
        return torch.stack(found)
    # Bisection over the bits, which are in the order of the values once those of negative ones are
    # turned around. At least k values are not below ``low``, fewer not below ``high + 1``.
    keys = _ordered(values.view(torch.int32))
    low = torch.full_like(k, -(2**31), dtype=torch.int32)
    high = ~low
    for _ in range(32):
        middle = (low | high) - ((low ^ high) >> 1)  # rounded up, and without overflow
        enough = (keys >= middle[:, None]).sum(dim=1) >= k
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle - 1)
    return _ordered(low).view(torch.float32).masked_fill(k == 0, torch.inf)


def _ordered(bits: Tensor) -> Tensor:
    """Map the bits of float32 to int32 of the same order, or back."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def hard_negative_mask(
    scores: Tensor, target: Tensor, mask: Tensor, negative_ratio: float = 3.0
) -> Tensor:
    """Choose all positives and the negatives with the highest scores of each map.

    A map without positives keeps all its negatives (whai362/PSENet models/loss/ohem.py).

    Args:
        scores: (N, H, W); probabilities or logits.
        target: 0 or 1, same shape.
        mask: 0 leaves a pixel out, same shape.
        negative_ratio: negatives kept for each positive of the same map; more where scores tie.

    Returns:
        (N, H, W) bool.
    """
    keep = mask > 0
    positive = keep & (target > 0)
    negative = keep & ~(target > 0)
    scores = scores.detach().float().masked_fill(~negative, -torch.inf).flatten(1)
    positives, negatives = positive.flatten(1).sum(dim=1), negative.flatten(1).sum(dim=1)
    kept = (positives.double() * negative_ratio).long().minimum(negatives)
    limits = kth_largest(scores, torch.where(positives > 0, kept, negatives))
    hard = (scores >= limits[:, None]).view_as(negative)
    return positive | (negative & hard)


def balanced_bce_loss(
    logits: Tensor, target: Tensor, mask: Tensor, negative_ratio: float = 3.0
) -> Tensor:
    """Cross entropy over all positives and the hardest negatives of the batch.

    At most ``negative_ratio`` negatives are kept for each positive, so a batch without positives
    has loss 0 (MhLiao/DB decoders/balance_cross_entropy_loss.py; DB paper eq. 7).

    Args:
        logits: any shape.
        target: 0 or 1, same shape.
        mask: 0 leaves a pixel out, same shape.
        negative_ratio: negatives per positive.

    Returns:
        Scalar: sum of the kept losses over their number.
    """
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
        keep = mask > 0
        positive = keep & (target > 0)
        negative = keep & ~(target > 0)
        num_positive = positive.sum()
        kept = (num_positive.double() * negative_ratio).long().minimum(negative.sum())
        # Losses are never negative, so nothing displaces a negative from the top.
        values = loss.detach().masked_fill(~negative, -1.0)
        limit = kth_largest(values.view(1, -1), kept.view(1))
        above, level = values > limit, values == limit
        # Of those level with the last one kept as many as are still missing, each a part.
        part = (kept - above.sum()) / level.sum().clamp(min=1)
        weights = (positive | above) + level * part
        return (loss * weights).sum() / (num_positive + kept + EPS)


def masked_l1_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference where the mask is on (MhLiao/DB decoders/l1_loss.py).

    Args:
        prediction, target: any shape.
        mask: weight of each pixel, same shape.

    Returns:
        Scalar; 0 where the mask leaves nothing in.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        mask = mask.float()
        return ((prediction.float() - target.float()).abs() * mask).sum() / (mask.sum() + EPS)


def mean_over_text(loss: Tensor, text: Tensor) -> Tensor:
    """Mean of a loss that only text cells have, over these cells (SakuraRiven/EAST).

    Args:
        loss: any shape.
        text: 1 in the cells that count, same shape.

    Returns:
        Scalar; 0 without text.
    """
    text = text.float()
    # Where there is no text the prediction may be anything, even infinite.
    total = torch.where(text > 0, loss.float(), 0.0).sum()
    return total / (text.sum() + EPS)
