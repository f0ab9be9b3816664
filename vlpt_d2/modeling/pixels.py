"""From the images of samples to the input of a backbone, and to pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from detectron2.modeling import Backbone
from detectron2.structures import ImageList
from torch import Tensor, nn

from ..data.collate import stacked

__all__ = ["ImageModel", "pad_images", "rgb_picture"]


def rgb_picture(image: Tensor | np.ndarray, image_format: str) -> np.ndarray:
    """Return the picture of a sample's image as (H, W, 3), RGB.

    Args:
        image: a (3, H, W) tensor on the CPU, or an (H, W, 3) array.
        image_format: the order of its channels, INPUT.FORMAT: "RGB" or "BGR".
    """
    pixels = image.numpy().transpose(1, 2, 0) if isinstance(image, Tensor) else image
    return np.ascontiguousarray(pixels if image_format == "RGB" else pixels[..., ::-1])


def pad_images(images: Sequence[Tensor], fill: Tensor, divisibility: int) -> ImageList:
    """Pad images below and to the right to one size, and stack them on the device of the fill.

    Images of one size are moved as one tensor.

    Args:
        images: (C, H, W) each, on any device.
        fill: (C, 1, 1), the value of the padding in each channel.
        divisibility: the padded height and width are multiples of it; 0: as large as the largest
            image.

    Returns:
        ImageList: float32, with the sizes (H, W) before the padding.
    """
    sizes = [tuple(image.shape[-2:]) for image in images]
    one_size = len(set(sizes)) == 1
    parts = stacked(images)[None] if one_size else images
    moved = [part.to(fill.device, non_blocking=True) for part in parts]
    step = max(divisibility, 1)
    height, width = (-(-max(sides) // step) * step for sides in zip(*sizes))
    if one_size and sizes[0] == (height, width):
        return ImageList(moved[0].float(), sizes)
    batch = fill.repeat(len(images), 1, height, width)
    for padded, image, (h, w) in zip(batch, moved[0] if one_size else moved, sizes):
        padded[:, :h, :w] = image
    return ImageList(batch, sizes)


class ImageModel(nn.Module):
    """A backbone and the normalisation of the pixels it reads."""

    backbone: Backbone
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, backbone: Backbone, pixel_mean: list[float], pixel_std: list[float]):
        """
        Args:
            backbone: follows detectron2's backbone interface.
            pixel_mean: of each channel, in [0, 255], in the channel order of INPUT.FORMAT.
            pixel_std: likewise.
        """
        super().__init__()
        self.backbone = backbone
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    @property
    def size_divisibility(self) -> int:
        """What the sides of the padded images are multiples of."""
        return max(self.backbone.size_divisibility, 1)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return (..., C, H, W) pixels in [0, 255] less the mean, over the standard deviation."""
        return (pixels - self.pixel_mean) / self.pixel_std

    def preprocess_images(self, samples: list[dict]) -> ImageList:
        """Normalise each sample's "image" and pad it with zeros; see :func:`pad_images`."""
        images = [sample["image"] for sample in samples]
        # The normalisation turns the mean into zero.
        padded = pad_images(images, self.pixel_mean, self.size_divisibility)
        return ImageList(self.normalise(padded.tensor), padded.image_sizes)
