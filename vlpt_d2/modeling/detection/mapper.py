"""Dataset dicts to the image and target maps a detector takes."""

from collections.abc import Mapping

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data.transforms import Augmentation, AugmentationList

from ...data.mapper import MAPPER_REGISTRY
from ...data.sample import check_places, image_to_tensor, load_sample, repair_texts
from ...data.transforms import TextAugInput, build_detection_augmentation
from .text_head import LabelFunction, build_label_function


@MAPPER_REGISTRY.register()
class DetectionMapper:
    """Map a dataset dict to one sample of a text detector.

    1. Read (or render) the image and its annotations.
    2. Augment image and texts together; at test time only resize the image.
    3. In training, ask the text head's label function for the target maps. Annotations with
       ``iscrowd`` are ignored there.
    """

    @configurable
    def __init__(
        self,
        *,
        image_format: str,
        augmentations: list[Augmentation],
        label_function: LabelFunction | None = None,
        min_visible: float = 0.5,
        restore_size: bool = True,
    ):
        """Build the mapper.

        Args:
            image_format: channel order, "RGB" or "BGR".
            augmentations: applied to a :class:`TextAugInput`.
            label_function: draws the target maps; None at test time.
            min_visible: see :meth:`~vlpt_d2.structures.TextInstances.cut`.
            restore_size: see :func:`~vlpt_d2.data.sample.load_sample`.
        """
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
            at test time "texts", :class:`~vlpt_d2.structures.TextInstances` in pixels of the
            (height, width) image as they are annotated, where there is ground truth.

        Raises:
            ValueError: in training, a text has neither polygon nor box.
        """
        image, texts = load_sample(dataset_dict, self.image_format, self.restore_size)
        sample = {
            "file_name": dataset_dict.get("file_name"),
            "image_id": dataset_dict.get("image_id"),
            "height": image.shape[0],
            "width": image.shape[1],
        }
        if self.label_function is None:
            if "annotations" in dataset_dict:
                sample["texts"] = texts
            return {**sample, "image": self.resize(image)}
        check_places(texts, sample["file_name"])
        texts = repair_texts(texts, sample["file_name"])
        inputs = TextAugInput(image, texts, self.min_visible)
        self.augmentations(inputs)
        targets = self.label_function(inputs.texts, inputs.image_size)
        return {
            **sample,
            "image": image_to_tensor(inputs.image),
            "targets": as_tensors(targets),
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
        return image_to_tensor(inputs.image)


def as_tensors(
    targets: Mapping[str, np.ndarray | list[np.ndarray]],
) -> dict[str, torch.Tensor | list[torch.Tensor]]:
    """Turn what a label function returns into tensors, lists of arrays into lists of them."""
    return {
        name: list(map(torch.from_numpy, target))
        if isinstance(target, list)
        else torch.from_numpy(target)
        for name, target in targets.items()
    }
