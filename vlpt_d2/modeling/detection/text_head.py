"""What every ROI-free text head offers, and the registry the heads are found in."""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.utils import comm
from detectron2.utils.registry import Registry
from torch import Tensor, nn

from ...structures import TextInstances
from .decoded import DecodedTexts

logger = logging.getLogger(__name__)

TEXT_HEADS_REGISTRY = Registry("TEXT_HEADS")
TEXT_HEADS_REGISTRY.__doc__ = """
Registry for text heads: subclasses of :class:`TextHead` that are built with
``(cfg, input_shape)`` and turn the maps of a backbone into text polygons.
"""

LabelFunction = Callable[
    [TextInstances, tuple[int, int]], Mapping[str, np.ndarray | list[np.ndarray]]
]


#: Targets of a batch: maps (N, H, W) or (N, C, H, W), or for ragged ones a list with each image's.
Targets = Mapping[str, Tensor | list[Tensor]]


class TextHead(nn.Module, ABC):
    """Base class of the heads: a neck, the head proper, its labels, losses and decoding.

    ``decoding`` holds the keyword arguments of the decoding function; ``threshold_keys`` names
    those among them that decide what is a text, that of the maps first, and their config keys.

    ``decode_maps`` is that function: (maps as arrays, (H, W), ``**decoding``) to
    :class:`DecodedTexts`, as :meth:`decode` has them. A head names it ``decode_maps`` in the module
    ``decode`` of its folder, which imports no torch, for its exported files to be decoded without.
    """

    decoding: dict
    decode_maps: Callable[..., DecodedTexts]
    threshold_keys: dict[str, str]

    # Image pixels from one pixel of the target maps to the next; by name where maps differ.
    target_stride: int | Mapping[str, int] = 1
    # The sides of the images are padded to a multiple of this, and of what the backbone needs.
    size_divisibility: int = 1

    def __init__(self, in_features: list[str], neck: Any, decoding: Mapping[str, Any]):
        """
        Args:
            in_features: names of the backbone's maps the neck reads, finest first.
            neck: module from the list of these maps to one, with ``out_channels`` and ``stride``;
                or to several levels, of any kind that the head knows.
            decoding: keyword arguments of ``decode_maps``.

        Raises:
            TypeError: the head has neither ``decode_maps`` nor a ``decode`` of its own.
        """
        if not hasattr(self, "decode_maps") and type(self).decode is TextHead.decode:
            raise TypeError(f"{type(self).__name__} has no decode_maps, which makes texts of maps")
        super().__init__()
        self.in_features = list(in_features)
        self.neck = neck
        self.decoding = dict(decoding)
        self._counts: Counter[str] = Counter()

    @classmethod
    def thresholds(cls, cfg: CfgNode) -> dict[str, float]:
        """Return the values that a config gives the names of ``threshold_keys``."""
        return {
            name: reduce(getattr, key.split("."), cfg) for name, key in cls.threshold_keys.items()
        }

    def expect_stride(self, stride: int) -> None:
        """Check the neck's stride, that of the finest map.

        Raises:
            ValueError: it is another than the head is made for.
        """
        if self.neck.stride != stride:
            raise ValueError(
                f"{type(self).__name__} works at stride {stride}, but {self.in_features[0]!r} has "
                f"stride {self.neck.stride}: put a map of stride {stride} first in "
                "MODEL.TEXT_HEAD.IN_FEATURES"
            )

    @classmethod
    @abstractmethod
    def build_labels(cls, cfg: CfgNode) -> LabelFunction:
        """Return the function that draws this head's target maps.

        It runs in the workers of the data loader, so it must be picklable and need no network.
        Called as ``labels(texts, image_size)`` with :class:`~vlpt_d2.structures.TextInstances` in
        pixels and (H, W); pixel (row i, column j) covers [j, j + 1] x [i, i + 1], and what is
        outside the image is not drawn. It returns named maps of shape (H, W) or (C, H, W); with a
        ``target_stride`` s, (ceil(H / s), ceil(W / s)). What has no such grid (points, boxes) is a
        list of arrays, which :meth:`losses` gets as a list with a list for each image.
        In every map zero must be what padding is given: "nothing here, nothing to learn here".
        """

    def forward(
        self, features: dict[str, Tensor], targets: Targets | None = None
    ) -> dict[str, Tensor]:
        """Return the losses in training mode, else the maps that :meth:`decode` reads.

        Args:
            features: maps of the backbone, (N, C, h, w) each.
            targets: the maps of the label function, (N, H, W) or (N, C, H, W) each, on the grid of
                the padded image (of its ``target_stride``); required in training mode.

        Raises:
            ValueError: no targets in training mode.
        """
        if self.training and targets is None:
            raise ValueError(
                f"{type(self).__name__} needs target maps in training: give the mapper "
                'is_train=True, so that every sample has "targets"'
            )
        x = self.neck([features[name] for name in self.in_features])
        return self.losses(x, targets) if self.training else self.predict(x)

    @abstractmethod
    def losses(self, x: Any, targets: Any) -> dict[str, Tensor]:
        """Return the weighted losses of the neck's output; see :meth:`forward`."""

    @abstractmethod
    def predict(self, x: Any) -> dict[str, Tensor]:
        """Return the maps of the neck's output that :meth:`decode` reads, (N, C, H', W') each.

        Maps may have different sizes, such as one for each level.
        """

    def decode(self, maps: dict[str, Tensor], image_size: tuple[int, int]) -> DecodedTexts:
        """Turn the maps of one image into texts, by ``decode_maps`` unless a head overrides it.

        Args:
            maps: the maps of :meth:`forward` for one image, (C, H', W') each, padding included.
            image_size: (H, W) of the network's input image without padding.
        """
        arrays = {name: values.float().cpu().numpy() for name, values in maps.items()}
        return self.decode_maps(arrays, image_size, **self.decoding)

    def count(self, decoded: DecodedTexts) -> None:
        """Add up what the decoding of one image left out, for :meth:`report_limits`."""
        limited = any(n for name, n in decoded.counts.items() if name.startswith("dropped_"))
        self._counts.update(decoded.counts, maps=1, limited_maps=int(limited))

    def report_limits(self) -> None:
        """Log what the limits of the decoding left out since the last call, and reset the counts.

        Of the counts, "dropped_<name>" is how many of the "<name>" were left out. To be called in
        all processes, whose counts are added up.
        """
        counts: Counter[str] = sum(comm.gather(self._counts), Counter())
        dropped = {k: n for k, n in counts.items() if k.startswith("dropped_") and n}
        if dropped:
            logger.warning(
                "%s: the limits of the decoding were met on %d of %d maps; left out: %s",
                type(self).__name__,
                counts["limited_maps"],
                counts["maps"],
                ", ".join(f"{n} of {counts[k[8:]]} {k[8:]}" for k, n in dropped.items()),
            )
        self._counts.clear()


def wants_polygons(cfg: CfgNode) -> bool:
    """Whether MODEL.TEXT_HEAD.OUTPUT asks for polygons rather than boxes.

    Raises:
        ValueError: it is neither "polygon" nor "box".
    """
    output = cfg.MODEL.TEXT_HEAD.OUTPUT
    if output not in ("box", "polygon"):
        raise ValueError(f'MODEL.TEXT_HEAD.OUTPUT is "box" or "polygon", not {output!r}')
    return output == "polygon"


def build_text_head(cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> TextHead:
    """Build the head named by ``cfg.MODEL.TEXT_HEAD.NAME`` on a backbone's output shapes.

    Raises:
        ValueError: the backbone lacks a map of MODEL.TEXT_HEAD.IN_FEATURES.
    """
    missing = [name for name in cfg.MODEL.TEXT_HEAD.IN_FEATURES if name not in input_shape]
    if missing:
        raise ValueError(
            f"MODEL.TEXT_HEAD.IN_FEATURES has {', '.join(missing)}; the backbone gives "
            f"{', '.join(input_shape)}"
        )
    return TEXT_HEADS_REGISTRY.get(cfg.MODEL.TEXT_HEAD.NAME)(cfg, input_shape)


def build_label_function(cfg: CfgNode) -> LabelFunction:
    """Build the label function of the head named by ``cfg.MODEL.TEXT_HEAD.NAME``.

    No network is built: see :meth:`TextHead.build_labels` for the function's contract.
    """
    return TEXT_HEADS_REGISTRY.get(cfg.MODEL.TEXT_HEAD.NAME).build_labels(cfg)
