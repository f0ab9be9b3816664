"""Detections -> the zip archive that the Robust Reading Competition's server takes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

__all__ = ["to_quad", "write_icdar2015_submission"]


def write_icdar2015_submission(
    path: str | Path, detections: Mapping[str, Iterable[np.ndarray]]
) -> None:
    """Write an archive for ICDAR2015 Challenge 4, Task 1.

    It holds one ``res_<stem>.txt`` per image (rrc.cvc.uab.es, ch=4, tasks), one line
    ``x1,y1,...,x4,y4`` of whole pixels per detection, in the order given.

    Args:
        path: the archive to write.
        detections: stem of the image's file name, such as ``img_7`` -> its polygons (N_i, 2).
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for stem, polygons in detections.items():
            lines = (",".join(map(str, to_quad(p).ravel().tolist())) for p in polygons)
            archive.writestr(f"res_{stem}.txt", "".join(line + "\r\n" for line in lines))


def to_quad(polygon: np.ndarray) -> np.ndarray:
    """Return four corners in whole pixels, clockwise as seen on the image (the server insists).

    Args:
        polygon: (N, 2) points; unless N is 4, the minimum-area rectangle around them is taken.

    Returns:
        (4, 2) int64.
    """
    points = np.asarray(polygon, dtype=np.float32)
    if len(points) != 4:
        points = cv2.boxPoints(cv2.minAreaRect(points))
    x, y = points.T
    # y points down, so the shoelace sum of a ring that runs clockwise on the image is positive.
    if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) < 0:
        points = points[::-1]
    return np.rint(points).astype(np.int64)
