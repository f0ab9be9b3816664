"""Target maps of GNNets: EAST's, of the image and of the image at half size."""

from functools import partial

import numpy as np

from ....structures import TextInstances
from ..east.labels import draw_east_labels
from .decode import STRIDES, size_ranges


def draw_gnnets_labels(
    texts: TextInstances,
    image_size: tuple[int, int],
    *,
    split_size: float = 40.0,
    min_text_size: float = 10.0,
) -> dict[str, np.ndarray]:
    """Draw the maps of :func:`draw_east_labels` at full and at half size.

    A cell's rectangle says which branches learn it, see :func:`.branches.branch_targets`, so that
    there are no maps of each branch. At half size, texts too small for it are ignored.

    Args:
        texts, image_size: see :meth:`~..text_head.TextHead.build_labels`.
        split_size: MODEL.GNNETS.SPLIT_SIZE.
        min_text_size: see :func:`draw_east_labels`; in pixels of the image.

    Returns:
        For s in 4 and 8 maps of (ceil(H / s), ceil(W / s)): "text_<s>", "text_mask_<s>" and
        "geometry_<s>", as those of :func:`draw_east_labels` with angles within +- 90 degrees;
        "geometry_8" in pixels of the image at half size.
    """
    maps: dict[str, np.ndarray] = {}
    for stride, (least, _) in zip(STRIDES, size_ranges(split_size)):
        factor = stride // STRIDES[0]
        drawn = draw_east_labels(
            texts.mapped(partial(np.multiply, 1.0 / factor)),
            (-(-image_size[0] // factor), -(-image_size[1] // factor)),
            min_text_size=max(least, min_text_size / factor),
            angle_range=90,
        )
        maps |= {f"{name}_{stride}": values for name, values in drawn.items()}
    return maps
