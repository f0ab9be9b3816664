"""Losses on dense maps, shared by the detectors.

All compute in float32 under autocast (dice sums and steep sigmoids lose too much in 16
bits) and are finite on batches without text or with everything ignored.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(prediction: Tensor, target: Tensor, mask: Tensor, eps: float = 1e-6) -> Tensor:
    """Dice loss 1 - 2 |P G| / (|P| + |G|) over the whole batch (MhLiao/DB decoders/dice_loss.py).

    Args:
        prediction: probabilities in [0, 1], any shape.
        target: 0 or 1, same shape.
        mask: weight of each pixel, same shape; 0 leaves it out.
        eps: keeps the quotient finite where nothing is left in.

    Returns:
        Scalar in [0, 1]; 1, with zero gradient, where the mask leaves nothing in.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        prediction, target, mask = prediction.float(), target.float(), mask.float()
        intersection = (prediction * target * mask).sum()
        union = ((prediction + target) * mask).sum()
        return 1.0 - 2.0 * intersection / (union + eps)


def sample_dice_loss(prediction: Tensor, target: Tensor, mask: Tensor, eps: float = 1e-3) -> Tensor:
    """Dice loss 1 - 2 |P G| / (|P^2| + |G^2|) of each map (whai362/PSENet models/loss).

    Sums of squares go easier on unsure pixels than :func:`dice_loss`, and no map counts for more
    than another because its texts are larger.

    Args:
        prediction: probabilities in [0, 1], (..., H, W).
        target: 0 or 1, same shape.
        mask: 1 or 0, which leaves a pixel out; broadcast against the others.
        eps: added to each sum of squares; keeps the quotient finite where nothing is left in.

    Returns:
        (...) in [0, 1]; 1, with zero gradient, where nothing of the target is left in.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        mask = mask.float()
        prediction, target = prediction.float() * mask, target.float() * mask
        intersection = (prediction * target).sum(dim=(-2, -1))
        squares = prediction.square().sum(dim=(-2, -1)) + target.square().sum(dim=(-2, -1))
        return 1.0 - 2.0 * intersection / (squares + 2 * eps)


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
    counts = torch.stack([positive.flatten(1).sum(1), negative.flatten(1).sum(1)], 1).tolist()
    limits = []
    for row, (positives, negatives) in zip(scores, counts):
        kept = int(positives * negative_ratio)
        if not positives or kept >= negatives:
            limits.append(row.new_tensor(-torch.inf))
        elif kept:
            limits.append(row.kthvalue(row.numel() - kept + 1).values)
        else:
            limits.append(row.new_tensor(torch.inf))
    hard = (scores >= torch.stack(limits)[:, None]).view_as(negative)
    return positive | (negative & hard)


def balanced_bce_loss(
    logits: Tensor, target: Tensor, mask: Tensor, negative_ratio: float = 3.0, eps: float = 1e-6
) -> Tensor:
    """Cross entropy over all positives and the hardest negatives of the batch.

    At most ``negative_ratio`` negatives are kept for each positive, so a batch without positives
    has loss 0 (MhLiao/DB decoders/balance_cross_entropy_loss.py; DB paper eq. 7).

    Args:
        logits: any shape.
        target: 0 or 1, same shape.
        mask: 0 leaves a pixel out, same shape.
        negative_ratio: negatives per positive.
        eps: keeps the quotient finite where nothing is left in.

    Returns:
        Scalar: sum of the kept losses over their number.
    """
    with torch.autocast(logits.device.type, enabled=False):
        loss = F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
        keep = mask > 0
        positive = keep & (target > 0)
        negative = keep & ~(target > 0)
        counts = torch.stack([positive.sum(), negative.sum()]).tolist()
        num_positive, num_negative = counts[0], min(counts[1], int(counts[0] * negative_ratio))
        # Losses are never negative, so zeroed positives cannot displace a negative from the top.
        hardest = torch.topk((loss * negative).flatten(), num_negative).values
        return ((loss * positive).sum() + hardest.sum()) / (num_positive + num_negative + eps)


def masked_l1_loss(prediction: Tensor, target: Tensor, mask: Tensor, eps: float = 1e-6) -> Tensor:
    """Mean absolute difference where the mask is on (MhLiao/DB decoders/l1_loss.py).

    Args:
        prediction, target: any shape.
        mask: weight of each pixel, same shape.
        eps: keeps the quotient finite where nothing is left in.

    Returns:
        Scalar; 0 where the mask leaves nothing in.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        mask = mask.float()
        return ((prediction.float() - target.float()).abs() * mask).sum() / (mask.sum() + eps)


def mean_over_text(loss: Tensor, text: Tensor, eps: float = 1e-6) -> Tensor:
    """Mean of a loss that only text cells have, over these cells (SakuraRiven/EAST).

    Args:
        loss: any shape.
        text: 1 in the cells that count, same shape.
        eps: keeps the quotient finite without text.

    Returns:
        Scalar; 0 without text.
    """
    text = text.float()
    # Where there is no text the prediction may be anything, even infinite.
    total = torch.where(text > 0, loss.float(), 0.0).sum()
    return total / (text.sum() + eps)
