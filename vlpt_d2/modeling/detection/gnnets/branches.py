"""The four orientations of GNNets' branches: what they do to maps and to rectangles.

Each turns its texts to angles from 0 to 45 degrees, clockwise on screen (GNNets, Xu et al.): "O"
leaves the image as it is, "O_f" flips it upside down, "O_r" turns it clockwise by a right angle,
"O_rf" does this and then flips it.
"""

import math

import torch
from torch import Tensor

# How far beyond its range of angles a branch learns and finds texts, in radians.
TOLERANCE = math.radians(5)
# Half of the range of angles, and half of what is learnt.
HALF_RANGE = math.pi / 8
REACH = HALF_RANGE + TOLERANCE
# Of each branch: the middle of its texts' angles, whether these run the other way round in it, and
# where top, right, bottom and left of a rectangle in it are in the image.
ORIENTATIONS = (
    (HALF_RANGE, 1, (0, 1, 2, 3)),
    (-HALF_RANGE, -1, (2, 1, 0, 3)),
    (-3 * HALF_RANGE, 1, (0, 1, 2, 3)),
    (3 * HALF_RANGE, -1, (0, 3, 2, 1)),
)


def turn(x: Tensor, orientation: int) -> Tensor:
    """Flip and turn maps (..., h, w) as a branch does."""
    if orientation >= 2:
        x = x.transpose(-1, -2).flip(-1)
    return x.flip(-2) if orientation % 2 else x


def turn_back(x: Tensor, orientation: int) -> Tensor:
    """Undo :func:`turn`."""
    x = x.flip(-2) if orientation % 2 else x
    return x.flip(-1).transpose(-1, -2) if orientation >= 2 else x


def in_image(geometry: Tensor) -> Tensor:
    """Rectangles of the branches as they are in the image.

    Args:
        geometry: (4, N, 5, h, w): in each branch's orientation the distances to the top, right,
            bottom and left side, and the angle from the middle of its range, in radians.

    Returns:
        Same shape: distances and angle in the image; the latter may be beyond +- 90 degrees.
    """
    parts = []
    for branch, (middle, sign, places) in zip(geometry, ORIENTATIONS):
        sides = branch.unbind(dim=1)
        parts.append(torch.stack([*(sides[i] for i in places), middle + sign * sides[4]], dim=1))
    return torch.stack(parts)


def branch_targets(geometry: Tensor, sizes: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Which branches learn a cell, and its rectangle as each of them should predict it.

    Args:
        geometry: (N, 5, h, w) of labels, angles within +- 90 degrees.
        sizes: least and largest short side.

    Returns:
        Bool (4, N, h, w): the short side and the angle are in the branch's range. And float32
        (4, N, 5, h, w): the geometry; where the angle is half a turn away from the branch's, the
        rectangle is named by the opposite corner.
    """
    angle = geometry[:, 4]
    side = torch.minimum(geometry[:, 0] + geometry[:, 2], geometry[:, 1] + geometry[:, 3])
    fits = (side >= sizes[0]) & (side <= sizes[1])
    opposite = torch.cat([geometry[:, 2:4], geometry[:, :2]], dim=1)
    inside, targets = [], []
    for middle, _, _ in ORIENTATIONS:
        halves = torch.round((angle - middle) / math.pi)
        near = angle - math.pi * halves
        inside.append(fits & ((near - middle).abs() <= REACH))
        distances = torch.where(halves[:, None] != 0, opposite, geometry[:, :4])
        targets.append(torch.cat([distances, near[:, None]], dim=1))
    return torch.stack(inside), torch.stack(targets)
