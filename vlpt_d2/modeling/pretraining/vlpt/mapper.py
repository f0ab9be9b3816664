"""Dataset dicts to the resized image and masked caption that pre-training takes."""

import numpy as np
import torch
from detectron2.config import CfgNode, configurable

from ....data.mapper import MAPPER_REGISTRY
from ....data.sample import PretrainImages
from ....data.text.masking import mask_rng, mask_tokens
from ....data.text.tokenizer import CaptionTokenizer, Encoding, build_tokenizer, words_of_tokens
from ....structures import TextInstances


@MAPPER_REGISTRY.register()
class PretrainMapper:
    """Map a dataset dict to one pre-training sample.

    1. Read (or render) the image and its words.
    2. Resize the image to INPUT.PRETRAIN.SIZE (aspect ratio not kept); in training, rotate it.
    3. Join the words to a caption, tokenise it, select and mask whole words.

    Images are never cropped or flipped: the words must stay those of the image.
    """

    needs_words = True

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        tokenizer: CaptionTokenizer,
        images: PretrainImages,
        masking: dict,
    ):
        """
        Args:
            is_train: whether to draw new masks each time. At test time the masks of an image depend
                on its id only.
            tokenizer: makes ids of captions.
            images: reads and augments them.
            masking: ``probability`` and ``budget`` of
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
            "images": PretrainImages.from_config(cfg, is_train),
            # Without MLM nothing is hidden from the other tasks.
            "masking": {
                "probability": mlm.PROBABILITY if "MLM" in cfg.MODEL.VLPT.TASKS else 0.0,
                "budget": mlm.BUDGET,
            },
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """
        Args:
            dataset_dict: in detectron2's format; each annotation has a ``text``.

        Returns:
            dict: ``image`` uint8 (3, H, W); ``caption`` str; ``input_ids`` int64 (K,), masked;
            ``original_ids`` int64 (K,), the same not masked; ``attention_mask`` bool (K,);
            ``mlm_labels`` int64 (K,), -100 where nothing is to be predicted; ``word_index`` int64
            (K,), the index of a token's word, -1 at special tokens,
            [UNK] among them; ``cut_tokens`` int, tokens that did not fit; ``file_name,
            image_id, height, width`` of the source. At test time also ``token_words`` int64 (K,),
            ``word_index`` with -1 at all tokens of words that have an unknown one; and
            ``word_polygons``, of each word all its places, (N, 2) arrays in pixels of the image,
            see :meth:`~vlpt_d2.structures.TextInstances.places`.
        """
        return self.sample(*self.images(dataset_dict))

    def sample(self, sample: dict, texts: TextInstances) -> dict:
        """Add the caption to an image's sample; see :meth:`__call__`."""
        texts = texts.legible()
        words = texts.captions()
        caption = " ".join(words)
        encoding = self.tokenizer.encode(caption)
        ids, labels = self._mask(encoding, sample["image_id"])
        numbers = words_of_tokens(words, encoding)
        special = np.isin(encoding.ids, self.tokenizer.special_ids)
        sample = {
            **sample,
            "caption": caption,
            "input_ids": torch.from_numpy(ids),
            "original_ids": torch.from_numpy(encoding.ids),
            "attention_mask": torch.from_numpy(encoding.mask),
            "mlm_labels": torch.from_numpy(labels),
            "word_index": torch.from_numpy(np.where(special, -1, numbers)),
            "cut_tokens": encoding.cut,
        }
        if not self.is_train:
            unknown = np.isin(numbers, numbers[encoding.ids == self.tokenizer.special["unk"]])
            sample["token_words"] = torch.from_numpy(np.where(unknown, -1, numbers))
            sample["word_polygons"] = texts.places()
        return sample

    def _mask(self, encoding: Encoding, image_id: object) -> tuple[np.ndarray, np.ndarray]:
        return mask_tokens(
            encoding,
            rng=mask_rng(self.is_train, image_id),
            mask_id=self.tokenizer.special["mask"],
            vocabulary_size=self.tokenizer.vocabulary_size,
            **self.masking,
        )
