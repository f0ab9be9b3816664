"""What the mappers take for granted of the annotations of a dataset dict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["check_annotations"]


def check_annotations(dataset_dict: dict[str, Any]) -> None:
    """Check the polygons and boxes of a dataset dict, as users' own loaders make them.

    Args:
        dataset_dict: ``annotations`` may have ``segmentation`` ([[x0, y0, x1, y1, ...], ...]) and
            ``bbox`` (four numbers), in pixels.

    Raises:
        ValueError: one of them has another form, or a number that is not finite; the message names
            the image and the annotation.
    """
    for number, annotation in enumerate(dataset_dict.get("annotations", ())):
        fault = _fault(annotation.get("segmentation"), annotation.get("bbox"))
        if fault:
            raise ValueError(
                f"{dataset_dict.get('file_name')}: annotations[{number}] of the dataset dict has "
                f"{fault}. Correct what makes the dicts, or leave the annotation out."
            )


def _fault(segmentation: Any, box: Any) -> str | None:
    if segmentation is not None:
        if not isinstance(segmentation, Sequence) or isinstance(segmentation, str):
            return "a segmentation that is no list of polygons [[x0, y0, x1, y1, ...], ...]"
        for ring in segmentation:
            if not _are_numbers(ring):
                return "a polygon with a coordinate that is no number or not finite"
            if len(ring) % 2:
                return f"a polygon of {len(ring)} numbers; they come in pairs x, y"
    if box is not None and (not _are_numbers(box) or len(box) != 4):
        return "a bbox that is not four finite numbers"
    return None


def _are_numbers(values: Any) -> bool:
    try:
        return all(map(math.isfinite, values))
    except TypeError:
        return False
