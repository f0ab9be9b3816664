"""Rendered images as detectron2 datasets: dataset dicts that say how to make each image."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from detectron2.config import CfgNode

from ..rendering.settings import resolve_settings
from .dataset import register_text_dataset

__all__ = ["load_rendered", "register_rendered", "register_rendered_from_config"]

#: Where the images of the validation sets start: beyond the last of any training set.
VALIDATION_START = 1_000_000_000

# name -> (preset, number of images, first index)
_BUILTIN = {
    "rendered_train": ("default", 100_000, 0),
    "rendered_val": ("default", 1_000, VALIDATION_START),
    "rendered_quickstart_train": ("quickstart", 20_000, 0),
    "rendered_quickstart_val": ("quickstart", 512, VALIDATION_START),
    "rendered_quickstart_detection_train": ("quickstart_detection", 10_000, 0),
    "rendered_quickstart_detection_val": ("quickstart_detection", 200, VALIDATION_START),
}


def load_rendered(
    preset: str,
    settings: Mapping[str, Any] | None,
    size: int,
    start_index: int = 0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the dataset dicts of a rendered corpus; nothing is rendered yet.

    ``annotations`` is empty and ``"render"`` holds the spec from which ``load_sample`` makes
    image and annotations; ``file_name`` only names the image in messages and results.

    Args:
        preset: a name of ``vlpt_d2.data.rendering.PRESETS``.
        settings: settings that differ from the preset.
        size: number of images.
        start_index: index of the first.
        seed: seed of the corpus.

    Raises:
        ValueError: for unknown or impossible settings, or the name of another kind of dataset.
    """
    overrides = dict(settings or {})
    height, width = resolve_settings(preset, overrides).size
    return [
        {
            "file_name": f"rendered/{preset}/{seed}/{index:06d}.jpg",
            "height": height,
            "width": width,
            "image_id": index,
            "annotations": [],
            "render": {"preset": preset, "settings": overrides, "seed": seed, "index": index},
        }
        for index in range(start_index, start_index + size)
    ]


def register_rendered(
    name: str,
    preset: str = "default",
    settings: Mapping[str, Any] | None = None,
    size: int = 10_000,
    start_index: int = 0,
    seed: int = 0,
) -> None:
    """Register a rendered corpus, see :func:`load_rendered`, replacing one of the same name."""
    resolve_settings(preset, settings)
    corpus = (preset, dict(settings or {}), size, start_index, seed)
    load = partial(load_rendered, *corpus)
    register_text_dataset(name, load, "icdar2015", repr(corpus), "rendered")


def register_rendered_from_config(cfg: CfgNode) -> None:
    """Register ``<NAME>_train`` and ``<NAME>_val`` as ``cfg.DATASETS.RENDERED`` describes them.

    Does nothing where ``DATASETS.RENDERED.NAME`` is empty. Keys that are None keep the preset's
    value.

    Raises:
        ValueError: for an unknown preset or impossible settings.
    """
    node = cfg.DATASETS.RENDERED
    if not node.NAME:
        return
    settings = {key.lower(): value for key, value in node.SETTINGS.items() if value is not None}
    common = {"preset": node.PRESET, "settings": settings, "seed": node.SEED}
    register_rendered(f"{node.NAME}_train", size=node.TRAIN_SIZE, **common)
    register_rendered(
        f"{node.NAME}_val", size=node.VAL_SIZE, start_index=VALIDATION_START, **common
    )


def register_builtin_rendered() -> None:
    """Register the rendered datasets that come with the package, once."""
    for name, (preset, size, start_index) in _BUILTIN.items():
        register_rendered(name, preset, size=size, start_index=start_index)
