"""Detections -> one file of results, as the benchmarks' servers and scripts take them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..structures.quadrilateral import is_clockwise, quadrilateral

__all__ = ["format_detections", "to_quad", "write_submission"]


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
        file_format: a name of :data:`vlpt_d2.evaluation.formats.FORMATS`, or "art".

    Raises:
        KeyError: there is no such format.
        ValueError: two images get one name in the format; nothing is written.
    """
    if file_format == "art":
        _write_art(Path(path), detections)
        return
    name, line = _WRITERS[file_format]
    names = _named(detections, name)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for stem, (polygons, scores) in detections.items():
            archive.writestr(names[stem], _lines(line, polygons, scores))


def format_detections(
    polygons: Iterable[np.ndarray], scores: Sequence[float], file_format: str = "icdar2015"
) -> str:
    """Return the content of one image's file in :func:`write_submission`.

    Args:
        polygons: (N_i, 2) points each.
        scores: their confidences.
        file_format: see there; not "art".
    """
    return _lines(_WRITERS[file_format][1], polygons, scores)


def to_quad(polygon: np.ndarray) -> np.ndarray:
    """Return four corners in whole pixels, clockwise as seen on the image (the server insists).

    Args:
        polygon: (N, 2) points; see :func:`~vlpt_d2.structures.quadrilateral`.

    Returns:
        (4, 2) int64.
    """
    points = quadrilateral(polygon)
    return np.rint(points if is_clockwise(points) else points[::-1]).astype(np.int64)


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
    names, owners = {}, {}
    for stem in stems:
        names[stem] = name(stem)
        owner = owners.setdefault(names[stem], stem)
        if owner != stem:
            raise ValueError(
                f"the images {owner!r} and {stem!r} would both be {names[stem]} in the submission: "
                "rename one of them"
            )
    return names


def _numbers(values: np.ndarray) -> str:
    return ",".join(map(str, np.rint(values).astype(np.int64).ravel().tolist()))


def _quad(polygon: np.ndarray, score: float) -> str:
    return _numbers(to_quad(polygon))


def _scored_quad(polygon: np.ndarray, score: float) -> str:
    return f"{_numbers(to_quad(polygon))},{score:.6f}"


def _rectangle(polygon: np.ndarray, score: float) -> str:
    points = np.asarray(polygon)
    return _numbers(np.concatenate([points.min(axis=0), points.max(axis=0)]))


def _polygon_xy(polygon: np.ndarray, score: float) -> str:
    return _numbers(np.asarray(polygon))


def _polygon_yx(polygon: np.ndarray, score: float) -> str:
    return _numbers(np.asarray(polygon)[:, ::-1])


def _multilingual(stem: str) -> str:
    return f"res_{stem.removeprefix('ts_')}.txt"


def _seven_digits(stem: str) -> str:
    return f"{int(stem):07d}.txt" if stem.isascii() and stem.isdecimal() else f"{stem}.txt"


#: Format -> name of an image's file, and line of a detection.
_WRITERS: dict[str, tuple[Callable[[str], str], Callable[[np.ndarray, float], str]]] = {
    "icdar2015": ("res_{}.txt".format, _quad),
    "icdar2017": (_multilingual, _scored_quad),
    "icdar2013": ("res_{}.txt".format, _rectangle),
    "ctw1500": (_seven_digits, _polygon_xy),
    "totaltext": ("{}.txt".format, _polygon_yx),
    "td500": ("{}.txt".format, _quad),
}
