"""Dataset dicts to the image and target maps a detector takes."""

import copy
import logging

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data.transforms import Augmentation, AugmentationList
from detectron2.utils.logger import log_first_n

from ...data.mapper import MAPPER_REGISTRY
from ...data.sample import load_sample
from ...data.transforms import TextAugInput, build_detection_augmentation, polygons_from_annotations
from .text_head import LabelFunction, build_label_function


@MAPPER_REGISTRY.register()
class DetectionMapper:
    """Map a dataset dict to one sample of a text detector.

    1. Read (or render) the image and its annotations.
    2. Augment image and polygons together; at test time only resize the image.
    3. In training, ask the text head's label function for the target maps. Annotations with
       ``iscrowd`` are ignored there.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        image_format: str,
        augmentations: list[Augmentation],
        label_function: LabelFunction | None = None,
        min_visible: float = 0.5,
        restore_size: bool = True,
    ):
        """Build the mapper.

        Args:
            is_train: whether to make target maps.
            image_format: channel order, "RGB" or "BGR".
            augmentations: applied to a :class:`TextAugInput`.
            label_function: draws the target maps; needed in training.
            min_visible: see :func:`~vlpt_d2.data.transforms.clip_polygons`.
            restore_size: see :func:`~vlpt_d2.data.sample.load_sample`.
        """
        self.is_train = is_train
        self.image_format = image_format
        self.augmentations = AugmentationList(augmentations)
        self.label_function = label_function
        self.min_visible = min_visible
        self.restore_size = restore_size

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        """Read INPUT, and the label function's settings from MODEL."""
        augment = is_train and cfg.INPUT.DETECTION.AUGMENT
        return {
            "is_train": is_train,
            "image_format": cfg.INPUT.FORMAT,
            "augmentations": build_detection_augmentation(cfg, augment),
            "label_function": build_label_function(cfg) if is_train else None,
            "min_visible": cfg.INPUT.DETECTION.MIN_VISIBLE,
            "restore_size": cfg.DATASETS.RESTORE_SIZE,
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """Make one sample.

        Args:
            dataset_dict: in detectron2's format.

        Returns:
            dict: "image" uint8 (3, H, W); "height", "width" of the image before augmentation;
            "file_name", "image_id"; in training "targets", the label function's maps as tensors;
            at test time "annotations", in pixels of the (height, width) image, where there is
            ground truth.
        """
        dataset_dict = copy.copy(dataset_dict)  # load_sample sets its size and edits no value
        image, annotations = load_sample(dataset_dict, self.image_format, self.restore_size)
        sample = {
            "file_name": dataset_dict.get("file_name"),
            "image_id": dataset_dict.get("image_id"),
            "height": image.shape[0],
            "width": image.shape[1],
        }
        if not self.is_train:
            if "annotations" in dataset_dict:
                sample["annotations"] = annotations
            return {**sample, "image": self.resize(image)}

        polygons, ignore, faults = polygons_from_annotations(annotations)
        if faults:
            log_first_n(
                logging.WARNING,
                f"{sample['file_name']}: {faults} polygons cross themselves, repeat points or have "
                "no area; they are repaired, or left out",
                n=10,
            )
        inputs = TextAugInput(image, polygons, ignore, self.min_visible)
        self.augmentations(inputs)
        targets = self.label_function(inputs.polygons, inputs.ignore, inputs.image_size)
        return {
            **sample,
            "image": _to_tensor(inputs.image),
            "targets": {name: _as_tensors(target) for name, target in targets.items()},
        }

    def resize(self, image: np.ndarray) -> torch.Tensor:
        """Resize an image for the detector; of a mapper for the test.

        Args:
            image: (H, W, 3) uint8, channels in the order of ``image_format``.

        Returns:
            (3, H', W') uint8.
        """
        inputs = TextAugInput(image)
        self.augmentations(inputs)
        return _to_tensor(inputs.image)


def _as_tensors(target: np.ndarray | list[np.ndarray]) -> torch.Tensor | list[torch.Tensor]:
    if isinstance(target, list):
        return [torch.from_numpy(part) for part in target]
    return torch.from_numpy(target)


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
