"""The one meta-architecture of the ROI-free text detectors."""

import math
from collections.abc import Mapping, Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from detectron2.structures import Instances
from torch import Tensor

from ...data.collate import stacked
from ...structures.polygons import as_instances
from ..pixels import ImageModel
from .text_head import TextHead, build_text_head


@META_ARCH_REGISTRY.register()
class TextDetector(ImageModel):
    """A backbone and a text head: dense maps in, polygons out, no regions of interest."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        text_head: TextHead,
        pixel_mean: list[float],
        pixel_std: list[float],
    ):
        """Build the detector.

        Args:
            backbone: follows detectron2's backbone interface.
            text_head: reads the backbone's maps.
            pixel_mean: per channel, in the channel order of INPUT.FORMAT.
            pixel_std: standard deviation of each channel.
        """
        super().__init__(backbone, pixel_mean, pixel_std)
        self.text_head = text_head

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """Read MODEL."""
        backbone = build_backbone(cfg)
        return {
            "backbone": backbone,
            "text_head": build_text_head(cfg, backbone.output_shape()),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def size_divisibility(self) -> int:
        """What the sides of the padded images are multiples of."""
        return math.lcm(super().size_divisibility, self.text_head.size_divisibility)

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Run on samples of the detection mapper.

        Args:
            batched_inputs: dicts with "image", (C, H, W) in [0, 255]; in training "targets", the
                maps of the head's label function; at test time optionally "height" and "width",
                the size the polygons are scaled to (default: that of "image").

        Returns:
            In training mode the losses. Else one {"instances": Instances} per image with
            ``scores``, ``pred_classes`` (0), ``pred_boxes`` and ``pred_polygons``, in pixels of
            the (height, width) image; of heads that read also ``pred_texts``.

        Raises:
            ValueError: a training sample has no "targets".
        """
        if self.training:
            images = self.preprocess_images(batched_inputs)
            features = self.backbone(images.tensor)
            targets = stack_targets(
                batched_inputs, images.tensor.shape[-2:], self.text_head.target_stride, self.device
            )
            return self.text_head(features, targets)
        return [
            {"instances": self.decode(maps, size, sample)}
            for (maps, size), sample in zip(self.predict_maps(batched_inputs), batched_inputs)
        ]

    def predict_maps(
        self, batched_inputs: list[dict]
    ) -> list[tuple[dict[str, Tensor], tuple[int, int]]]:
        """Return each image's maps as the head predicts them, and its (H, W) without padding."""
        images = self.preprocess_images(batched_inputs)
        maps = self.text_head(self.backbone(images.tensor))
        return [
            ({name: m[i] for name, m in maps.items()}, size)
            for i, size in enumerate(images.image_sizes)
        ]

    def decode(self, maps: dict[str, Tensor], size: tuple[int, int], sample: dict) -> Instances:
        """Turn one image's maps into detections in the pixels of the sample's "height", "width".

        Args:
            maps: of :meth:`predict_maps`.
            size: (H, W) of the image on the maps.
            sample: may give "height" and "width"; ``size`` if not.
        """
        decoded = self.text_head.decode(maps, size)
        self.text_head.count(decoded)
        image_size = sample.get("height", size[0]), sample.get("width", size[1])
        texts = decoded.resized(size, image_size)
        return as_instances(texts.polygons, texts.scores, image_size, texts.words)


def stack_targets(
    samples: list[dict],
    size: Sequence[int],
    stride: int | Mapping[str, int],
    device: torch.device,
) -> dict[str, Tensor | list]:
    """Stack target maps on the padded grid; zero is "nothing to learn" in every map.

    Ragged targets, which are lists of tensors, become a list with the list of each image.

    Args:
        samples: each with "targets", the maps of a head's label function.
        size: (H, W) of the padded images.
        stride: the head's ``target_stride``; a mapping has those of all maps.
        device: where the maps go.

    Raises:
        ValueError: a sample has none.
    """
    if any("targets" not in sample for sample in samples):
        raise ValueError(
            'A training sample has no "targets": read it with a mapper of detectors built '
            "with is_train=True, or call model.eval() first"
        )
    padded: dict[str, Tensor | list] = {}
    for name, first in samples[0]["targets"].items():
        maps = [sample["targets"][name] for sample in samples]
        if isinstance(first, list):
            padded[name] = [[part.to(device, non_blocking=True) for part in m] for m in maps]
            continue
        step = stride if isinstance(stride, int) else stride[name]
        grid = tuple(-(-side // step) for side in size)
        if all(target.shape[-2:] == grid for target in maps):
            batch = stacked(maps)
        else:
            batch = first.new_zeros(len(maps), *first.shape[:-2], *grid)
            for out, target in zip(batch, maps):
                out[..., : target.shape[-2], : target.shape[-1]] = target
        padded[name] = batch.to(device, non_blocking=True)
    return padded
