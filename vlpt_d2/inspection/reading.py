"""What a pre-trained model reads: words for masks, and captions for images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..data.text.masking import IGNORE_INDEX
from ..data.text.tokenizer import Encoding
from ..modeling.pretraining.batch import full_precision
from ..modeling.pretraining.vlpt.batch import TokenBatch
from .loading import LoadedModel, Picture

__all__ = ["MASK", "fill_masks", "rank_captions"]

MASK = "[MASK]"
# Captions that are encoded at once.
_BATCH = 256


@torch.no_grad()
def fill_masks(
    loaded: LoadedModel, picture: Picture, prompt: str, top: int = 5, one_by_one: bool = False
) -> list[list[tuple[str, float]]]:
    """Ask what the masks of a caption hide.

    Args:
        loaded: the model.
        picture: the image.
        prompt: a caption with one or more "[MASK]".
        top: guesses for each mask.
        one_by_one: fill the mask whose best guess is the surest first and ask again for the
            others; else all masks are asked for at once, each as if the others stayed masked.

    Returns:
        For each mask, in the order of the prompt, tokens and their probabilities over the whole
        vocabulary, the most probable first.

    Raises:
        ValueError: the prompt has no mask, unknown words, or too many tokens.
    """
    ids, places = _prompt_ids(loaded, prompt)
    mask = ids != loaded.tokenizer.special["pad"]
    model = loaded.model
    image, grid = model.encode_images([{"image": picture.pixels}])
    guesses: dict[int, list[tuple[str, float]]] = {}
    while len(guesses) < len(places):
        asked = [place for place in places if place not in guesses]
        labels = torch.full_like(ids, IGNORE_INDEX)
        labels[:, asked] = 0
        # What is masked is not known: neither are the words.
        tokens = TokenBatch(ids, ids, mask, labels, torch.full_like(ids, -1))
        encoded = model.with_captions(image, grid, tokens)
        odds = loaded.mlm.logits(encoded).softmax(dim=1)
        if one_by_one:
            surest = int(odds.max(dim=1).values.argmax())
            asked, odds = [asked[surest]], odds[surest : surest + 1]
            ids[0, asked[0]] = odds[0].argmax()
        best = odds.topk(min(top, odds.shape[1]), dim=1)
        for place, values, rows in zip(asked, best.values, best.indices):
            words = loaded.tokenizer.tokens(rows.cpu().numpy())
            guesses[place] = list(zip(words, values.tolist()))
    return [guesses[place] for place in places]


@torch.no_grad()
def rank_captions(
    loaded: LoadedModel, picture: Picture, captions: Sequence[str]
) -> list[tuple[int, float, float]]:
    """Order captions by how well they fit an image.

    Args:
        loaded: a model with ITC.
        picture: the image.
        captions: at least one.

    Returns:
        For each caption its number, the cosine of its vector and the image's, and its
        probability, the softmax of all cosines times the model's learned scale; the best first.

    Raises:
        ValueError: there is no caption, or one with words that the tokenizer lacks or with more
            than the model reads.
    """
    if not captions:
        raise ValueError("there is no caption to rank")
    encodings = [_encode(loaded, number, text) for number, text in enumerate(captions, 1)]
    model, itc = loaded.model, loaded.itc
    image, grid = model.encode_images([{"image": picture.pixels}])
    cosines = []
    for start in range(0, len(captions), _BATCH):
        batch = encodings[start : start + _BATCH]
        ids = torch.stack([torch.from_numpy(e.ids) for e in batch]).to(model.device)
        mask = torch.stack([torch.from_numpy(e.mask) for e in batch]).to(model.device)
        labels = torch.full_like(ids, IGNORE_INDEX)
        tokens = TokenBatch(ids, ids, mask, labels, torch.full_like(ids, -1))
        encoded = model.with_captions(image.expand(len(ids), -1, -1), grid, tokens)
        ours, theirs = itc.features(encoded)
        cosines.append((ours * theirs).sum(dim=1))
    cosine = torch.cat(cosines)
    odds = (full_precision(itc.scale()) * cosine).softmax(dim=0)
    order = cosine.argsort(descending=True, stable=True)
    return [(int(i), float(cosine[i]), float(odds[i])) for i in order]


def _encode(loaded: LoadedModel, number: int, caption: str) -> Encoding:
    try:
        return loaded.encode(caption.split())[0]
    except ValueError as error:
        raise ValueError(f"caption {number}, {caption!r}: {error}") from error


def _prompt_ids(loaded: LoadedModel, prompt: str) -> tuple[torch.Tensor, list[int]]:
    """The ids (1, K) of a prompt and the places of its masks."""
    tokenizer = loaded.tokenizer
    words = prompt.replace(MASK, f" {MASK} ").split()
    unknown = [word for word in words if word != MASK and not loaded.knows(word)]
    if MASK not in words:
        raise ValueError(f"the prompt {prompt!r} has no {MASK} to fill in")
    if unknown:
        raise ValueError(f"the vocabulary has no tokens for {', '.join(map(repr, unknown))}")
    special = tokenizer.special
    pieces = [[special["mask"]] if word == MASK else tokenizer.pieces(word) for word in words]
    row = [special["cls"], *(i for word in pieces for i in word), special["sep"]]
    if len(row) > tokenizer.max_tokens:
        raise ValueError(
            f"the prompt makes {len(row) - 2} tokens; the model reads {tokenizer.max_tokens - 2} "
            "(MODEL.TEXT_ENCODER.MAX_TOKENS less [CLS] and [SEP])"
        )
    places = [place for place, i in enumerate(row) if i == special["mask"]]
    row += [special["pad"]] * (tokenizer.max_tokens - len(row))
    return torch.tensor([row], device=loaded.model.device), places
