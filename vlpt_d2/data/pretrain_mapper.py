"""Dataset dicts to the squashed image and masked caption that pre-training takes."""

import copy
import zlib

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode, configurable

from .mapper_registry import MAPPER_REGISTRY
from .masking import mask_tokens
from .sample import load_sample
from .tokenizer import CaptionTokenizer, Encoding, build_tokenizer

# Transcriptions that say "illegible" rather than being words: ICDAR's and TextOCR's.
ILLEGIBLE = frozenset({"", "###", "."})


def caption_of(annotations: list[dict]) -> str:
    """Join the words of an image with spaces, in annotation order (release dataset.py).

    Don't-care regions (``iscrowd``) and illegible texts are left out; nothing is shuffled, sorted
    or removed as a duplicate.
    """
    texts = (a.get("text", "").strip() for a in annotations if not a.get("iscrowd", 0))
    return " ".join(text for text in texts if text not in ILLEGIBLE)


def rotate_image(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate about the centre, counter-clockwise, keeping the size; corners become black."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)


@MAPPER_REGISTRY.register()
class PretrainMapper:
    """Map a dataset dict to one pre-training sample.

    1. Read (or render) the image and its words.
    2. Squash the image to ``size`` without keeping its aspect; in training, rotate it.
    3. Join the words to a caption, tokenise it, select and mask whole words.

    Images are never cropped or flipped: the words must stay those of the image.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        tokenizer: CaptionTokenizer,
        image_format: str,
        size: tuple[int, int],
        rotation: float,
        masking: dict,
        restore_size: bool = True,
    ):
        """
        Args:
            is_train: whether to rotate, and to draw masks anew each time. At test time the masks
                of an image depend on its id alone.
            tokenizer: makes ids of captions.
            image_format: channel order, "RGB" or "BGR".
            size: (height, width) of the output.
            rotation: largest angle in degrees.
            masking: ``probability, budget, mask_share, random_share`` of
                :func:`~vlpt_d2.data.masking.mask_tokens`.
            restore_size: see :func:`~vlpt_d2.data.sample.load_sample`.
        """
        self.is_train = is_train
        self.tokenizer = tokenizer
        self.image_format = image_format
        self.size = tuple(size)
        self.rotation = rotation
        self.masking = masking
        self.restore_size = restore_size

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        mlm = cfg.MODEL.VLPT.MLM
        return {
            "is_train": is_train,
            "tokenizer": build_tokenizer(
                cfg.MODEL.TEXT_ENCODER.TOKENIZER, cfg.MODEL.TEXT_ENCODER.MAX_TOKENS
            ),
            "image_format": cfg.INPUT.FORMAT,
            "size": cfg.INPUT.PRETRAIN.SIZE,
            "rotation": cfg.INPUT.PRETRAIN.ROTATION,
            "restore_size": cfg.DATASETS.RESTORE_SIZE,
            # Without MLM nothing is hidden from the other tasks.
            "masking": {
                "probability": mlm.PROBABILITY if "MLM" in cfg.MODEL.VLPT.TASKS else 0.0,
                "budget": mlm.BUDGET,
                "mask_share": mlm.MASK_SHARE,
                "random_share": mlm.RANDOM_SHARE,
            },
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """
        Args:
            dataset_dict: in detectron2's format; each annotation has a ``text``.

        Returns:
            dict: ``image`` uint8 (3, H, W); ``caption`` str; ``input_ids`` int64 (K,), masked;
            ``attention_mask`` bool (K,); ``mlm_labels`` int64 (K,), -100 where nothing is to be
            predicted; ``file_name, image_id, height, width`` of the source.
        """
        dataset_dict = copy.deepcopy(dataset_dict)
        image, annotations = load_sample(dataset_dict, self.image_format, self.restore_size)
        height, width = self.size
        shrinks = image.shape[0] > height or image.shape[1] > width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        if image.shape[:2] != self.size:
            image = cv2.resize(image, (width, height), interpolation=interpolation)
        if self.is_train and self.rotation:
            image = rotate_image(image, np.random.uniform(-self.rotation, self.rotation))

        caption = caption_of(annotations)
        encoding = self.tokenizer.encode(caption)
        ids, labels = self._mask(encoding, dataset_dict.get("image_id"))
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "caption": caption,
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(encoding.mask),
            "mlm_labels": torch.from_numpy(labels),
            **{k: dataset_dict.get(k) for k in ("file_name", "image_id", "height", "width")},
        }

    def _mask(self, encoding: Encoding, image_id: object) -> tuple[np.ndarray, np.ndarray]:
        # numpy's global generator, which the loader seeds for each training sample; held-out
        # images are masked alike in every evaluation.
        seed = np.random.randint(2**31) if self.is_train else zlib.crc32(str(image_id).encode())
        return mask_tokens(
            encoding,
            rng=np.random.RandomState(seed),
            mask_id=self.tokenizer.special["mask"],
            vocabulary_size=self.tokenizer.vocabulary_size,
            **self.masking,
        )
