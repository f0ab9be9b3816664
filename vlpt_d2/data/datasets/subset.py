"""A handful of a dataset's images as a dataset of its own."""

from __future__ import annotations

from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

__all__ = ["register_first_with_text"]


def register_first_with_text(source: str, count: int) -> str:
    """Register the first images of a dataset that have a text which is not ignored.

    Args:
        source: a registered dataset, read at once. Of rendered images, whose words are not known
            before they are drawn, the first are taken.
        count: number of images.

    Returns:
        The new dataset's name, ``<source>_first_<count>``; it has the metadata of ``source``.

    Raises:
        ValueError: ``source`` has fewer such images.
    """
    dicts = [d for d in DatasetCatalog.get(source) if _has_text(d)][:count]
    if not 0 < count == len(dicts):
        raise ValueError(
            f"{count} images with text are asked for and {source} has {len(dicts)}; ask for "
            f"1 to {len(dicts)}"
        )
    name = f"{source}_first_{count}"
    if name not in DatasetCatalog.list():
        DatasetCatalog.register(name, lambda: [dict(d) for d in dicts])
        metadata = MetadataCatalog.get(source).as_dict() | {"name": name}
        MetadataCatalog.get(name).set(**metadata)
    return name


def _has_text(dataset_dict: dict[str, Any]) -> bool:
    annotations = dataset_dict.get("annotations", [])
    return "render" in dataset_dict or any(not a.get("iscrowd", 0) for a in annotations)
