"""Resampling shared by the necks."""

import torch.nn.functional as F
from torch import Tensor


def upsample_to(x: Tensor, like: Tensor, mode: str = "nearest") -> Tensor:
    """Upsample maps (N, C, h, w) to the height and width of another.

    To the finer map's size, not by a factor: the two differ on sizes that are no multiple of 32.

    Args:
        x: the maps.
        like: (N, C', h', w').
        mode: "nearest" or "bilinear" (pixels are areas, corners are not aligned).
    """
    if x.shape[-2:] == like.shape[-2:]:
        return x
    align = None if mode == "nearest" else False
    return F.interpolate(x, size=like.shape[-2:], mode=mode, align_corners=align)
