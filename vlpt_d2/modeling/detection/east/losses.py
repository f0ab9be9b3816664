"""Losses of EAST (EAST paper section 3.4; argman/EAST model.py; SakuraRiven/EAST loss.py).

All compute in float32 under autocast, and are finite on batches without text or with
everything ignored.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import EPS


def class_balanced_bce_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy in which text and ground weigh the same (EAST paper eq. 4 and 5).

    With b the share of the ground among the cells of the batch, positives are weighted by b and
    negatives by 1 - b. (The paper takes the share of each image.) The sum is divided by that of the
    weights, so that little text does not make a small loss: half the mean over the text and half
    that over the ground.

    Args:
        logits: any shape.
        target: 0 or 1, same shape.
        mask: 0 leaves a cell out, same shape.

    Returns:
        Scalar, the weighted mean over the cells left in; 0 for a batch without text.
    """
    with torch.autocast(logits.device.type, enabled=False):
        target, mask = target.float(), (mask > 0).float()
        loss = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
        positive, negative = target * mask, (1 - target) * mask
        cells = mask.sum() + EPS
        share = positive.sum() / cells
        weights = (1 - share) * positive + share * negative
        return (loss * weights).sum() / (weights.sum() + EPS)


def rectangle_iou_loss(distances: Tensor, target: Tensor) -> Tensor:
    """-log((I + 1) / (U + 1)) of two rectangles around each cell, as if turned alike.

    Args:
        distances: (N, 4, h, w), to the top, right, bottom and left side, in pixels, not negative.
        target: same shape.

    Returns:
        (N, h, w) float32.
    """
    with torch.autocast(distances.device.type, enabled=False):
        distances, target = distances.float(), target.float()
        areas = [(d[:, 0] + d[:, 2]) * (d[:, 1] + d[:, 3]) for d in (distances, target)]
        common = torch.minimum(distances, target)
        intersection = (common[:, 0] + common[:, 2]) * (common[:, 1] + common[:, 3])
        union = areas[0] + areas[1] - intersection
        return torch.log((union + 1.0) / (intersection + 1.0))


def angle_loss(angle: Tensor, target: Tensor) -> Tensor:
    """1 - cos of the difference of angles in radians, float32 of any shape."""
    with torch.autocast(angle.device.type, enabled=False):
        return 1.0 - torch.cos(angle.float() - target.float())
