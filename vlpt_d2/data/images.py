"""Batches of plain images from a folder, for measuring rather than training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge

from .image_io import read_image, readable_suffixes

__all__ = ["image_batches"]


def image_batches(
    cfg: CfgNode, folder: str, size: int = 320, batch: int = 8, limit: int = 128
) -> Iterator[torch.Tensor]:
    """Read images, cut squares out of their middle, and normalise them as configured.

    Args:
        cfg: reads INPUT.FORMAT, MODEL.PIXEL_MEAN and MODEL.PIXEL_STD.
        folder: searched with its subfolders, in order of names.
        size: side of the squares; the images' short sides are resized to it.
        batch: images of a batch.
        limit: images in all.

    Yields:
        float32 tensors (N, 3, size, size).

    Raises:
        FileNotFoundError: no image in the folder.
        CorruptImageError: an image cannot be decoded.
    """
    suffixes = readable_suffixes()
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in suffixes)[:limit]
    if not files:
        raise FileNotFoundError(f"no image ({', '.join(sorted(suffixes))}) below {folder}")
    mean = torch.tensor(cfg.MODEL.PIXEL_MEAN).view(-1, 1, 1)
    std = torch.tensor(cfg.MODEL.PIXEL_STD).view(-1, 1, 1)
    resize = ResizeShortestEdge(size, 100 * size)
    for start in range(0, len(files), batch):
        images = []
        for file in files[start : start + batch]:
            image = read_image(file, str(file), cfg.INPUT.FORMAT)
            image = resize.get_transform(image).apply_image(image)
            top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
            square = np.array(image[top : top + size, left : left + size])
            images.append((torch.from_numpy(square).permute(2, 0, 1).float() - mean) / std)
        yield torch.stack(images)
