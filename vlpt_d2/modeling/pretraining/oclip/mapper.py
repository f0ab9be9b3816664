"""Dataset dicts to the resized image and masked words that oCLIP takes."""

import torch
from detectron2.config import CfgNode, configurable

from ....data.mapper import MAPPER_REGISTRY
from ....data.sample import PretrainImages
from ....data.text.masking import mask_rng
from .characters import encode_words


@MAPPER_REGISTRY.register()
class OclipMapper:
    """Map a dataset dict to one sample of oCLIP.

    1. Read (or render) the image and its words.
    2. Resize the image to INPUT.PRETRAIN.SIZE (aspect ratio not kept); in training, rotate it.
    3. Split the texts at white space, shuffle the words in training, mask one character of each.

    Unlike in the release, which crops 95 to 100 % of the area, images are not cropped: all words
    stay in the image.
    """

    needs_words = True

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        images: PretrainImages,
        max_words: int,
        max_characters: int,
        hidden_share: float = 0.0,
    ):
        """
        Args:
            is_train: whether to shuffle, and to draw new masks each time. At test time the masks
                of an image depend on its id only.
            images: reads and augments them.
            max_words, max_characters, hidden_share: see :func:`~.characters.encode_words`.
        """
        self.is_train = is_train
        self.images = images
        self.max_words = max_words
        self.max_characters = max_characters
        self.hidden_share = hidden_share

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        node = cfg.MODEL.OCLIP.WORDS
        return {
            "is_train": is_train,
            "images": PretrainImages.from_config(cfg, is_train),
            "max_words": node.MAX_WORDS,
            "max_characters": node.MAX_CHARACTERS,
            "hidden_share": node.HIDDEN_SHARE,
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """
        Args:
            dataset_dict: in detectron2's format; each annotation has a ``text``.

        Returns:
            dict: ``image`` uint8 (3, H, W); ``caption`` str, all words; ``word_ids`` int64
            (max_words, max_characters), masked; ``whole_word_ids``, the same not masked;
            ``character_labels`` int64 (max_words,), -100 where there is no word; ``word_counts``,
            see :class:`~.characters.WordEncoding`; ``file_name, image_id, height,
            width`` of the source.
        """
        sample, texts = self.images(dataset_dict)
        caption = " ".join(texts.legible().captions())
        encoding = encode_words(
            caption.split(),
            max_words=self.max_words,
            max_characters=self.max_characters,
            rng=mask_rng(self.is_train, sample["image_id"]),
            shuffle=self.is_train,
            hidden_share=self.hidden_share,
        )
        return {
            **sample,
            "caption": caption,
            "word_ids": torch.from_numpy(encoding.ids),
            "whole_word_ids": torch.from_numpy(encoding.whole),
            "character_labels": torch.from_numpy(encoding.labels),
            "word_counts": encoding.counts,
        }
