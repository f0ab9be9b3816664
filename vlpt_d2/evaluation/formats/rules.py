"""What each protocol's script does with the numbers it reads."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RULES", "FileRules"]


@dataclass(frozen=True)
class FileRules:
    """How files are read for a protocol.

    Attributes:
        file_format: a name of :data:`~.benchmarks.FORMATS`; None: told by the names of the files.
        whole_gt: whether ground truth coordinates lose their fractions (towards zero, as by
            Python's ``int``); None: as the format's own benchmark has it.
        whole_dt: the same for detections.
        sort_by_score: whether detections are taken by falling confidence, where they have one, and
            not in the order of their file.
        either_order: formats whose result files may have x or y first, as public scripts disagree:
            the order with which detections lie on ground truths is taken, the benchmark's own if
            in doubt.
    """

    file_format: str | None
    whole_gt: bool | None = None
    whole_dt: bool | None = None
    sort_by_score: bool = False
    either_order: tuple[str, ...] = ()


_WHOLE = {"whole_gt": True, "whole_dt": True}
RULES: dict[str, FileRules] = {
    "icdar2015": FileRules("icdar2015", **_WHOLE),
    # The multi-lingual task asks for confidences, and its script sorts by them.
    "icdar2017": FileRules("icdar2017", **_WHOLE, sort_by_score=True),
    "icdar2013": FileRules("icdar2013", **_WHOLE),
    "icdar2013-competition": FileRules("icdar2013", **_WHOLE),
    "totaltext-deteval": FileRules("totaltext", **_WHOLE),
    "totaltext-deteval-old": FileRules("totaltext", **_WHOLE),
    "totaltext-deteval-official": FileRules("totaltext", **_WHOLE),
    "totaltext-deteval-official-old": FileRules("totaltext", **_WHOLE),
    "totaltext-deteval-latest": FileRules("totaltext", **_WHOLE),
    "totaltext-pascal": FileRules("totaltext", **_WHOLE),
    "ctw1500": FileRules("ctw1500", whole_gt=False, whole_dt=False),
    # The script reads y first, as PSENet writes; the benchmark's own results have x first.
    "ctw1500-psenet": FileRules("ctw1500", **_WHOLE, either_order=("ctw1500",)),
    "td500": FileRules("td500", whole_gt=False, whole_dt=False),
    "td500-psenet": FileRules("td500", whole_gt=False, whole_dt=True),
    # script.py cuts fractions of quadrilaterals off, curved-tiou/script.py keeps those of polygons
    # and has x first in Total-Text's results, too.
    "tiou": FileRules(None, either_order=("totaltext",)),
    "coco": FileRules(None, whole_gt=False, whole_dt=False),
}
# Where a protocol leaves it to the format.
WHOLE_FORMATS = {"icdar2013", "icdar2015", "icdar2017"}
