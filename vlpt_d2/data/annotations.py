"""What the mappers take for granted of the annotations of a dataset dict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["check_annotations"]


def check_annotations(dataset_dict: dict[str, Any]) -> None:
    """Check the polygons and boxes of a dataset dict, as users' own loaders make them.

    Args:
        dataset_dict: ``annotations`` may have ``segmentation`` ([[x0, y0, x1, y1, ...], ...]),
            ``bbox`` (four numbers) and ``characters`` ([[x0, y0, ..., x3, y3], ...]), in pixels,
            and ``confidence``, in [0, 1].

    Raises:
        ValueError: one of them has another form, or a number that is not finite; the message names
            the image and the annotation.
    """
    for number, annotation in enumerate(dataset_dict.get("annotations", ())):
        fault = _fault(annotation)
        if fault:
            raise ValueError(
                f"{dataset_dict.get('file_name')}: annotations[{number}] of the dataset dict has "
                f"{fault}. Correct what makes the dicts, or leave the annotation out."
            )


def _fault(annotation: dict[str, Any]) -> str | None:
    for key in ("segmentation", "characters"):
        polygons = annotation.get(key)
        if polygons is None:
            continue
        if not isinstance(polygons, Sequence) or isinstance(polygons, str):
            return f"{key} that are no list of polygons [[x0, y0, x1, y1, ...], ...]"
        for ring in polygons:
            if not _are_numbers(ring):
                return "a polygon with a coordinate that is not a number or not finite"
            if len(ring) % 2:
                return f"a polygon of {len(ring)} numbers; they come in pairs x, y"
            if key == "characters" and len(ring) != 8:
                return f"a character of {len(ring) // 2} points; it has four corners"
    box = annotation.get("bbox")
    if box is not None and (not _are_numbers(box) or len(box) != 4):
        return "a bbox that is not four finite numbers"
    confidence = annotation.get("confidence", 1.0)
    if not _are_numbers([confidence]) or not 0 <= confidence <= 1:
        return "a confidence that is not a number from 0 to 1"
    return None


def _are_numbers(values: Any) -> bool:
    try:
        return all(map(math.isfinite, values))
    except TypeError:
        return False
