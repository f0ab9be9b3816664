"""SynthText: 858,750 rendered images, indexed once and then memory-mapped.

Format of ``gt.mat`` (robots.ox.ac.uk/~vgg/data/scenetext): cells of the same length: ``imnames``;
``wordBB``, 2x4xN per image, x and y of the four corners clockwise from the top-left, a plain 2x4
for a single word; ``charBB``, the same of the characters of all words; ``txt``, strings of one or
several lines, padded with spaces. Split at white space and in order, its words are those of
``wordBB`` and their letters those of ``charBB``. Boxes may leave the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..lazy import LazyDicts
from ..memmap_dicts import MemmapDicts, MemmapError, MemmapWriter
from .dataset import IMAGES, Archive, TextDataset
from .ground_truth import GroundTruthError
from .image_files import ImageHeader, read_header
from .matlab import MatFile
from .report import ReadReport, check_report

__all__ = ["index_synthtext", "read_synthtext", "split_synthtext", "split_words"]

#: Name, (N, 4, 2) corners of the words, (C, 4, 2) of their characters, and the words of an image.
_Entry = tuple[str, np.ndarray, np.ndarray, list[str]]

_INDEX = "index"
# Images between two commits: a second or two of work.
_BATCH = 2000
_TREE = """expected, for SynthText, under DETECTRON2_DATASETS:
  synthtext/
    1/ ... 200/    the images, such as 8/ballet_106_0.jpg
    gt.mat
    index/         made of gt.mat by: python datasets/prepare_synthtext.py FOLDER_OF_GT_MAT
datasets/README.md lists where to get them."""


def read_synthtext(
    root: str | Path, split: str = "train", name: str = "synthtext"
) -> tuple[MemmapDicts, ReadReport]:
    """Open the index of "train", the only split (:attr:`.dataset.TextDataset.read`).

    Returns:
        A lazy sequence of dataset dicts in the order of ``gt.mat``; and the report of
        :func:`index_synthtext`.

    Raises:
        FileNotFoundError: there is no finished index.
        MemmapError: its files are damaged.
    """
    try:
        dicts = MemmapDicts(Path(root) / _INDEX, root)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error};\n{_TREE}") from error
    try:
        return dicts, ReadReport(**{**dicts.meta["report"], "name": name})
    except (KeyError, TypeError) as error:
        raise MemmapError(
            f"{dicts.folder}: is damaged, without a report; delete the folder and write it again"
        ) from error


def index_synthtext(
    root: str | Path,
    *,
    workers: int = 8,
    skip_broken: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReadReport:
    """Make the index; an interrupted run resumes.

    Args:
        root: the folder that holds ``gt.mat`` and the images.
        workers: threads that read the images' headers.
        skip_broken: leave out, and count, images that are missing or cannot be read, instead of
            raising an error.
        progress: called with the images done and their total.

    Returns:
        What was found, also kept with the index.

    Raises:
        FileNotFoundError: ``gt.mat`` or, without ``skip_broken``, an image is missing.
        GroundTruthError: ``gt.mat`` is damaged.
        CorruptImageError: an image cannot be read, without ``skip_broken``.
    """
    from concurrent.futures import ThreadPoolExecutor

    root = Path(root)
    gt = root / "gt.mat"
    if not gt.is_file():
        raise FileNotFoundError(f"{gt}: no such file;\n{_TREE}")
    if (root / _INDEX / "meta.json").is_file():
        return read_synthtext(root)[1]
    key = {"gt.mat": gt.stat().st_size, "skip_broken": skip_broken}
    # Threads: the work is mostly the disk's.
    with MemmapWriter(root / _INDEX, key) as writer, ThreadPoolExecutor(workers) as pool:
        notes = writer.notes or {"done": 0, "report": ReadReport("synthtext").as_dict()}
        done, report = notes["done"], ReadReport(**notes["report"])
        entries, total = _entries(gt)
        entries = itertools.islice(entries, done, None)
        while batch := list(itertools.islice(entries, _BATCH)):
            names = [name for name, *_ in batch]
            headers = list(pool.map(lambda name: _header(root / name, skip_broken), names))
            _add(writer, batch, headers, done, report)
            done += len(batch)
            writer.commit({"done": done, "report": report.as_dict()})
            if progress is not None:
                progress(done, total)
        if not report.images:
            raise FileNotFoundError(f"{root}: none of the {total} images is there;\n{_TREE}")
        writer.finish({"report": check_report(report, str(gt)).as_dict()})
    return report


def split_synthtext(dicts: MemmapDicts, share: float = 0.04) -> tuple[LazyDicts, LazyDicts]:
    """Split into a part to train on and a held-out part.

    Images are ranked by a hash of their place in ``gt.mat``, so the split depends on neither the
    images that were left out of the index nor the version of a random number generator. As with
    VLPT-STD's random split, a background photograph may be on both sides.

    Args:
        dicts: the index.
        share: share of images that is held out, rounded to whole images; VLPT-STD's is 0.04.

    Returns:
        (training, held-out), each in the order of ``gt.mat``.
    """
    rank = np.argsort(_hash(dicts.ids), kind="stable")
    held_out = np.zeros(len(dicts), bool)
    held_out[rank[: round(share * len(dicts))]] = True
    return dicts.select(np.flatnonzero(~held_out)), dicts.select(np.flatnonzero(held_out))


def _hash(values: np.ndarray) -> np.ndarray:
    """(N,) uint64: integers mixed by splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def split_words(lines: Iterable[str]) -> list[str]:
    """The words of a ``txt`` cell, in the order of their boxes."""
    return [word for line in lines for word in str(line).split()]


def _entries(gt: Path) -> tuple[Iterator[_Entry], int]:
    """The images one by one, and their number."""
    file = MatFile(gt)
    names = ("imnames", "wordBB", "charBB", "txt")
    missing = set(names).difference(file.names)
    if missing:
        raise GroundTruthError(f"{gt}: has no variable {', '.join(sorted(missing))}.")
    counts = {name: file.length(name) for name in names}
    if len(set(counts.values())) > 1:
        raise GroundTruthError(f"{gt}: has different numbers of cells: {counts}. Replace it.")

    def entries() -> Iterator[_Entry]:
        cells = zip(*(file.cells(name) for name in names), strict=True)
        for number, (name, boxes, quads, lines) in enumerate(cells, 1):
            # One word: a plain 2x4. No word: empty.
            boxes, quads = (
                corners.reshape(2, 4, -1) if corners.size else np.zeros((2, 4, 0))
                for corners in (boxes, quads)
            )
            if name.size != 1 or boxes.shape[:2] != (2, 4) or quads.shape[:2] != (2, 4):
                raise GroundTruthError(f"{gt}, image {number}: has no name or odd boxes.")
            boxes, quads = boxes.transpose(2, 1, 0), quads.transpose(2, 1, 0)
            yield str(name.ravel()[0]).strip(), boxes, quads, split_words(lines.ravel())

    return entries(), counts["imnames"]


def _characters_of(
    words: Sequence[str], quads: np.ndarray, name: str, report: ReadReport
) -> list[np.ndarray]:
    """The boxes of each word's characters, (C_i, 4, 2); none where their numbers do not agree."""
    ends = np.cumsum([len(word) for word in words])
    if not len(words) or ends[-1] != len(quads) or not np.isfinite(quads).all():
        if any(words):
            kind = "boxes of characters that do not fit the words, left out"
            report.count(report.repaired, kind, name)
        return [np.zeros((0, 4, 2))] * len(words)
    return np.split(quads, ends[:-1])


def _header(path: Path, skip_broken: bool) -> ImageHeader | None:
    from ..image_io import CorruptImageError

    try:
        return read_header(path)
    except FileNotFoundError as error:
        if skip_broken:
            return None
        raise FileNotFoundError(
            f"{path}: no such image. Unpack SynthText again, or leave out what is missing with "
            "--skip-broken."
        ) from error
    except CorruptImageError:
        if skip_broken:
            return None
        raise


def _add(
    writer: MemmapWriter,
    batch: Sequence[_Entry],
    headers: Sequence[ImageHeader | None],
    done: int,
    report: ReadReport,
) -> None:
    sound = np.split(
        _sound(np.concatenate([boxes for _, boxes, *_ in batch])),
        np.cumsum([len(boxes) for _, boxes, *_ in batch])[:-1],
    )
    for image_id, ((name, boxes, quads, words), header, ok) in enumerate(
        zip(batch, headers, sound, strict=True), done + 1
    ):
        if header is None:
            report.count(report.dropped, "images missing or broken", name)
            continue
        if len(words) != len(boxes):
            report.count(
                report.repaired, "not as many words as boxes: boxes kept without words", name
            )
            words = [""] * len(boxes)
        characters = _characters_of(words, quads, name, report)
        rings, rows = _rings(boxes, ok, name, report)
        words, characters = [words[row] for row in rows], [characters[row] for row in rows]
        _note_outside(rings, header.shown, name, report)
        ignored = [False] * len(rows)
        writer.add(name, image_id, header.shown, rings, words, ignored, characters)
        report.images += 1
        report.words += len(rows)


def _sound(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: the quadrilaterals that need no repair, found all at once."""
    import shapely

    from ...structures.repair import FARTHEST, MIN_AREA

    if not len(boxes):
        return np.zeros(0, bool)
    finite = np.isfinite(boxes).all(axis=(1, 2)) & (np.abs(boxes) <= FARTHEST).all(axis=(1, 2))
    repeated = (boxes == np.roll(boxes, 1, axis=1)).all(axis=2).any(axis=1)
    shapes = shapely.polygons(np.where(finite[:, None, None], boxes, 0.0))
    return finite & ~repeated & shapely.is_valid(shapes) & (shapely.area(shapes) >= MIN_AREA)


def _rings(
    boxes: np.ndarray, sound: np.ndarray, name: str, report: ReadReport
) -> tuple[list[np.ndarray], list[int]]:
    """The polygons of the words, repaired, and which words they are of."""
    from ...structures.repair import repair_polygon

    rings, rows = [], []
    for number, (box, ok) in enumerate(zip(boxes, sound, strict=True), 1):
        ring, fault = (box, None) if ok else repair_polygon(box)
        if ring is None:
            report.count(report.dropped, str(fault), f"{name}:{number}")
            continue
        if fault is not None:
            report.count(report.repaired, fault, f"{name}:{number}")
        rings.append(ring)
        rows.append(number - 1)
    return rings, rows


def _note_outside(
    rings: Sequence[np.ndarray], size: tuple[int, int], name: str, report: ReadReport
) -> None:
    for number, ring in enumerate(rings, 1):
        if (ring.max(axis=0) <= 0).any() or (ring.min(axis=0) >= size[::-1]).any():
            report.count(report.notes, "words outside their image", f"{name}:{number}")


# The shares of VLPT-STD's pre-training.
DATASET = TextDataset(
    "synthtext",
    "SynthText",
    read_synthtext,
    ("train",),
    parts={
        "trainval_train": ("train", lambda dicts: split_synthtext(dicts)[0]),
        "trainval_val": ("train", lambda dicts: split_synthtext(dicts)[1]),
    },
    next_step="python datasets/prepare_synthtext.py {root}",
    index=f"{_INDEX}/meta.json",
    archives=(
        Archive(
            "SynthText.zip",
            ((rf"(\d+/[^/]+\.(?:{IMAGES}))", r"\1"), (r"(gt\.mat)", r"\1")),
            ("8ae0309c80ff882f9d6ba5ea62cdb556",),
        ),
    ),
)
