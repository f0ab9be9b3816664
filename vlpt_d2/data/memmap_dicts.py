"""Dataset dicts in a folder of memory-mapped files.

Every array lies in a file of its own, without header, in the byte order of little-endian machines.
Loader workers map the same pages, so a dataset costs its size once for a machine and almost
nothing for each worker.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.atomic import write_json
from ..utils.checksums import file_crc, json_checksum, with_checksum
from .lazy import LazyDicts

__all__ = ["MemmapDicts", "MemmapError", "MemmapWriter"]

_VERSION = 2
# File -> type and columns. Starts have one entry more than there are items: the end of the last.
_FILES = {
    "names": ("u1", 1),  # UTF-8, relative to the folder of the images
    "name_starts": ("<i8", 1),
    "ids": ("<i8", 1),
    "sizes": ("<i4", 2),  # height, width
    "text_starts": ("<i8", 1),  # of each image, among all texts
    "words": ("u1", 1),  # UTF-8
    "word_starts": ("<i8", 1),
    "ignored": ("u1", 1),
    "points": ("<f4", 2),
    "point_starts": ("<i8", 1),  # of each text, among all points
    "characters": ("<f4", 2),  # four corners each
    "character_starts": ("<i8", 1),  # of each text, among all corners
}
_STARTS = ("name_starts", "text_starts", "word_starts", "point_starts", "character_starts")
_AGAIN = "delete the folder and write it again"


class MemmapError(ValueError):
    """A memory-mapped dataset that cannot be read; the message names it and how to fix it."""


class MemmapDicts(LazyDicts):
    """The dicts of a memory-mapped dataset.

    Args:
        folder: written by :class:`MemmapWriter`.
        root: the folder of the images.
        checked: whether to compare the files' checksums, which reads all of them once.

    Raises:
        FileNotFoundError: the folder is not a finished memory-mapped dataset.
        MemmapError: it is of another version or damaged.
    """

    def __init__(self, folder: str | Path, root: str | Path, checked: bool = True):
        self.folder, self.root = str(folder), str(root)
        path = Path(folder) / "meta.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; the index is not written yet")
        self.meta = _read_meta(path)
        self._arrays = {name: self._map(name) for name in _FILES}
        if checked:
            self._check()

    def __len__(self) -> int:
        return len(self._arrays["sizes"])

    def __reduce__(self) -> tuple:
        """Pickle the paths alone; whoever unpickles maps the same files."""
        return type(self), (self.folder, self.root, False)

    @property
    def ids(self) -> np.ndarray:
        """(len,) int64: the images' ``image_id``."""
        return self._arrays["ids"]

    def has_trainable_text(self) -> np.ndarray:
        """See :meth:`LazyDicts.has_trainable_text`."""
        cared = np.concatenate([[0], np.cumsum(self._arrays["ignored"] == 0)])
        starts = self._arrays["text_starts"]
        return cared[starts[1:]] > cared[starts[:-1]]

    def item(self, index: int) -> dict[str, Any]:
        """See :meth:`LazyDicts.item`."""
        from detectron2.structures import BoxMode

        arrays = self._arrays
        first, last = arrays["text_starts"][index : index + 2].tolist()
        words = arrays["word_starts"][first : last + 1].tolist()
        content = arrays["words"][words[0] : words[-1]].tobytes()
        corners = arrays["point_starts"][first : last + 1].tolist()
        points = arrays["points"][corners[0] : corners[-1]].astype(np.float64)
        ignored = arrays["ignored"][first:last].tolist()
        ends = arrays["character_starts"][first : last + 1].tolist()
        quads = arrays["characters"][ends[0] : ends[-1]].astype(np.float64)
        annotations = []
        for i in range(last - first):
            ring = points[corners[i] - corners[0] : corners[i + 1] - corners[0]]
            annotations.append(
                {
                    "bbox": [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()],
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "category_id": 0,
                    "segmentation": [ring.ravel().tolist()],
                    "iscrowd": ignored[i],
                    "text": content[words[i] - words[0] : words[i + 1] - words[0]].decode("utf-8"),
                }
            )
            if ends[i + 1] > ends[i]:
                corners_of_word = quads[ends[i] - ends[0] : ends[i + 1] - ends[0]]
                annotations[-1]["characters"] = corners_of_word.reshape(-1, 8).tolist()
        height, width = arrays["sizes"][index].tolist()
        start, end = arrays["name_starts"][index : index + 2].tolist()
        return {
            "file_name": os.path.join(self.root, arrays["names"][start:end].tobytes().decode()),
            "height": height,
            "width": width,
            "image_id": int(arrays["ids"][index]),
            "annotations": annotations,
        }

    def _map(self, name: str) -> np.ndarray:
        dtype, columns = _FILES[name]
        count = self.meta["counts"][name]
        path = Path(self.folder) / f"{name}.bin"
        expected = count * np.dtype(dtype).itemsize
        if not path.is_file() or path.stat().st_size != expected:
            raise MemmapError(f"{path}: missing or not {expected} bytes long; {_AGAIN}")
        shape = (count // columns, columns) if columns > 1 else (count,)
        # An empty file cannot be mapped. A plain array on top of the map: memmap's own slices are
        # several times slower.
        if not count:
            return np.zeros(shape, dtype)
        return np.asarray(np.memmap(path, dtype, "r", shape=shape))

    def _check(self) -> None:
        for name, crc in self.meta["crc32"].items():
            if zlib.crc32(self._arrays[name].data) != crc:
                path = Path(self.folder) / f"{name}.bin"
                raise MemmapError(f"{path}: is damaged, its checksum is another; {_AGAIN}")


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text("utf-8"))
        version, checksum = meta["version"], meta.get("checksum")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MemmapError(f"{path}: is damaged ({error!r}); {_AGAIN}") from error
    if version != _VERSION:
        raise MemmapError(f"{path}: written by another version; {_AGAIN}")
    if checksum != json_checksum(meta):
        raise MemmapError(f"{path}: is damaged or edited, its checksum is another; {_AGAIN}")
    return meta


class MemmapWriter:
    """Writes a memory-mapped dataset, image by image; an interrupted one resumes where it stopped.

    Use as a context manager: what :meth:`commit` has not written is lost on an error.

    Args:
        folder: is created.
        key: what the dataset is made from, as JSON; files of another key are started over.
    """

    def __init__(self, folder: str | Path, key: Any = None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = json.loads(json.dumps(key))
        self._state = {"key": self._key, "counts": dict.fromkeys(_FILES, 0), "notes": None}
        self._progress = self.folder / "progress.json"
        if (state := self._read_progress()) is not None:
            self._state = state
        self._files = {}
        for name, (dtype, _) in _FILES.items():
            path = self.folder / f"{name}.bin"
            file = open(path, "r+b" if path.is_file() else "w+b")  # noqa: SIM115
            file.truncate(self._state["counts"][name] * np.dtype(dtype).itemsize)
            file.seek(0, os.SEEK_END)
            self._files[name] = file
        self._ends = {name: self._last(name) for name in _STARTS}
        if not self._state["counts"]["text_starts"]:
            for name in _STARTS:
                self._write(name, np.zeros(1))

    def _read_progress(self) -> dict[str, Any] | None:
        """The state of an earlier run, unless it was of another key, or is damaged."""
        try:
            state = json.loads(self._progress.read_text("utf-8"))
            if state["checksum"] != json_checksum(state) or state["key"] != self._key:
                return None
            for name, count in state["counts"].items():
                path = self.folder / f"{name}.bin"
                if path.stat().st_size < count * np.dtype(_FILES[name][0]).itemsize:
                    return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return state

    def __enter__(self) -> MemmapWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files.values():
            file.close()

    @property
    def notes(self) -> Any:
        """The notes of the last :meth:`commit`; None at the start."""
        return self._state["notes"]

    def add(
        self,
        name: str,
        image_id: int,
        size: tuple[int, int],
        rings: Sequence[np.ndarray],
        words: Sequence[str],
        ignored: Sequence[bool],
        characters: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Append an image.

        Args:
            name: relative to the folder of the images.
            image_id: unique in the dataset.
            size: (height, width).
            rings: (N_i, 2) points of each text.
            words: transcription of each.
            ignored: whether each is "don't care".
            characters: (C_i, 4, 2) corners of each text's characters, if they are known.
        """
        quads = [np.reshape(each, (-1, 2)) for each in characters or [np.zeros(0)] * len(words)]
        encoded = [word.encode("utf-8") for word in words]
        path = name.encode("utf-8")
        self._write("names", np.frombuffer(path, np.uint8))
        self._write("ids", np.array([image_id]))
        self._write("sizes", np.array(size))
        self._write("words", np.frombuffer(b"".join(encoded), np.uint8))
        self._write("ignored", np.array(ignored, np.uint8))
        if rings:
            self._write("points", np.concatenate(rings))
            self._write("characters", np.concatenate(quads))
        self._extend("name_starts", [len(path)])
        self._extend("text_starts", [len(words)])
        self._extend("word_starts", [len(word) for word in encoded])
        self._extend("point_starts", [len(ring) for ring in rings])
        self._extend("character_starts", [len(each) for each in quads])

    def commit(self, notes: Any) -> None:
        """Make everything so far durable.

        Args:
            notes: as JSON, returned by :attr:`notes` on resume.
        """
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._state["notes"] = notes
        write_json(self._progress, with_checksum(self._state))

    def finish(self, meta: dict[str, Any]) -> None:
        """Declare the dataset complete, with checksums of its files.

        Args:
            meta: kept as :attr:`MemmapDicts.meta`, with "version" and "counts".
        """
        self.commit(self._state["notes"])
        counts = self._state["counts"]
        crcs = {name: file_crc(self.folder / f"{name}.bin") for name in _FILES}
        content = {**meta, "version": _VERSION, "counts": counts, "crc32": crcs}
        write_json(self.folder / "meta.json", with_checksum(content))
        self._progress.unlink()

    def _write(self, name: str, values: np.ndarray) -> None:
        values = values.astype(_FILES[name][0], copy=False)
        self._files[name].write(values.tobytes())
        self._state["counts"][name] += values.size

    def _extend(self, name: str, lengths: Sequence[int]) -> None:
        if lengths:
            ends = self._ends[name] + np.cumsum(lengths, dtype=np.int64)
            self._ends[name] = int(ends[-1])
            self._write(name, ends)

    def _last(self, name: str) -> int:
        file = self._files[name]
        if not file.tell():
            return 0
        file.seek(-8, os.SEEK_END)
        return int(np.frombuffer(file.read(8), "<i8")[0])
