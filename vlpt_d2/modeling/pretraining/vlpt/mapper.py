"""Dataset dicts to the squashed image and masked caption that pre-training takes."""

import copy

import numpy as np
import torch
from detectron2.config import CfgNode, configurable

from ....data.mapper import MAPPER_REGISTRY
from ....data.squashed_image import SquashedImages
from ....data.text.masking import mask_rng, mask_tokens
from ....data.text.tokenizer import CaptionTokenizer, Encoding, build_tokenizer
from ....data.word_locations import tokens_of_words, word_polygons

# Transcriptions that say "illegible" rather than being words: ICDAR's. TextOCR's "." is a word in
# other datasets; its reader marks it as a don't-care region.
ILLEGIBLE = frozenset({"", "###"})


def legible(annotations: list[dict]) -> list[dict]:
    """The annotations that are words: no don't-care regions (``iscrowd``), no illegible texts."""
    return [
        a
        for a in annotations
        if not a.get("iscrowd", 0) and a.get("text", "").strip() not in ILLEGIBLE
    ]


def words_of(annotations: list[dict]) -> list[str]:
    """The words of an image, in annotation order.

    Don't-care regions (``iscrowd``) and illegible texts are left out; nothing is shuffled, sorted
    or removed as a duplicate.
    """
    return [a["text"].strip() for a in legible(annotations)]


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
                :func:`~vlpt_d2.data.text.masking.mask_tokens`.
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
            predicted; ``cut_tokens`` int, word pieces that did not fit; ``file_name, image_id,
            height, width`` of the source. At test time also ``token_words`` int64 (K,), the number
            of the word that a token is a piece of, -1 where there is none
            (:func:`~.word_locations.tokens_of_words`); and ``word_polygons``, for each word a list
            of (N, 2) arrays in pixels of the image.
        """
        dataset_dict = copy.deepcopy(dataset_dict)
        return self.sample(dataset_dict, *self.images(dataset_dict))

    def sample(self, dataset_dict: dict, image: torch.Tensor, annotations: list[dict]) -> dict:
        """Make the sample of an image that has been read; see :meth:`__call__`."""
        words = words_of(annotations)
        caption = " ".join(words)
        encoding = self.tokenizer.encode(caption)
        ids, labels = self._mask(encoding, dataset_dict.get("image_id"))
        sample = {
            "image": image,
            "caption": caption,
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(encoding.mask),
            "mlm_labels": torch.from_numpy(labels),
            "cut_tokens": encoding.cut,
            **{k: dataset_dict.get(k) for k in ("file_name", "image_id", "height", "width")},
        }
        if not self.is_train:
            tokens = tokens_of_words(words, encoding, self.tokenizer.special["unk"])
            sample["token_words"] = torch.from_numpy(tokens)
            sample["word_polygons"] = word_polygons(legible(annotations), words)
        return sample

    def _mask(self, encoding: Encoding, image_id: object) -> tuple[np.ndarray, np.ndarray]:
        return mask_tokens(
            encoding,
            rng=mask_rng(self.is_train, image_id),
            mask_id=self.tokenizer.special["mask"],
            vocabulary_size=self.tokenizer.vocabulary_size,
            **self.masking,
        )
