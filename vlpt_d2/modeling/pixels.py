"""From the images of samples to the input of a backbone, and to pictures."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from detectron2.structures import ImageList
from torch import Tensor

from ..data.collate import stacked

__all__ = ["normalise_images", "rgb_picture"]


def rgb_picture(image: Tensor | np.ndarray, image_format: str) -> np.ndarray:
    """Return the picture of a sample's image as (H, W, 3), RGB.

    Args:
        image: a (3, H, W) tensor on the CPU, or an (H, W, 3) array.
        image_format: the order of its channels, INPUT.FORMAT: "RGB" or "BGR".
    """
    pixels = image.numpy().transpose(1, 2, 0) if isinstance(image, Tensor) else image
    return np.ascontiguousarray(pixels if image_format == "RGB" else pixels[..., ::-1])


def normalise_images(
    images: Sequence[Tensor], mean: Tensor, std: Tensor, divisibility: int
) -> ImageList:
    """Move images to a device, normalise them, and pad them with zeros to one size.

    Images of one size are moved and normalised as one tensor.

    Args:
        images: (C, H, W) each, in [0, 255], on any device.
        mean: (C, 1, 1), in [0, 255]; the images go to its device.
        std: likewise.
        divisibility: the padded height and width are multiples of it; 0: as large as the largest
            image.

    Returns:
        ImageList: float32, with the sizes (H, W) before the padding.
    """
    sizes = [tuple(image.shape[-2:]) for image in images]
    if len(set(sizes)) > 1:
        uploaded = [image.to(mean.device, non_blocking=True) for image in images]
        normalised = [(image.float() - mean) / std for image in uploaded]
        return ImageList.from_tensors(normalised, divisibility)
    batch = stacked(images).to(mean.device, non_blocking=True)
    batch = (batch.float() - mean) / std
    height, width = (-side % max(divisibility, 1) for side in sizes[0])
    if height or width:
        batch = F.pad(batch, (0, width, 0, height))
    return ImageList(batch, sizes)
