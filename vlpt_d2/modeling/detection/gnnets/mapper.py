"""Training images in which every branch of GNNets finds as many texts."""

import math

import numpy as np
from detectron2.config import CfgNode
from detectron2.data.transforms import Augmentation
from fvcore.transforms.transform import Transform

from ....data.mapper import MAPPER_REGISTRY
from ....data.transforms import AffineTransform, RandomTextCrop, RandomTextWindow
from ....structures import TextInstances
from ..mapper import DetectionMapper
from ..rectangles import fit_rectangles

# Least angle, in right angles, of the texts of each orientation; they span half a right angle.
_LEAST = np.array([0.0, -0.5, -1.0, 0.5])
# How often a text is brought into one of the seven branches that it is not in: with those that stay
# where they are, all branches see as many.
_SAMPLED = 7 / 8


@MAPPER_REGISTRY.register()
class GNNetsMapper(DetectionMapper):
    """The mapper of the detectors, with :class:`GeometrySampling` in place of its crop."""

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        """Read what the mapper of the detectors reads, and MODEL.GNNETS."""
        arguments = super().from_config(cfg, is_train)
        arguments["augmentations"] = [
            GeometrySampling(a, cfg.MODEL.GNNETS.SPLIT_SIZE, cfg.MODEL.EAST.MIN_TEXT_SIZE)
            if isinstance(a, RandomTextCrop | RandomTextWindow)
            else a
            for a in arguments["augmentations"]
        ]
        return arguments


class GeometrySampling(Augmentation):
    """Turn and resize an image so that one of its texts falls into another branch, or crop it.

    The text and the branch are drawn at random. Only what is outside of the branch's range changes:
    the angle is drawn within it, the short side within a factor of two of the size that parts the
    branches. The window holds the text, or a part of it.
    """

    def __init__(
        self,
        crop: RandomTextCrop | RandomTextWindow,
        split_size: float = 40.0,
        min_text_size: float = 10.0,
        prob: float = _SAMPLED,
    ):
        """Build the augmentation.

        Args:
            crop: what is done otherwise, and where there is no text; its size is that of the
                window.
            split_size: short side that parts the two sizes of branches, in pixels.
            min_text_size: texts with a smaller short side are not drawn.
            prob: of the sampling.
        """
        super().__init__()
        self.crop = crop
        self.prob = prob
        self.split_size = split_size
        self.min_text_size = min_text_size

    def get_transform(self, image_size: tuple[int, int], texts: TextInstances) -> Transform:
        """Draw the transform of an image of (H, W) and its texts."""
        rings = [ring for ring, skip in zip(texts.polygons, texts.ignore) if not skip]
        rings = [ring for ring in rings if len(ring) >= 3]
        _, sizes, angles = fit_rectangles(rings, 90)
        sides = sizes.min(axis=1, initial=np.inf)
        places = np.flatnonzero(sides >= self.min_text_size)
        if self._rand_range() >= self.prob or not len(places):
            return self.crop.get_transform(image_size, texts)
        i = np.random.choice(places)
        turn, factor = self.draw(sides[i], angles[i])
        cos, sin = factor * math.cos(turn), factor * math.sin(turn)
        linear = np.array([[cos, -sin], [sin, cos]])
        ring, window = rings[i] @ linear.T, np.array(self.crop.size[::-1])
        low, high = ring.min(axis=0), ring.max(axis=0)
        # Where the text is larger than the window, a point of it is in the window's middle.
        point = np.random.dirichlet(np.ones(len(ring))) @ ring
        middle = np.where(high - low > window, point, 0.5 * (low + high))
        low, high = np.maximum(low, middle - 0.5 * window), np.minimum(high, middle + 0.5 * window)
        corner = np.random.uniform(high - window, low)
        # No further over the edge of the image than its turned corners make necessary.
        height, width = image_size
        image = np.array([(0, 0), (width, 0), (width, height), (0, height)]) @ linear.T
        first, end = image.min(axis=0), image.max(axis=0)
        corner = np.clip(corner, first, np.maximum(first, end - window))
        return AffineTransform(np.column_stack([linear, -corner]), self.crop.size)

    def draw(self, side: float, angle: float) -> tuple[float, float]:
        """Draw a branch that a text is not in.

        Args:
            side: the text's short side, in pixels.
            angle: in [-pi / 2, pi / 2).

        Returns:
            The angle by which to turn it clockwise on screen, and the factor of its size.
        """
        shares = np.mod(angle / (math.pi / 2) - _LEAST, 2)
        orientation = int(np.argmin(shares))
        large = int(side > self.split_size)
        branch = (large * 4 + orientation + np.random.randint(1, 8)) % 8
        turn, factor = 0.0, 1.0
        if branch % 4 != orientation:
            wanted = (math.pi / 2) * (_LEAST[branch % 4] + self._rand_range(0, 0.5))
            # Half a turn more or less is the same angle: words end less than upside down.
            turn = np.mod(wanted - angle + math.pi / 2, math.pi) - math.pi / 2
        if branch // 4 != large:
            wanted = self.split_size * 2 ** (self._rand_range() - (branch < 4))
            factor = wanted / side
        return turn, factor
