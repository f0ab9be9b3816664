"""A pre-trained model with what it takes to show it images and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.modeling import META_ARCH_REGISTRY

from ..data.datasets.from_config import register_from_config
from ..data.loader import get_dataset_dicts
from ..data.sample import PretrainImages
from ..data.text.tokenizer import CaptionTokenizer, Encoding, build_tokenizer, words_of_tokens
from ..engine.defaults import ConfigError, config_faults, load_config
from ..engine.models import build_model_with_weights
from ..engine.threads import set_threads
from ..model_zoo import get, get_config_file
from ..model_zoo.models import DEFAULT_PRETRAINING, PREFIX
from ..modeling.pixels import rgb_picture
from ..modeling.pretraining import ITC, MLM, VLPT
from ..utils.nearest import did_you_mean

__all__ = ["LoadedModel", "Picture", "load_for_inspection"]


@dataclass
class Picture:
    """An image as the model sees it, with what is known of its words.

    Attributes:
        pixels: (3, H, W) uint8, resized as for the pre-training, channels as of INPUT.FORMAT.
        words: in annotation order; none for a plain image file.
        polygons: of each word all its places, see
            :meth:`~vlpt_d2.structures.TextInstances.places`.
    """

    pixels: torch.Tensor
    words: list[str]
    polygons: list[list[np.ndarray]]


@dataclass
class LoadedModel:
    """A VLPT model in eval mode, its config and its tokenizer."""

    cfg: CfgNode
    model: VLPT
    tokenizer: CaptionTokenizer

    @property
    def mlm(self) -> MLM:
        """The masked language modelling, whose cross-attention and head are looked into."""
        return self._task("MLM")

    @property
    def itc(self) -> ITC:
        """The image-text contrast, which compares images with captions."""
        return self._task("ITC")

    def _task(self, name: str) -> Any:
        if name not in self.model.tasks:
            raise ConfigError(
                f"the model was built without {name}: MODEL.VLPT.TASKS is "
                f"{list(self.model.tasks)}; this needs one that was pre-trained with it"
            )
        return self.model.tasks[name]

    def read(self, source: str) -> Picture:
        """Read an image and resize it.

        Args:
            source: a file, or DATASET:INDEX for an image of a registered dataset, from 0.

        Raises:
            ValueError: the dataset has no such image.
            FileNotFoundError: there is no such file or dataset.
        """
        name, _, index = source.rpartition(":")
        if not Path(source).is_file() and name in DatasetCatalog and index.isdigit():
            dicts = get_dataset_dicts([name])
            if int(index) >= len(dicts):
                raise ValueError(f"{source}: {name} has {len(dicts)} images, from 0")
            dataset_dict = dicts[int(index)]
        elif Path(source).exists():
            dataset_dict = {"file_name": source}
        else:
            hint = did_you_mean(name or source, DatasetCatalog.keys())
            raise FileNotFoundError(f"{source}: no such image file, nor image of a dataset{hint}")
        sample, texts = PretrainImages.from_config(self.cfg, False)(dataset_dict)
        words = texts.legible()
        return Picture(sample["image"], words.captions(), words.places())

    def rgb(self, picture: Picture) -> np.ndarray:
        """Return the image that the model sees as (H, W, 3) uint8, RGB."""
        return rgb_picture(picture.pixels, self.cfg.INPUT.FORMAT)

    def knows(self, word: str) -> bool:
        """Whether the tokenizer has tokens for all of a word."""
        pieces = self.tokenizer.pieces(word)
        return bool(pieces) and self.tokenizer.special["unk"] not in pieces

    def encode(self, words: Sequence[str]) -> tuple[Encoding, np.ndarray]:
        """Tokenise words as one caption.

        Returns:
            The caption and, for each of its tokens, the number of its word or -1.

        Raises:
            ValueError: there is no word, one that the tokenizer lacks, or too many.
        """
        unknown = [word for word in words if not self.knows(word)]
        if unknown or not words:
            raise ValueError(
                f"the vocabulary has no tokens for {', '.join(map(repr, unknown))}"
                if unknown
                else "no words are given"
            )
        encoding = self.tokenizer.encode(" ".join(words))
        needed = len(self.tokenizer.pieces(" ".join(words)))
        if needed > self.tokenizer.max_tokens - 2:
            raise ValueError(
                f"the words make {needed} tokens; the model reads {self.tokenizer.max_tokens - 2} "
                "(MODEL.TEXT_ENCODER.MAX_TOKENS less [CLS] and [SEP])"
            )
        return encoding, words_of_tokens(words, encoding)


def load_for_inspection(
    config_file: str = "", opts: Sequence[str] = (), weights: str = ""
) -> LoadedModel:
    """Build a VLPT model and load its checkpoint.

    Args:
        config_file: the config it was pre-trained with; if not given, that of the zoo's model
            :data:`~vlpt_d2.model_zoo.models.DEFAULT_PRETRAINING`, whose weights are taken too.
        opts: "KEY value" pairs on top.
        weights: the checkpoint; if not given MODEL.WEIGHTS. Without either the model has its
            initial weights, those that a training with this SEED begins with.

    Raises:
        ConfigError: the config cannot be read, or is not of VLPT.
        CheckpointError: the checkpoint does not fit, or holds no VLPT model.
    """
    if not config_file:
        config_file = get_config_file(get(DEFAULT_PRETRAINING).config)
        opts = ["MODEL.WEIGHTS", f"{PREFIX}{DEFAULT_PRETRAINING}", *opts]
    cfg = load_config(config_file, opts)
    name = cfg.MODEL.META_ARCHITECTURE
    with config_faults(cfg):
        architecture = META_ARCH_REGISTRY.get(name)
    if not issubclass(architecture, VLPT):
        raise ConfigError(
            f"{config_file}: MODEL.META_ARCHITECTURE is {name!r}; only a "
            "VLPT model can be looked into, with the config of its pre-training"
        )
    register_from_config(cfg)
    set_threads(cfg)
    model = build_model_with_weights(cfg, weights, needed="text_encoder.")
    node = cfg.MODEL.TEXT_ENCODER
    return LoadedModel(cfg, model, build_tokenizer(node.TOKENIZER, node.MAX_TOKENS))
