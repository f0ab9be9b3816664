"""Where the words of a caption look in an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..data.text.masking import IGNORE_INDEX
from ..modeling.attention_maps import recorded_attention
from ..modeling.backbone.image_encoder import token_centre
from ..modeling.pretraining.vlpt.batch import EncodedBatch, TokenBatch
from .loading import LoadedModel, Picture

__all__ = ["AttentionMaps", "attend", "captions_with_masks", "cross_attention"]


@dataclass
class AttentionMaps:
    """The cross-attention of every token of a caption, T in all, shown and masked.

    Over the image's h x w tokens and [CLS] each distribution sums to 1.

    Attributes:
        tokens: (T,) tokens.
        words: (T,) the index of a token's word.
        shown: (layers, heads, T, h, w), the caption read as it is.
        shown_cls: (layers, heads, T), the part that goes to the image's [CLS].
        masked: (layers, heads, T, h, w), each token with its whole word masked, and no other.
        masked_cls: (layers, heads, T).
        probability: (T,) of the true token when its word is masked.
        image: (H, W, 3) uint8, RGB, as the model sees it.
        centre: where in its 16 x 16 pixels a token lies, as a share of the side.
    """

    tokens: np.ndarray
    words: np.ndarray
    shown: np.ndarray
    shown_cls: np.ndarray
    masked: np.ndarray
    masked_cls: np.ndarray
    probability: np.ndarray
    image: np.ndarray
    centre: float

    def save(self, path: str | Path) -> None:
        """Write all attributes as arrays of a compressed ``.npz``."""
        with open(path, "wb") as file:
            np.savez_compressed(file, **asdict(self))


def captions_with_masks(loaded: LoadedModel, words: Sequence[str]) -> tuple[TokenBatch, list[int]]:
    """Make a batch of one caption as it is, and with each of its words masked in turn.

    Args:
        loaded: the model.
        words: n words.

    Returns:
        n + 1 captions, the whole one first; and the word of each of the K tokens, or -1.
    """
    encoding, numbers = loaded.encode(words)
    original, mask, index = (
        torch.from_numpy(row).repeat(len(words) + 1, 1)
        for row in (encoding.ids, encoding.mask, numbers)
    )
    hidden = index == torch.arange(-1, len(words))[:, None]
    hidden[0] = False
    labels = original.masked_fill(~hidden, IGNORE_INDEX)
    ids = original.masked_fill(hidden, loaded.tokenizer.special["mask"])
    rows = (row.to(loaded.model.device) for row in (ids, original, mask, labels, index))
    return TokenBatch(*rows), numbers.tolist()


def cross_attention(
    loaded: LoadedModel, encoded: EncodedBatch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the cross-modal encoder.

    Returns:
        Its attention probabilities (layers, N, heads, K, 1 + S), and its output (N, K, d).

    Raises:
        ValueError: its text does not attend to the image.
    """
    encoder = loaded.mlm.cross_encoder
    with recorded_attention(encoder.cross_attentions) as layers:
        hidden = encoder(encoded.text, encoded.image, encoded.tokens.attention_mask)
    if not layers:
        raise ValueError(
            "the text of this model never attends to the image (MODEL.CROSS_ENCODER."
            "CROSS_ATTENTION is False)"
        )
    return torch.stack(layers), hidden


@torch.no_grad()
def attend(loaded: LoadedModel, picture: Picture, words: Sequence[str]) -> AttentionMaps:
    """Ask a model where it looks for each of some words.

    Args:
        loaded: the model.
        picture: the image.
        words: the caption; they need not be in the image.

    Raises:
        ValueError: the words cannot be asked for; see :meth:`LoadedModel.encode`.
    """
    model = loaded.model
    tokens, numbers = captions_with_masks(loaded, words)
    image, grid = model.encode_images([{"image": picture.pixels}])
    image = image.expand(len(words) + 1, -1, -1)
    encoded = model.with_captions(image, grid, tokens)
    maps, hidden = cross_attention(loaded, encoded)
    places = [place for place, number in enumerate(numbers) if number >= 0]
    rows = [1 + numbers[place] for place in places]
    true = tokens.original_ids[0, places]
    odds = loaded.mlm.head(hidden[rows, places]).float().softmax(dim=1)
    # (layers, heads, T, 1 + S)
    shown = maps[:, 0][:, :, places]
    masked = maps[:, rows, :, places].permute(1, 2, 0, 3)
    return AttentionMaps(
        tokens=np.array(loaded.tokenizer.tokens(true.cpu().numpy())),
        words=np.array([numbers[place] for place in places]),
        shown=shown[..., 1:].unflatten(3, grid).cpu().numpy(),
        shown_cls=shown[..., 0].cpu().numpy(),
        masked=masked[..., 1:].unflatten(3, grid).cpu().numpy(),
        masked_cls=masked[..., 0].cpu().numpy(),
        probability=odds.gather(1, true[:, None])[:, 0].cpu().numpy(),
        image=loaded.rgb(picture),
        centre=token_centre(loaded.cfg),
    )
