"""The shape-aware loss of the embedding (Tian et al., CVPR 2019, section 3.3)."""

import torch
from torch import Tensor

# How far from the mean of its text a pixel may be, and how far apart the means of texts have to be.
_NEAR, _APART = 0.5, 1.5


def shape_aware_losses(embedding: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Draw pixels to the mean of their text, and the means of an image's texts apart.

    Long texts are drawn together harder, by exp(diagonal / (2 D)) with D the diagonal of the
    image, and near ones driven farther apart, by 1 - 20 exp(-4 - 5 distance / D).

    Args:
        embedding: (N, C, H, W).
        number: (N, H, W), the number of the text from 1, else 0.

    Returns:
        Two scalars: the mean over images of the mean over texts of max(0, weight * distance to the
        mean - 0.5)^2 over the pixels; the mean over images of that over pairs of texts of max(0,
        1.5 - weight * distance of the means)^2. What an image does not have counts as 0.
    """
    images, channels, height, width = embedding.shape
    with torch.autocast(embedding.device.type, enabled=False):
        image, row, column = places = number.nonzero(as_tuple=True)
        pixels = embedding.float().permute(0, 2, 3, 1)[places]
        # Texts of all images, one after the other.
        keys = image * (2**15) + number[places].long()
        texts, owner = torch.unique(keys, return_inverse=True)
        image = texts // 2**15
        sizes = owner.bincount(minlength=len(texts)).float()
        means = pixels.new_zeros(len(texts), channels).index_add(0, owner, pixels)
        means = means / sizes[:, None]

        points = torch.stack([column, row], dim=1).float()
        spread = owner[:, None].expand(-1, 2)
        start = points.new_zeros(len(texts), 2)
        low = start.scatter_reduce(0, spread, points, "amin", include_self=False)
        high = start.scatter_reduce(0, spread, points, "amax", include_self=False) + 1
        diagonal = (height**2 + width**2) ** 0.5
        strength = ((high - low).norm(dim=1) / (2 * diagonal)).exp()
        away = (pixels - means[owner]).norm(dim=1)
        pull = (strength[owner] * away - _NEAR).clamp(min=0).square()
        pull = pull.new_zeros(len(texts)).index_add(0, owner, pull) / sizes
        counts = image.bincount(minlength=images).float()
        pull = (pull / counts[image]).sum() / images

        first, second = (image[:, None] == image).triu(1).nonzero(as_tuple=True)
        centres = 0.5 * (low + high)
        gap = (centres[first] - centres[second]).norm(dim=1)
        strength = 1 - 20 * (-4 - 5 * gap / diagonal).exp()
        apart = (means[first] - means[second]).norm(dim=1)
        push = (_APART - strength * apart).clamp(min=0).square()
        pairs = 0.5 * counts * (counts - 1)
        push = (push / pairs[image[first]]).sum() / images
        # Without a text they have no graph of their own.
        nothing = 0.0 * embedding.float().sum()
        return pull + nothing, push + nothing
