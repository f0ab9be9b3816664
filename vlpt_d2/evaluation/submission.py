"""Detections -> one file of results, as the benchmarks' servers and scripts take them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .files import file_formats

__all__ = ["format_detections", "write_submission"]


def write_submission(
    path: str | Path,
    detections: Mapping[str, tuple[Iterable[np.ndarray], Sequence[float]]],
    file_format: str = "icdar2015",
) -> None:
    """Write an archive of one file per image and one line per detection, in whole pixels.

    ``vlpt-d2 evaluate`` reads it, and so does the Robust Reading Competition's server
    (rrc.cvc.uab.es, tasks of the challenges 2, 4, 8, 14 and 15) in the formats of its benchmarks:

    - icdar2015: ``res_<stem>.txt``, ``x1,y1,...,x4,y4``, clockwise; icdar2017 the same with the
      confidence, and ``res_img_7.txt`` for ``ts_img_7``; icdar2013 ``left,top,right,bottom``;
    - art: no archive but one JSON file, ``{"res_0": [{"points": [[x, y], ...], "confidence": c},
      ...], ...}``, with any number of points;
    - ctw1500: ``<stem>.txt`` with seven digits, any number of pairs ``x,y``;
    - totaltext: ``<stem>.txt``, any number of pairs ``y,x``;
    - td500: ``<stem>.txt``, ``x1,y1,...,x4,y4``.

    Args:
        path: the file to write.
        detections: stem of the image's file name, such as ``img_7`` -> its polygons (N_i, 2) and
            their confidences.
        file_format: a name of :func:`~.files.file_formats`, or "art".

    Raises:
        KeyError: there is no such format.
        ValueError: two images get one name in the format; nothing is written.
    """
    if file_format == "art":
        _write_art(Path(path), detections)
        return
    layout = file_formats()[file_format]
    names = _named(detections, layout.write_name)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for stem, (polygons, scores) in detections.items():
            archive.writestr(names[stem], _lines(layout.write_dt, polygons, scores))


def format_detections(
    polygons: Iterable[np.ndarray], scores: Sequence[float], file_format: str = "icdar2015"
) -> str:
    """Return the content of one image's file in :func:`write_submission`.

    Args:
        polygons: (N_i, 2) points each.
        scores: their confidences.
        file_format: see there; not "art".
    """
    return _lines(file_formats()[file_format].write_dt, polygons, scores)


def _lines(
    line: Callable[[np.ndarray, float], str],
    polygons: Iterable[np.ndarray],
    scores: Sequence[float],
) -> str:
    pairs = zip(polygons, scores, strict=True)
    return "".join(line(p, float(s)) + "\r\n" for p, s in pairs)


def _write_art(
    path: Path, detections: Mapping[str, tuple[Iterable[np.ndarray], Sequence[float]]]
) -> None:
    names = _named(detections, lambda stem: f"res_{stem.rpartition('_')[2]}")
    content = {
        names[stem]: [
            {"points": np.rint(p).astype(np.int64).tolist(), "confidence": round(float(s), 6)}
            for p, s in zip(polygons, scores, strict=True)
        ]
        for stem, (polygons, scores) in detections.items()
    }
    path.write_text(json.dumps(content), "utf-8")


def _named(stems: Iterable[str], name: Callable[[str], str]) -> dict[str, str]:
    """Stem -> its name in the submission."""
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for stem in stems:
        names[stem] = name(stem)
        owner = owners.setdefault(names[stem], stem)
        if owner != stem:
            raise ValueError(
                f"the images {owner!r} and {stem!r} would both be {names[stem]} in the submission: "
                "rename one of them"
            )
    return names
