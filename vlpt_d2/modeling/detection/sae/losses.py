"""The shape-aware loss of the embedding (Tian et al., CVPR 2019, section 3.3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# How far from the mean of its text a pixel may be, and how far apart the means of texts have to be.
_NEAR, _APART = 0.5, 1.5


def shape_aware_losses(
    embedding: Tensor, number: Tensor, boxes: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Draw pixels to the mean of their text, and the means of an image's texts apart.

    Long texts are drawn together harder, by exp(diagonal / (2 D)) with D the diagonal of the
    image, and near ones driven farther apart, by 1 - 20 exp(-4 - 5 distance / D). All sizes follow
    from those of the arguments, so that a GPU is not waited for.

    Args:
        embedding: (N, C, H, W).
        number: (N, H, W), the number of the text from 1, else 0.
        boxes: for each image x0, y0, x1, y1 around the pixels of each of its texts, (K, 4) in
            pixels; anything for numbers without pixels.

    Returns:
        Two scalars: the mean over images of the mean over texts of max(0, weight * distance to the
        mean - 0.5)^2 over the pixels; the mean over images of that over pairs of texts of max(0,
        1.5 - weight * distance of the means)^2. What an image does not have counts as 0.
    """
    images, channels, height, width = embedding.shape
    most = max(len(own) for own in boxes)
    with torch.autocast(embedding.device.type, enabled=False):
        pixels = embedding.float().permute(0, 2, 3, 1).reshape(-1, channels)
        first_of_image = torch.arange(images, device=number.device) * (most + 1)
        # Of each image the pixels without a text, then its texts.
        owner = (number.flatten(1).long() + first_of_image[:, None]).flatten()
        slots = images * (most + 1)
        sizes = pixels.new_zeros(slots).index_add(0, owner, torch.ones_like(pixels[:, 0]))
        means = pixels.new_zeros(slots, channels).index_add(0, owner, pixels)
        means = means / sizes.clamp(min=1)[:, None]
        sizes = sizes.view(images, -1)[:, 1:]
        seen = (sizes > 0).float()
        counts = seen.sum(dim=1, keepdim=True).clamp(min=1)

        corners = torch.stack([F.pad(own, (0, 0, 0, most - len(own))) for own in boxes])
        low, high = corners[..., :2], corners[..., 2:]
        diagonal = (height**2 + width**2) ** 0.5
        strength = ((high - low).norm(dim=2) / (2 * diagonal)).exp()
        share = seen / (sizes.clamp(min=1) * counts * images)
        strength, share = (F.pad(values, (1, 0)).flatten()[owner] for values in (strength, share))
        away = (pixels - means[owner]).norm(dim=1)
        pull = (share * (strength * away - _NEAR).clamp(min=0).square()).sum()

        first, second = torch.triu_indices(most, most, 1, device=number.device)
        means, centres = means.view(images, -1, channels)[:, 1:], 0.5 * (low + high)
        gap = (centres[:, first] - centres[:, second]).norm(dim=2)
        strength = 1 - 20 * (-4 - 5 * gap / diagonal).exp()
        apart = (means[:, first] - means[:, second]).norm(dim=2)
        push = (_APART - strength * apart).clamp(min=0).square()
        pairs = (0.5 * counts * (counts - 1)).clamp(min=1) * images
        push = (seen[:, first] * seen[:, second] * push / pairs).sum()
        return pull, push
