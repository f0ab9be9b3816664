"""Pointing accuracy over a dataset, every word masked by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import torch

from ..data.sample import PretrainImages, load_sample
from ..data.transforms import AffineTransform
from ..modeling.backbone.image_encoder import token_centre
from ..modeling.pretraining.pointing import PointedWord, point_at_words, pointing_results
from ..modeling.pretraining.vlpt.batch import TokenBatch
from ..structures import TextInstances
from .attention import captions_with_masks, cross_attention
from .loading import LoadedModel, Picture

__all__ = ["PointingQuery", "measure_pointing", "windows_of_words"]

# Images that are encoded at once; the shuffled control is the next one of them. And captions, one
# for each word and one more, whose attention is held at once: at 512 pixels 13 MiB each.
_BATCH = 32
_CAPTIONS = 128
# Crops around words: the word's height as a share of the window's, as in the middle of the
# rendered preset "quickstart" (0.2 to 0.27), and the most that its width may take.
_HEIGHT_SHARE, _WIDTH_SHARE = 0.235, 0.9
# Pixels; lower words are a blur once they are enlarged.
_MIN_HEIGHT = 16
# Share of a word's area that must be in a window for it to be one of its words.
_MIN_VISIBLE = 0.5


@dataclass
class PointingQuery(Picture):
    """An image with the words that the model knows, and the numbers of those asked for."""

    asked: list[int]


@torch.no_grad()
def measure_pointing(
    loaded: LoadedModel,
    dicts: Sequence[dict[str, Any]],
    crops: bool = False,
    min_width: float = 0.0,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Measure whether the cross-attention of words peaks on them.

    Captions hold the image's words that the tokenizer knows, in annotation order, as many as the
    model reads. Each word is masked by itself; shown words are measured in the whole caption.

    Args:
        loaded: the model.
        dicts: dataset dicts with polygons.
        crops: in place of whole images take a window around each word, at a random place within
            it; see :func:`windows_of_words`.
        min_width: ask only for words whose box has this share of the image's width (with crops:
            of the window's).
        seed: of the windows' places.

    Returns:
        For "masked" and "shown" words, the shares of
        :func:`~..modeling.pretraining.pointing.pointing_results` in percent and ``words``, their
        number.
    """
    pointed: list[PointedWord] = []
    batch: list[PointingQuery] = []
    for question in _questions(loaded, dicts, crops, min_width, seed):
        captions = sum(len(q.words) + 1 for q in [*batch, question])
        if len(batch) == _BATCH or (batch and captions > _CAPTIONS):
            pointed += _ask(loaded, batch)
            batch = []
        batch.append(question)
    if batch:
        pointed += _ask(loaded, batch)
    results = {}
    for name, masked in (("masked", True), ("shown", False)):
        words = [word for word in pointed if word.masked == masked]
        results[name] = {"words": len(words), **pointing_results(words)}
    return results


def windows_of_words(
    image: np.ndarray, texts: TextInstances, rng: np.random.RandomState
) -> Iterator[tuple[np.ndarray, TextInstances, int]]:
    """Cut a square window around each word, of a size at which the word is large in it.

    The word's height is 0.235 of the window's, or its width 0.9 where it is long; its place
    in the window is drawn uniformly from those that contain the whole word, as far as the image
    reaches. Words lower than 16 pixels are skipped.

    Args:
        image: (H, W, 3) uint8.
        texts: words, sound polygons in its pixels.
        rng: draws the places.

    Yields:
        The window, the texts of which at least half is in it, in its pixels, and which of them it
        was cut for.
    """
    height, width = image.shape[:2]
    shapes = [shapely.Polygon(ring) for ring in texts.polygons]
    for number, box in enumerate(texts.bounds()):
        low, high = box[:2], box[2:]
        extent = high - low
        if extent[1] < _MIN_HEIGHT:
            continue
        side = max(extent[1] / _HEIGHT_SHARE, extent[0] / _WIDTH_SHARE)
        sides = np.minimum(round(side), (width, height))
        # The window's corner, such that the word is inside and the window in the image.
        first = np.clip(high - sides, 0, (width, height) - sides)
        last = np.clip(low, first, (width, height) - sides)
        corner = np.floor(rng.uniform(first, last)).astype(int)
        (x0, y0), (x1, y1) = corner.tolist(), (corner + sides).tolist()
        frame = shapely.box(x0, y0, x1, y1)
        inside = [
            i
            for i, shape in enumerate(shapes)
            if shape.intersection(frame).area >= _MIN_VISIBLE * shape.area
        ]
        if number not in inside:
            continue
        shift = AffineTransform(np.array([[1.0, 0, -x0], [0, 1.0, -y0]]), (y1 - y0, x1 - x0))
        mapped = texts[inside].mapped(shift.apply_coords)
        yield image[y0:y1, x0:x1], mapped, inside.index(number)


def _questions(
    loaded: LoadedModel, dicts: Sequence[dict], crops: bool, min_width: float, seed: int
) -> Iterator[PointingQuery]:
    images = PretrainImages.from_config(loaded.cfg, False)
    rng = np.random.RandomState(seed)
    for item in dicts:
        image, texts = load_sample(item, images.image_format, images.restore_size)
        texts = texts.legible().repaired()[0]
        known = [
            len(polygon) > 0 and loaded.knows(word.strip())
            for polygon, word in zip(texts.polygons, texts.words)
        ]
        texts = texts[np.array(known, bool)]
        # A word of several polygons is looked for at its first.
        texts = texts[np.unique(texts.annotation, return_index=True)[1]]
        if not len(texts):
            continue
        views = windows_of_words(image, texts, rng) if crops else [(image, texts, None)]
        for view, inside, target in views:
            pixels, seen = images.augment(view, inside)
            if target is not None and len(seen) < len(inside):
                continue  # a word without a visible pixel was left out: the numbers are others
            words = seen.captions()
            count = _fitting(loaded, words)
            asked = [target] if target is not None else list(range(len(words)))
            widths = np.diff(seen.bounds()[:, [0, 2]])[:, 0]
            least = min_width * pixels.shape[2]
            asked = [i for i in asked if i < count and widths[i] >= least]
            if asked:
                yield PointingQuery(pixels, words[:count], seen.places()[:count], asked)


def _fitting(loaded: LoadedModel, words: Sequence[str]) -> int:
    """How many of the first words make a caption that is not cut."""
    lengths = np.cumsum([len(loaded.tokenizer.pieces(word)) for word in words])
    return int((lengths <= loaded.tokenizer.max_tokens - 2).sum())


def _ask(loaded: LoadedModel, questions: Sequence[PointingQuery]) -> list[PointedWord]:
    """Point at the words of some images, and at those of the next image as a control."""
    model = loaded.model
    image, grid = model.encode_images([{"image": q.pixels} for q in questions])
    captions = [captions_with_masks(loaded, q.words) for q in questions]
    owner = torch.tensor([i for i, q in enumerate(questions) for _ in range(len(q.words) + 1)])
    tokens = TokenBatch(
        *(
            torch.cat([getattr(batch, name) for batch, _ in captions])
            for name in ("input_ids", "original_ids", "attention_mask", "mlm_labels", "word_index")
        )
    )
    views = [image, image.roll(-1, dims=0)] if len(questions) > 1 else [image]
    maps = []
    for view in views:
        encoded = model.with_captions(view[owner.to(view.device)], grid, tokens)
        attention, _ = cross_attention(loaded, encoded)
        # (rows, layers, K, h, w)
        maps.append(attention.mean(dim=2)[..., 1:].unflatten(3, grid).transpose(0, 1))
    labels = tokens.mlm_labels.cpu()
    pointed = []
    row = 0
    for question, (_, numbers) in zip(questions, captions):
        for asked in [None, *range(len(question.words))]:
            # The whole caption asks for all shown words, the others for the one they mask.
            wanted = question.asked if asked is None else [i for i in question.asked if i == asked]
            sample = {
                "image": question.pixels,
                "mlm_labels": labels[row],
                "token_words": torch.tensor([n if n in wanted else -1 for n in numbers]),
                "word_polygons": question.polygons,
            }
            pointed += point_at_words(
                sample,
                maps[0][row],
                maps[1][row] if len(maps) > 1 else None,
                layers=loaded.cfg.TEST.POINTING_LAYERS,
                centre=token_centre(loaded.cfg),
            )
            row += 1
    return pointed
