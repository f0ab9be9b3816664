"""Images of a dataset as people want to see them, at any stage, on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data.transforms import AugmentationList

from ..data.lazy import spread
from ..data.sample import load_sample
from ..data.transforms import TextAugInput, build_detection_augmentation
from ..modeling.pixels import rgb_picture
from ..modeling.pretraining.vlpt.mapper import PretrainMapper
from ..structures import TextInstances
from ..utils.names import counted
from ..utils.rng import SAMPLES, seeded_rng
from ..visualization.detections import IGNORED, TRUTH
from ..visualization.page import render_page
from ..visualization.polygons import draw_polygons, scaled, write_picture

__all__ = ["STAGES", "browse_dataset"]

# (H, W, 3) uint8, RGB, and a line below it.
_Picture = tuple[np.ndarray, str]
# Pixels of the longer side of a written picture.
_LARGEST = 1600


def browse_dataset(
    dicts: Sequence[dict[str, Any]],
    folder: str | Path,
    stage: str = "original",
    cfg: CfgNode | None = None,
    count: int = 30,
    seed: int = 0,
    title: str = "dataset",
) -> Path:
    """Draw images, evenly spread over a dataset, into a folder with a page that shows them.

    Args:
        dicts: dataset dicts.
        folder: gets ``0000.jpg`` and on, and ``index.html``, in place of those of an earlier run.
        stage: one of :data:`STAGES`: "original", as annotated; "augmented", as a detector is
            trained on it; "labels", with every label map of the config's head; "captions", image
            and caption of the pre-training, masked words in brackets.
        cfg: the config of the stages after "original".
        count: number of images.
        seed: of augmentations and masks.
        title: of the page.

    Returns:
        The path of the page.

    Raises:
        ValueError: no such stage, no image, or a stage that needs a config has none, or a file of
            another kind would be replaced.
    """
    if stage not in STAGES:
        raise ValueError(f"no stage {stage!r}; there are {', '.join(STAGES)}")
    if cfg is None and stage != "original":
        raise ValueError(f"the stage {stage!r} needs a config: --config-file")
    if not len(dicts) or count < 1:
        raise ValueError(f"nothing to draw: {count} of {len(dicts)} images")
    folder, chosen = Path(folder), spread(dicts, count)
    page = folder / "index.html"
    if not (page.is_file() and 'href="0000.jpg"' in page.read_text("utf-8", "replace")):
        for path in (page, *(folder / f"{number:04d}.jpg" for number in range(len(chosen)))):
            if path.exists():
                raise ValueError(f"{path} would be replaced: move it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    draw, pictures = STAGES[stage](cfg), []
    for number, record in enumerate(map(dict, chosen)):
        name = str(record["file_name"])
        with seeded_rng(SAMPLES, seed, number):
            image, caption = draw(record)
        file = f"{number:04d}.jpg"
        scale = min(1.0, _LARGEST / max(image.shape[:2]))
        pictures.append({"file": file, "name": name, "caption": caption})
        # First the page, by which the next run recognises the pictures.
        text = render_page("browse.html", f"{title}: {stage}", "none", pictures=pictures)
        page.write_text(text, "utf-8")
        write_picture(folder / file, scaled(image, scale))
    return page


def _original(record: dict[str, Any]) -> _Picture:
    image, texts = load_sample(record, "RGB")
    return _drawn(image, texts, with_words=True), _counted(texts.ignore)


def _augmented(record: dict[str, Any], cfg: CfgNode) -> _Picture:
    image, texts = load_sample(record, cfg.INPUT.FORMAT, cfg.DATASETS.RESTORE_SIZE)
    inputs = TextAugInput(image, texts.repaired()[0], cfg.INPUT.DETECTION.MIN_VISIBLE)
    AugmentationList(build_detection_augmentation(cfg, True))(inputs)
    image = rgb_picture(inputs.image, cfg.INPUT.FORMAT)
    return _drawn(image, inputs.texts), _counted(inputs.texts.ignore)


def _labels(record: dict[str, Any], cfg: CfgNode) -> _Picture:
    from .maps import draw_labels  # brings the detectors with it

    annotations = record.get("annotations", [])
    ignored = np.array([a.get("iscrowd", 0) for a in annotations], bool)
    return draw_labels(cfg, record, columns=2), _counted(ignored)


def _captions(cfg: CfgNode) -> Callable[[dict[str, Any]], _Picture]:
    mapper = PretrainMapper(cfg, True)
    tokenizer = mapper.tokenizer
    around = {tokenizer.special[name] for name in ("cls", "sep", "pad")}

    def draw(record: dict[str, Any]) -> _Picture:
        sample = mapper(record)
        image = rgb_picture(sample["image"], cfg.INPUT.FORMAT)
        # The input has the mask, or another token, in the place of what is to be predicted.
        hidden = (sample["mlm_labels"] != -100).tolist()
        ids = sample["original_ids"].numpy()
        pieces = zip(tokenizer.tokens(ids), ids.tolist(), hidden)
        words = [f"[{piece}]" if h else piece for piece, i, h in pieces if i not in around]
        caption = f"{sample['caption']} \u2192 {' '.join(words)}"
        return image, caption

    return draw


#: Stage -> from a config (None for "original") to what draws a dataset dict there.
STAGES: dict[str, Callable[[Any], Callable[[dict[str, Any]], _Picture]]] = {
    "original": lambda cfg: _original,
    "augmented": lambda cfg: partial(_augmented, cfg=cfg),
    "labels": lambda cfg: partial(_labels, cfg=cfg),
    "captions": _captions,
}


def _drawn(image: np.ndarray, texts: TextInstances, with_words: bool = False) -> np.ndarray:
    """Texts that count in blue, perhaps with their words; ignored ones in grey."""
    texts = texts[np.array([len(polygon) > 0 for polygon in texts.polygons], bool)]
    image = draw_polygons(image, texts[texts.ignore].polygons, IGNORED)
    cared = texts[~texts.ignore]
    return draw_polygons(image, cared.polygons, TRUTH, cared.words if with_words else None)


def _counted(ignore: np.ndarray) -> str:
    skipped = sum(map(bool, ignore))
    return f"{counted(len(ignore) - skipped, 'text')}, {skipped} ignored"
