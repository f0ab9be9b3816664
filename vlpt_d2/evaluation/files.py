"""Ground truth and results of a benchmark, from two folders or archives to arrays of points."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from ..data.datasets.builtin import DATASETS
from ..data.datasets.file_format import FileFormat
from ..data.datasets.ground_truth import GroundTruthError, decode_text, parse_lines
from ..data.datasets.report import ReadReport
from ..structures import DONT_CARE
from ..utils.names import natural_key
from .protocols import PROTOCOLS, Protocol
from .protocols.convex import quad_boxes
from .protocols.pairs import same_image
from .sources import FileError, Source

__all__ = ["FileError", "ImageTexts", "ResultSet", "file_formats", "load_set"]

# So much more of the detections' boxes has to lie on ground truths before x and y change places.
_CLEARLY = 2.0
# Images that are in memory at once, where a protocol does not need all.
_BATCH = 2000
# Lines that can be read together: only numbers and commas, and plain words. Possessive
# quantifiers (the second "+") do not backtrack and match in a third of the time.
_NUMBERS = {n: ",".join(n * [r"-?+[0-9]{1,6}+(?:\.[0-9]{1,15}+)?+"]) for n in (8, 9)}
_PLAIN_RESULTS = {n: re.compile(rf"(?:{numbers}\n)++") for n, numbers in _NUMBERS.items()}
_PLAIN_TRUTH = re.compile(rf'^({_NUMBERS[8]}),([^,"\n]*+)$', re.MULTILINE)


#: Of each polygon (N_i, 2) points; quadrilaterals may be one array (N, 4, 2).
Polygons = Sequence[np.ndarray]


@dataclass
class ImageTexts:
    """One image.

    Attributes:
        name: the image, as the names of its files have it.
        gt_polygons: per ground truth (N_i, 2) float64 points in pixels; of quadrilaterals perhaps
            one array (N, 4, 2).
        gt_ignore: per ground truth, the benchmark's don't-care mark.
        gt_texts: per ground truth, the transcription, empty where there is none.
        det_polygons: the same of the detections, in the order measured.
        scores: per detection, the confidence; None where the files have none.
        has_result: whether there is a result file.
    """

    name: str
    gt_polygons: Polygons
    gt_ignore: list[bool]
    gt_texts: list[str]
    det_polygons: Polygons = field(default_factory=list)
    scores: list[float] | None = None
    has_result: bool = False


def file_formats() -> dict[str, FileFormat]:
    """Name -> format of every dataset's benchmark files."""
    formats = (dataset.file_format for dataset in DATASETS.values())
    return {f.name: f for f in formats if f is not None}


class ResultSet:
    """The ground truth and the results of a benchmark, read in batches. A context manager.

    Args:
        gt, dt: folder or zip archive of ground truth and of result files.
        protocol: whose rules for reading files hold.
        file_format: a name of :func:`file_formats`; the protocol's, or found by the names of the
            ground truth files, if not given.
        order: "xy" or "yx", which coordinate comes first in result files; the format's if not
            given.

    Attributes:
        file_format, order: the name of the format and the order that are read.
        notes: what was repaired, cut off, left out or looks odd -> how often.
        missing: names of the images without a result file.
        mixed: whether some result files have confidences and others none; then none is used.

    Raises:
        FileError: there is nothing to read, or a result file has no ground truth.
        KeyError: no such format.
    """

    def __init__(
        self,
        gt: str | Path,
        dt: str | Path,
        protocol: Protocol,
        file_format: str | None = None,
        order: str | None = None,
    ):
        self.notes: Counter[str] = Counter()
        self._paths, self._protocol, self._given_order = (gt, dt), protocol, order
        with ExitStack() as sources:
            self._gt, self._dt = (sources.enter_context(Source(path)) for path in (gt, dt))
            name = file_format or protocol.file_format or _format_of(self._gt.names, gt)
            self._layout = file_formats()[name]
            self.file_format, self.order = name, order or self._layout.order
            self._gt_files = self._list_ground_truth()
            self._dt_files = self._list_results()
            self._sources = sources.pop_all()
        self._names = sorted(self._gt_files, key=natural_key)
        self.missing = [name for name in self._names if name not in self._dt_files]
        self.mixed = False
        self._kinds: set[bool] = set()
        self._fit = np.zeros(2)

    def __enter__(self) -> ResultSet:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sources.close()

    def batches(self, size: int = _BATCH) -> Iterator[list[ImageTexts]]:
        """Read the images, in natural order of their names.

        Args:
            size: images of a batch; a protocol that needs all at once gets all.

        Raises:
            FileError: a file cannot be read.
        """
        protocol, names = self._protocol, self._names
        if protocol.match_set is not None or protocol.sort_by_score:
            size = len(names)
        if self._layout.name in protocol.either_order:
            size = len(names)
        for start in range(0, len(names), size):
            images = self._read_truth(names[start : start + size])
            self._read_results([image for image in images if image.name in self._dt_files])
            if self._given_order is None:
                self._fit += _covered(images)
                if start + size >= len(names):
                    self._note_order()
            self._finish(images)
            yield images

    def expect_scores(self, images: list[ImageTexts]) -> list[ImageTexts]:
        """Return the images.

        Raises:
            FileError: one has detections without confidences.
        """
        for image in images:
            if len(image.det_polygons) and image.scores is None:
                raise FileError(
                    f"{self._paths[1]}: the {self._protocol.name} protocol ranks detections by "
                    f"confidence, but the results of {image.name} have none. Add one as the last "
                    "field of every line."
                )
        return images

    def _list_ground_truth(self) -> dict[str, str]:
        """Image -> its file."""
        chosen: dict[str, str] = {}
        for file in self._gt.names:
            image = self._layout.image(file, self._layout.gt_name)
            if image is None:
                self.notes["files next to the ground truth that were not read"] += 1
                continue
            if image in chosen:
                what = "images with ground truth in several files, of which one was read"
                self.notes[what] += 1
                pair = (chosen[image], file)
                file = min(pair, key=lambda f: (f.endswith(".txt"), f))
            chosen[image] = file
        if not chosen:
            raise FileError(
                f"{self._paths[0]}: no ground truth file; {self._layout.name} names them like "
                f"{self._layout.gt_example}. Check the path, the names and --format."
            )
        return chosen

    def _list_results(self) -> dict[str, str]:
        """Image -> its file."""
        found: dict[str, str] = {}
        source, layout = self._paths[1], self._layout
        for file in self._dt.names:
            image = layout.image(file, layout.dt_name)
            if image is None and not file.lower().endswith(".txt"):
                self.notes["files next to the results that were not read"] += 1
                continue
            if image is None:
                raise FileError(
                    f"{source}, {file}: no name of a result file; {layout.name} has names like "
                    f"{layout.dt_example}. Rename or remove it."
                )
            if image not in self._gt_files:
                raise FileError(
                    f"{source}, {file}: there is no ground truth for it. Remove it, or check "
                    "that both paths are of the same images."
                )
            if image in found:
                raise FileError(f"{source}, {file}: a second result file for one image.")
            found[image] = file
        if not found:
            raise FileError(
                f"{source}: no result file; {layout.name} names them like {layout.dt_example}. "
                "Check the path, the names and --format."
            )
        return found

    def _read_truth(self, names: Sequence[str]) -> list[ImageTexts]:
        report = ReadReport(str(self._paths[0]))
        images, plain = [], []
        for name in names:
            file = self._gt_files[name]
            lines = self._plain_truth(file) if self._layout.quad_gt else None
            if lines is not None:
                numbers, words = map(list, zip(*lines))
                images.append(ImageTexts(name, [], [word == DONT_CARE for word in words], words))
                plain.append((images[-1], numbers))
                continue
            path = self._gt.path(file)
            try:
                texts = self._layout.read_gt(path, report)
            except GroundTruthError as error:
                where = f"{self._paths[0]}, {file}"
                raise FileError(str(error).replace(str(path), where)) from error
            images.append(
                ImageTexts(
                    name,
                    _as_array(
                        [np.asarray(text.points, np.float64).reshape(-1, 2) for text in texts]
                    ),
                    [self._layout.is_ignored(text) for text in texts],
                    [text.text for text in texts],
                )
            )
        rows = _numbers([line for _, lines in plain for line in lines], 8).reshape(-1, 4, 2)
        start = 0
        for image, of_image in plain:
            image.gt_polygons = cast(Polygons, rows[start : start + len(of_image)])
            start += len(of_image)
        for counter in (report.repaired, report.dropped, report.notes):
            self.notes.update({f"ground truth: {fault}": n for fault, n in counter.items()})
        return images

    def _plain_truth(self, file: str) -> list[tuple[str, str]] | None:
        """Coordinates and word of each line, if all are plain; else None."""
        try:
            text = self._gt.read(file).removeprefix(codecs.BOM_UTF8).decode()
        except UnicodeDecodeError:
            return None
        text = text.replace("\r\n", "\n").removesuffix("\n")
        lines = _PLAIN_TRUTH.findall(text)
        is_plain = len(lines) == text.count("\n") + 1 and "\0" not in text and "\r" not in text
        return lines if is_plain else None

    def _read_results(self, images: Sequence[ImageTexts]) -> None:
        plain: dict[int, list[tuple[ImageTexts, str]]] = {8: [], 9: []}
        for image in images:
            image.has_result = True
            file = self._dt_files[image.name]
            content = self._dt.read(file)
            columns = None
            if self._layout.quads and content:
                try:
                    text = content.decode("ascii").replace("\r\n", "\n").removesuffix("\n") + "\n"
                except UnicodeDecodeError:
                    text = ""
                # Of files of one kind the first pattern that fits a line fits all.
                columns = text.partition("\n")[0].count(",") + 1
            if columns in plain and _PLAIN_RESULTS[columns].fullmatch(text):
                plain[columns].append((image, text))
            else:
                self._parse_results(image, file, content)
        for columns, files in plain.items():
            counts = [text.count("\n") for _, text in files]
            rows = _numbers([text[:-1].replace("\n", ",") for _, text in files], columns)
            quads = np.ascontiguousarray(rows[:, :8]).reshape(-1, 4, 2)
            scores = rows[:, 8].tolist() if columns == 9 else None
            doubtful = columns == 9 and bool((rows[:, 8] > 1).any() or (rows[:, 8] < 0).any())
            start = 0
            for (image, text), count in zip(files, counts):
                if doubtful:  # the parser knows which line
                    file = self._dt_files[image.name]
                    self._parse_results(image, file, text.encode())
                    continue
                image.det_polygons = cast(Polygons, quads[start : start + count])
                image.scores = None if scores is None else scores[start : start + count]
                start += count
        for image in images:
            if len(image.det_polygons):
                self._kinds.add(image.scores is not None)
            else:
                image.scores = []
        if len(self._kinds) > 1 and not self.mixed:
            self.mixed = True
            self.notes["some result files have confidences, others none: none is used"] += 1
        if self.mixed:
            for image in images:
                image.scores = None if len(image.det_polygons) else []

    def _parse_results(self, image: ImageTexts, file: str, content: bytes) -> None:
        """Read a result file line by line."""
        try:
            text = decode_text(content, file)
            lines = parse_lines(
                text, file, lambda line, n: (*self._layout.parse_dt(line, self.notes), n)
            )
        except GroundTruthError as error:
            raise FileError(f"{self._paths[1]}, {error}") from error
        scores = [score for _, score, _ in lines if score is not None]
        if scores and len(scores) < len(lines):
            line = next(number for _, score, number in lines if score is None)
            raise FileError(
                f"{self._paths[1]}, {file}, line {line}: has no confidence, but other lines have "
                "one. Write one on every line or on none."
            )
        image.det_polygons = _as_array([points for points, _, _ in lines])
        image.scores = scores if scores else None

    def _note_order(self) -> None:
        """Note that the other order fits much better, or take it where scripts disagree.

        A protocol that may take it gets all images in one batch, so the order is known in time.
        """
        other = "yx" if self._layout.order == "xy" else "xy"
        own, crossed = self._fit if self._layout.order == "xy" else self._fit[::-1]
        if crossed <= _CLEARLY * own:
            return
        if self._layout.name in self._protocol.either_order:
            what = f"result files read with {other[0]} first, as they fit the ground truth so"
            self.order = other
        else:
            what = f"result files would fit the ground truth better with --order {other}"
        self.notes[what] += 1

    def _finish(self, images: Sequence[ImageTexts]) -> None:
        """Put coordinates, fractions and the order of detections as the protocol has them."""
        protocol, whole = self._protocol, self._layout.whole
        if self.order == "yx":
            for image in images:
                image.det_polygons = [points[:, ::-1] for points in image.det_polygons]
        if protocol.sort_by_score:
            for image in images:
                if scores := image.scores:
                    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
                    image.det_polygons = [image.det_polygons[i] for i in order]
                    image.scores = [scores[i] for i in order]
        for what, key, is_whole in (
            ("ground truths", "gt_polygons", protocol.whole_gt),
            ("detections", "det_polygons", protocol.whole_dt),
        ):
            if whole if is_whole is None else is_whole:
                self._cut_fractions(images, what, key)
        if self._layout.clockwise:
            quads = _stacked([image.det_polygons for image in images])[2].reshape(-1, 4, 2)
            if len(quads):
                x, y = np.ascontiguousarray((quads - quads[:, :1]).T)
                turned = (x * np.roll(y, -1, axis=0) - y * np.roll(x, -1, axis=0)).sum(axis=0)
                if count := int((turned < 0).sum()):
                    what = "detections not clockwise, which the competition's server refuses"
                    self.notes[what] += count

    def _cut_fractions(self, images: Sequence[ImageTexts], what: str, key: str) -> None:
        points = _stacked([getattr(image, key) for image in images])[2]
        if np.array_equal(points, np.trunc(points)):
            return
        cut = 0
        for image in images:
            whole = [np.trunc(points) for points in getattr(image, key)]
            cut += sum(not np.array_equal(a, b) for a, b in zip(whole, getattr(image, key)))
            setattr(image, key, whole)
        self.notes[f"{what} with fractions of pixels, which the protocol cuts off"] += cut


def load_set(
    gt: str | Path,
    dt: str | Path,
    protocol: str,
    file_format: str | None = None,
    order: str | None = None,
) -> tuple[list[ImageTexts], ResultSet]:
    """Read all images of a benchmark; see :class:`ResultSet`.

    Returns:
        The images in natural order of their names, and the set with what was noted.
    """
    with ResultSet(gt, dt, PROTOCOLS[protocol], file_format, order) as results:
        images = [image for batch in results.batches(2**62) for image in batch]
    return images, results


def _format_of(files: Sequence[str], source: str | Path) -> str:
    """The format whose names of ground truth files fit; those with ICDAR2015's names come last."""
    formats = sorted(file_formats().values(), key=lambda f: f.gt_name is FileFormat.gt_name)
    for file_format in formats:
        if any(file_format.gt_name.fullmatch(file) for file in files):
            return file_format.name
    examples = ", ".join(sorted({f.gt_example for f in formats}))
    raise FileError(
        f"{source}: no file is named like ground truth ({examples}). Name the files so, or check "
        "the path."
    )


def _numbers(texts: Sequence[str], columns: int) -> np.ndarray:
    """(N, columns) float64 of numbers separated by commas."""
    text = ",".join(texts)
    # Whole numbers are read in a tenth of the time.
    kind = np.float64 if "." in text else np.int64
    return np.fromstring(text, kind, sep=",").astype(np.float64).reshape(-1, columns)


def _covered(images: Sequence[ImageTexts]) -> np.ndarray:
    """Areas that the boxes of ground truths and detections share, with x and with y first."""
    gt_image, gts = _boxes([image.gt_polygons for image in images])
    det_image, dets = _boxes([image.det_polygons for image in images])
    covered = np.zeros(2)
    for g, d in same_image(gt_image, det_image):
        x0, y0, x1, y1 = gts[:, g]
        a0, b0, a1, b1 = dets[:, d]
        for i, (u0, v0, u1, v1) in enumerate(((a0, b0, a1, b1), (b0, a0, b1, a1))):
            width = np.minimum(x1, u1) - np.maximum(x0, u0)
            height = np.minimum(y1, v1) - np.maximum(y0, v0)
            covered[i] += (width.clip(min=0) * height.clip(min=0)).sum()
    return covered


def _as_array(polygons: list[np.ndarray]) -> Polygons:
    """Quadrilaterals as one array, which is handled in a fraction of the time."""
    if polygons and all(points.shape == (4, 2) for points in polygons):
        return cast(Polygons, np.array(polygons))
    return polygons


def _boxes(rows: Sequence[Polygons]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) image of each polygon that has points, and (4, N) x0, y0, x1, y1."""
    image, lengths, points = _stacked(rows)
    if len(lengths) and (lengths == 4).all():
        return image, quad_boxes(points.reshape(-1, 4, 2))
    image, lengths = image[lengths > 0], lengths[lengths > 0]
    if not len(image):
        return image, np.zeros((4, 0))
    starts = np.cumsum(lengths) - lengths
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    return image, np.concatenate([low.T, high.T])


def _stacked(rows: Sequence[Polygons]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) image and (N,) number of points of each polygon, and (P, 2) the points of all."""
    image = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    arrays = [row for row in rows if isinstance(row, np.ndarray) or row]
    if arrays and all(isinstance(row, np.ndarray) and row.shape[1] == 4 for row in arrays):
        points = np.concatenate(cast(list[np.ndarray], arrays)).reshape(-1, 2)
        return image, np.full(len(image), 4), points
    polygons = [points for row in rows for points in row]
    return (
        image,
        np.array([*map(len, polygons)], np.int64),
        np.concatenate([np.zeros((0, 2)), *polygons]),
    )
