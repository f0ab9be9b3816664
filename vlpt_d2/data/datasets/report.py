"""What a reader found, repaired and left out, in one place to log and to test."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any

from ...utils.names import printable

__all__ = [
    "LISTING",
    "ReadReport",
    "ReadResult",
    "check_report",
    "collect_reports",
    "load_logged",
]

#: Whether readers only look which files are there, and read none.
LISTING: ContextVar[bool] = ContextVar("LISTING", default=False)

_EXAMPLES = 3
# (name, first image) of the reports written so far: loaders and evaluators read a set several
# times.
_logged: set[tuple[str, str]] = set()
# Lists that wait for reports.
_collectors: list[list[ReadReport]] = []


@dataclass
class ReadReport:
    """Counts over a dataset.

    Attributes:
        name: the dataset, for the log line.
        images: images read.
        words: annotations kept, ignored ones included.
        ignored: annotations with ``iscrowd`` 1.
        restorable: images that are resized copies with a known original size.
        repaired: fault -> number of polygons that were repaired and kept.
        dropped: fault -> number of annotations left out.
        notes: other findings -> number.
        examples: the first places of each fault and note, as "file:line".
    """

    name: str
    images: int = 0
    words: int = 0
    ignored: int = 0
    restorable: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def count(self, counter: Counter[str], fault: str, place: str) -> None:
        """Add one to ``counter[fault]`` and remember the place if it is among the first."""
        counter[fault] += 1
        places = self.examples.setdefault(fault, [])
        if len(places) < _EXAMPLES:
            places.append(printable(place))

    def as_dict(self) -> dict[str, Any]:
        """All counts, for JSON; ``ReadReport(**...)`` of it is an equal report."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in values.items()}

    def __post_init__(self) -> None:
        for counter in ("repaired", "dropped", "notes"):
            setattr(self, counter, Counter(getattr(self, counter)))

    def log(self, logger: logging.Logger) -> None:
        """Write one info line, and one warning for each kind of fault."""
        logger.info(
            "%s: %d images, %d words, %d of them ignored",
            self.name,
            self.images,
            self.words,
            self.ignored,
        )
        if self.restorable:
            logger.info(
                "%s: %d images are resized copies; DATASETS.RESTORE_SIZE resizes them and their "
                "words to the original size when they are loaded",
                self.name,
                self.restorable,
            )
        for verb, number, fault, places in self.findings():
            logger.warning("%s: %s %d: %s (%s)", self.name, verb, number, fault, places)

    def findings(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield what was done with each kind of fault, how often, the fault, its first places."""
        for verb, counter in (
            ("repaired", self.repaired),
            ("left out", self.dropped),
            ("kept, but look at", self.notes),
        ):
            for fault, number in counter.items():
                yield verb, number, fault, ", ".join(self.examples.get(fault, []))


#: What a reader returns: dataset dicts, and what it found.
ReadResult = tuple[list[dict[str, Any]], ReadReport]


def check_report(report: ReadReport, place: str) -> ReadReport:
    """Add what can only be said of a dataset as a whole; return the report."""
    if report.words and report.ignored == report.words:
        report.count(report.notes, "every word is ignored: nothing to learn or find", place)
    return report


def load_logged(read: Callable[..., tuple[Any, ReadReport]], *args: Any, **kwargs: Any) -> Any:
    """Call a reader, log its report, once per process and dataset, and return the dataset dicts."""
    dataset_dicts, report = read(*args, **kwargs)
    for collected in _collectors:
        collected.append(report)
    key = (report.name, str(dataset_dicts[0]["file_name"]) if len(dataset_dicts) else "")
    if key not in _logged:
        _logged.add(key)
        report.log(logging.getLogger(read.__module__))
    return dataset_dicts


@contextmanager
def collect_reports() -> Iterator[list[ReadReport]]:
    """Collect the reports of all readers that :func:`load_logged` calls meanwhile."""
    collected: list[ReadReport] = []
    _collectors.append(collected)
    try:
        yield collected
    finally:
        # By identity: equal lists, such as empty ones, may wait at the same time.
        _collectors[:] = [other for other in _collectors if other is not collected]
