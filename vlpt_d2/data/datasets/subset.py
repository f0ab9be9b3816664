"""A handful of a dataset's images as a dataset of its own."""

from __future__ import annotations

import itertools

from detectron2.data import DatasetCatalog, MetadataCatalog

from ..lazy import is_trainable
from ..loader import get_dataset_dicts

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
        KeyError: ``source`` is not registered.
        ValueError: ``source`` has fewer such images.
    """
    found = (d for d in get_dataset_dicts([source]) if is_trainable(d))
    dicts = list(itertools.islice(found, max(count, 0)))
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
