"""Dataset dicts to the squashed image and masked caption that pre-training takes."""

import copy
import zlib

import numpy as np
import torch
from detectron2.config import CfgNode, configurable

from .mapper_registry import MAPPER_REGISTRY
from .masking import mask_tokens
from .squashed_image import SquashedImages
from .tokenizer import CaptionTokenizer, Encoding, build_tokenizer

# Transcriptions that say "illegible" rather than being words: ICDAR's and TextOCR's.
ILLEGIBLE = frozenset({"", "###", "."})


def words_of(annotations: list[dict]) -> list[str]:
    """The words of an image, in annotation order.

    Don't-care regions (``iscrowd``) and illegible texts are left out; nothing is shuffled, sorted
    or removed as a duplicate.
    """
    texts = (a.get("text", "").strip() for a in annotations if not a.get("iscrowd", 0))
    return [text for text in texts if text not in ILLEGIBLE]


def caption_of(annotations: list[dict]) -> str:
    """Join :func:`words_of` an image with spaces (release dataset.py)."""
    return " ".join(words_of(annotations))


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
        images: SquashedImages,
        masking: dict,
    ):
        """
        Args:
            is_train: whether to rotate, and to draw masks anew each time. At test time the masks
                of an image depend on its id alone.
            tokenizer: makes ids of captions.
            images: reads and squashes them.
            masking: ``probability, budget, mask_share, random_share`` of
                :func:`~vlpt_d2.data.masking.mask_tokens`.
        """
        self.is_train = is_train
        self.tokenizer = tokenizer
        self.images = images
        self.masking = masking

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        mlm = cfg.MODEL.VLPT.MLM
        return {
            "is_train": is_train,
            "tokenizer": build_tokenizer(
                cfg.MODEL.TEXT_ENCODER.TOKENIZER, cfg.MODEL.TEXT_ENCODER.MAX_TOKENS
            ),
            "images": SquashedImages.from_config(cfg, is_train),
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
        image, annotations = self.images(dataset_dict)
        caption = caption_of(annotations)
        encoding = self.tokenizer.encode(caption)
        ids, labels = self._mask(encoding, dataset_dict.get("image_id"))
        return {
            "image": image,
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
