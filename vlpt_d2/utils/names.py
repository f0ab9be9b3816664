"""Names of files: their natural order, names for outputs; names and numbers in messages."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

__all__ = ["UniqueNames", "counted", "distinct_stems", "free_path", "natural_key", "printable"]

# Bytes of an output's stem: file systems allow 255 for a name, and ours get prefixes and suffixes.
_LONGEST = 200


def natural_key(name: str) -> list[str | tuple[int, str]]:
    """A sort key by which img_2 comes before img_10; only ASCII digits are numbers."""
    parts = re.split(r"([0-9]+)", name)
    # Texts and numbers take turns. Numbers are compared by their length first, as strings: those
    # in names may have any number of digits.
    return [
        (len(part.lstrip("0")), part.lstrip("0")) if place % 2 else part
        for place, part in enumerate(parts)
    ]


def printable(text: str) -> str:
    """Line ends, control characters and what is no Unicode as escapes, for reports."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def counted(number: int, noun: str) -> str:
    """A number and its noun, such as "1 image" or "2 images"; the plural has an s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class UniqueNames:
    """Gives out stems for the files of one folder, each once.

    Stems that differ only in their case or in how their accents are composed count as equal, as
    they are on some file systems.
    """

    def __init__(self, taken: Iterable[str] = ()):
        """
        Args:
            taken: stems that are not given out.
        """
        self._taken = {_folded(stem) for stem in taken}

    def take(self, stem: str) -> None:
        """Count a stem as given out."""
        self._taken.add(_folded(stem))

    def __call__(self, stem: str, number: int) -> str:
        """Give out a stem.

        Args:
            stem: the preferred one. Overlong ones are cut, and what is no Unicode is replaced.
            number: appended where the stem is taken, or the next that is free.
        """
        stem = _cut(stem.encode("utf-8", "replace").decode())
        candidates = itertools.chain([stem], (f"{stem}_{n}" for n in itertools.count(number)))
        name = next(name for name in candidates if _folded(name) not in self._taken)
        self.take(name)
        return name


def distinct_stems(files: Sequence[str | Path]) -> list[str]:
    """Name files by their stems, and those that share one by their folders too.

    Args:
        files: paths, in any order: the names do not depend on it unless files are equal.

    Returns:
        As many names, no two equal: ``frame``, but ``cam1_frame`` and ``cam2_frame`` for
        ``cam1/frame.png`` and ``cam2/frame.png``.
    """
    paths = [PurePath(file) for file in files]
    names = [path.stem for path in paths]
    # A folder more in each round, for those that still share a name.
    for depth in range(1, max((len(path.parts) for path in paths), default=0)):
        counts = Counter(map(_folded, names))
        shared = [i for i, name in enumerate(names) if counts[_folded(name)] > 1]
        if not shared:
            break
        for i in shared:
            names[i] = "_".join([*paths[i].parts[-1 - depth : -1], paths[i].stem])
    counts = Counter(map(_folded, names))
    unique = UniqueNames(name for name in names if counts[_folded(name)] == 1)
    return [
        name if counts[_folded(name)] == 1 else unique(name, number)
        for number, name in enumerate(names, 1)
    ]


def free_path(path: Path) -> Path:
    """The path, or where that exists the first of ``<stem>_2``, ``<stem>_3`` ... that does not.

    An overlong stem is cut.
    """
    path = path.with_stem(_cut(path.stem))
    candidates = itertools.chain(
        [path], (path.with_stem(f"{path.stem}_{n}") for n in itertools.count(2))
    )
    return next(candidate for candidate in candidates if not candidate.exists())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _cut(stem: str) -> str:
    return stem.encode()[:_LONGEST].decode("utf-8", "ignore")
