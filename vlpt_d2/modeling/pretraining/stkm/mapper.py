"""Dataset dicts to the resized image and character sequence that STKM takes."""

import torch
from detectron2.config import CfgNode, configurable

from ....data.mapper import MAPPER_REGISTRY
from ....data.sample import PretrainImages
from .characters import encode_words, sort_words


@MAPPER_REGISTRY.register()
class StkmMapper:
    """Map a dataset dict to one sample of STKM.

    1. Read (or render) the image and its words.
    2. Resize the image to INPUT.PRETRAIN.SIZE (aspect ratio not kept); in training, rotate it.
    3. Sort the words and join their characters to one sequence.

    The release pads images to a square before it resizes them; here none is padded, as for every
    pre-training of this project.
    """

    needs_words = True

    @configurable
    def __init__(self, *, images: PretrainImages, max_length: int):
        """
        Args:
            images: reads and augments them.
            max_length: of the sequence, flags included; at least 2.
        """
        if max_length < 2:
            raise ValueError(
                f"MODEL.STKM.MAX_LENGTH is {max_length}; a sequence of one character and its "
                "flags has 3"
            )
        self.images = images
        self.max_length = max_length

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        return {
            "images": PretrainImages.from_config(cfg, is_train),
            "max_length": cfg.MODEL.STKM.MAX_LENGTH,
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """
        Args:
            dataset_dict: in detectron2's format; each annotation has a ``text``.

        Returns:
            dict: ``image`` uint8 (3, H, W); ``caption`` str, all words in the order of the
            sequence; ``target`` int64 (max_length,), see
            :func:`~.characters.encode_words`; ``words_left_out`` int, words
            that did not fit; ``file_name, image_id, height, width`` of the source.
        """
        sample, texts = self.images(dataset_dict)
        words = sort_words(texts.legible().captions())
        target, left_out = encode_words(words, self.max_length)
        return {
            **sample,
            "caption": " ".join(words),
            "target": torch.from_numpy(target),
            "words_left_out": left_out,
        }
