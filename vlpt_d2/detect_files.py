"""Text detection in many files: output names, resuming, and files that cannot be read."""

from __future__ import annotations

import functools
import glob
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np

from .data.conversion import coco_content
from .data.image_io import IMAGE_SUFFIXES, CorruptImageError
from .data.pages import CAMERA, VIDEO_SUFFIXES, Pages, camera_frames, open_pages
from .detections import TextDetections
from .predictor import TextPredictor
from .utils.atomic import write_json, write_text
from .utils.errors import describe
from .utils.json_lines import read_json_lines
from .utils.locks import lock_folder
from .utils.names import UniqueNames, counted, distinct_stems, natural_key, printable
from .utils.progress_bar import progress_bar

__all__ = ["Detected", "detect_files"]

# The detections, one image a line; the first line records the model and its settings.
_INDEX = "detections.jsonl"
_COCO = "detections_coco.json"
_HTML = "detections.html"
# Folders of photographs often hold videos, which are read only if they are named.
_IN_FOLDERS = IMAGE_SUFFIXES | {".pdf"}
# Format -> name of an image's output file, from its stem.
_NAMES = {
    "image": "{}.jpg",
    "json": "{}.json",
    "icdar": "res_{}.txt",
    "labelme": "{}.labelme.json",
}


@dataclass
class Detected:
    """Counts of a run.

    Attributes:
        images: images with detections, including those of earlier runs.
        texts: texts in these images.
        resumed: how many of the images are from earlier runs.
        failed: inputs that could not be read.
    """

    images: int = 0
    texts: int = 0
    resumed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _Page:
    """An image to process: a file, a page or frame of a file, or a frame of a camera."""

    path: Path
    number: int
    pages: int
    changed: list[int]  # the file's size and modification time before it is read

    @property
    def source(self) -> str:
        """The name by which later runs recognise it."""
        path = os.path.realpath(self.path)
        return f"{path}#{self.number + 1}" if self.pages > 1 else path

    @property
    def label(self) -> str:
        """A file name of its own."""
        path = self.path
        return str(path.with_stem(f"{path.stem}_p{self.number + 1}") if self.pages > 1 else path)


@dataclass(frozen=True)
class _Frame(_Page):
    """A frame of a camera, which is processed only once; ``changed`` holds its time."""

    @property
    def source(self) -> str:
        """The camera and the time."""
        return f"{self.path}#{self.changed[1]}"

    @property
    def label(self) -> str:
        """A file name of its own."""
        return f"{self.path.name.replace(':', '')}_{self.changed[1]}.jpg"


def detect_files(
    predictor: TextPredictor,
    inputs: Sequence[str],
    folder: Path,
    formats: Sequence[str],
    report: Callable[[str], None],
    lines: bool = False,
    every: int = 1,
) -> Detected:
    """Find text in files, and write the detections to a folder.

    ``detections.jsonl`` in the folder lists every processed image with its detections. An image is
    processed again only if it changed or one of its files is missing; the other files, which may
    have been corrected by hand, stay. Files of other images and the user's own files are never
    replaced.

    Args:
        predictor: the detector.
        inputs: files of :func:`~.data.pages.open_pages`, folders of images and PDFs, patterns, and
            cameras ("camera:0"), which are read until Ctrl-C.
        folder: the output folder, which is created.
        formats: of "image", "json", "icdar", "labelme" (a file for each image), "coco" (one for
            all images of the folder) and "html" (a page with the drawn images).
        report: called with a message for each input that cannot be read; the others are processed.
        lines: group words into lines.
        every: process every Nth frame of a video.

    Returns:
        Counts of the run.

    Raises:
        ValueError: no image is named, or the folder holds detections of another model.
        FolderInUseError: another process writes to the folder.
        OSError: the folder cannot be written to.
    """
    done = Detected()

    def failed(message: str) -> None:
        done.failed += 1
        report(printable(message))

    with lock_folder(folder):
        cameras = [name for name in inputs if name.startswith(CAMERA)]
        inputs = [name for name in inputs if name not in cameras]
        index = _Index(folder, {**predictor.description(), "lines": lines})
        files = list(_find(inputs, folder, failed))
        if not files and not cameras and not done.failed:
            raise ValueError(f"there is no image in {', '.join(inputs)}")
        pages = [page for file in files for page in _pages(file, every, failed)]
        wanted = {"image", *formats} if "html" in formats else formats
        per_image = [name for name in _NAMES if name in wanted]
        index.name(pages)
        todo = [page for page in pages if not index.is_done(page, per_image)]
        finished = {page.source for page in pages} - {page.source for page in todo}
        done.resumed = len(finished)
        remaining = iter(todo)
        with progress_bar(len(pages), done.resumed) as bar:
            while batch := list(islice(remaining, predictor.batch_size)):
                for page, found in _detect(predictor, batch, failed):
                    index.write(page, found.lines() if lines else found, per_image)
                    finished.add(page.source)
                bar.update(len(batch))
        _open.cache_clear()
        for camera in cameras:
            finished |= _watch(predictor, camera, index, per_image, lines)
        done.images = len(finished)
        done.texts = sum(len(index.entries[source]["texts"]) for source in finished)
        if "coco" in formats:
            _write_coco(folder / _COCO, list(index.entries.values()))
        if "html" in formats:
            _write_html(folder / _HTML, list(index.entries.values()))
    return done


class _Index:
    """The file of all detections, and the names of each image's output files."""

    def __init__(self, folder: Path, described: dict[str, Any]):
        self.folder = folder
        self.path_of_index = folder / _INDEX
        lines = read_json_lines(self.path_of_index)
        header = lines.pop(0) if lines else None
        if header is None:
            for path in (folder / _COCO, folder / _HTML):
                if path.exists():
                    raise ValueError(
                        f"{path} would be replaced: move it, or name another folder with --output"
                    )
            write_text(self.path_of_index, json.dumps(described) + "\n")
        elif header != described:
            raise ValueError(
                f"{folder} holds detections of {header.get('model')} with other weights or "
                "settings: name another folder with --output"
            )
        # The last line of an image counts, as images may be processed again.
        self.entries = {line["source"]: line for line in lines}
        self.stems = {source: line["stem"] for source, line in self.entries.items()}

    def name(self, pages: list[_Page]) -> None:
        """Choose names for the files of new images: not those of other images or the user."""
        names = UniqueNames(self.stems.values())
        for place, (page, stem) in enumerate(
            zip(pages, distinct_stems([page.label for page in pages])), 1
        ):
            while page.source not in self.stems:
                name = names(stem, place)
                if not any(path.exists() for path in self._paths(name)):
                    self.stems[page.source] = name

    def path(self, page: _Page, file_format: str) -> Path:
        """The file of an image in a format."""
        return self.folder / _NAMES[file_format].format(self.stems[page.source])

    def _paths(self, stem: str) -> list[Path]:
        return [self.folder / name.format(stem) for name in _NAMES.values()]

    def is_done(self, page: _Page, formats: list[str]) -> bool:
        """Whether an image is in the index, unchanged, and has all its files."""
        entry = self.entries.get(page.source)
        return (
            entry is not None
            and entry["changed"] == page.changed
            and all(self.path(page, name).is_file() for name in formats)
        )

    def write(self, page: _Page, found: TextDetections, formats: list[str]) -> None:
        """Record an image, so that its files are known to be its own, and write them."""
        entry = {
            "source": page.source,
            "stem": self.stems[page.source],
            "changed": page.changed,
            **found.to_dict(),
        }
        before = self.entries.get(page.source)
        if before is not None and before["changed"] != entry["changed"]:
            for path in self._paths(entry["stem"]):
                path.unlink(missing_ok=True)  # they show the image as it was
        self.entries[page.source] = entry
        with self.path_of_index.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        for name in formats:
            path = self.path(page, name)
            if not path.exists():
                found.save(path, name)


def _find(inputs: Sequence[str], folder: Path, failed: Callable[[str], None]) -> Iterator[Path]:
    """Yield the files of the inputs, each once; from folders, images outside the output folder."""
    seen: set[str] = set()
    for given in inputs:
        if os.path.isdir(given) and _is_below(Path(given), folder):
            raise ValueError(f"{given} is in the output folder: name another with --output")
        # A name may look like a pattern. os.path takes one that is too long for a missing file.
        paths = [given] if os.path.lexists(given) else glob.glob(given, recursive=True)
        if not paths:
            failed(f"{given}: no such file")
        found: list[Path] = []
        for path in sorted(map(Path, paths), key=_order):
            if path.is_dir():
                below = _images_below(path, failed)
                found += [file for file in below if not _is_below(file, folder)]
            else:
                found.append(path)
        for file in found:
            key = os.path.realpath(file)
            if key not in seen:
                seen.add(key)
                yield file


def _images_below(folder: Path, failed: Callable[[str], None]) -> list[Path]:
    """List the images of a folder and its subfolders, even of formats that cannot be read here."""
    found, seen = [], set()

    def cannot_list(error: OSError) -> None:
        failed(f"{error.filename}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=cannot_list, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in _IN_FOLDERS
        ]
    return sorted(found, key=_order)


def _order(path: Path) -> list[Any]:
    return [natural_key(part) for part in path.parts]


def _is_below(file: Path, folder: Path) -> bool:
    # Not Path.resolve, which raises an error at a link to itself.
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))


def _pages(path: Path, every: int, failed: Callable[[str], None]) -> list[_Page]:
    try:
        status = path.stat()
        count = len(open_pages(path))
    except (OSError, CorruptImageError) as error:
        failed(describe(error))
        return []
    step = every if path.suffix.lower() in VIDEO_SUFFIXES else 1
    changed = [status.st_size, status.st_mtime_ns]
    return [_Page(path, number, count, changed) for number in range(0, count, step)]


def _detect(
    predictor: TextPredictor, batch: list[_Page], failed: Callable[[str], None]
) -> Iterator[tuple[_Page, TextDetections]]:
    """Find text in a batch; skip images that cannot be read."""
    readable: list[tuple[_Page, np.ndarray]] = []
    for page in batch:
        try:
            image = _open(page.path)[page.number]
        except (OSError, CorruptImageError) as error:
            failed(describe(error))
        else:
            readable.append((page, image))
    results = cast(list[TextDetections], predictor([image for _, image in readable]))
    for (page, _), found in zip(readable, results):
        yield page, replace(found, file_name=str(page.path))


@functools.lru_cache(maxsize=1)
def _open(path: Path) -> Pages:
    """Open a file, and keep it open: frames of a video are read one after the other."""
    return open_pages(path)


def _watch(
    predictor: TextPredictor, camera: str, index: _Index, formats: list[str], lines: bool
) -> set[str]:
    """Find text in the frames of a camera until Ctrl-C or its end; return their sources."""
    frames: set[str] = set()
    try:
        for image in camera_frames(camera):
            frame = _Frame(Path(camera), len(frames), 1, [0, time.time_ns()])
            found = replace(cast(TextDetections, predictor(image)), file_name=camera)
            index.name([frame])
            index.write(frame, found.lines() if lines else found, formats)
            frames.add(frame.source)
    except KeyboardInterrupt:
        pass
    return frames


def _write_html(path: Path, entries: list[dict[str, Any]]) -> None:
    from .visualization.page import render_page

    pictures = [
        {
            "file": quote(_NAMES["image"].format(entry["stem"])),
            "name": printable(entry["file_name"] or ""),
            "caption": counted(len(entry["texts"]), "text"),
        }
        for entry in entries
        if (path.parent / _NAMES["image"].format(entry["stem"])).is_file()
    ]
    title = counted(len(pictures), "image")
    write_text(path, render_page("browse.html", title, "1400px", pictures=pictures))


def _write_coco(path: Path, entries: list[dict[str, Any]]) -> None:
    files = [entry["source"] for entry in entries]
    root = ""
    with suppress(ValueError):  # none, or on several drives
        root = os.path.commonpath([os.path.dirname(file) for file in files])
    records = []
    for entry, file in zip(entries, files):
        image = {
            "file_name": Path(os.path.relpath(file, root) if root else file).as_posix(),
            "height": entry["height"],
            "width": entry["width"],
        }
        annotations = [
            {
                "segmentation": [np.ravel(text["polygon"]).tolist()],
                "score": text["score"],
                "text": text.get("word", ""),
            }
            for text in entry["texts"]
        ]
        records.append({"image": image, "annotations": annotations})
    write_json(path, coco_content(records))
