"""ICDAR2015 Challenge 4, Task 4, end to end without a lexicon.

The rules are those of the Robust Reading Competition's script: texts are matched as in Task 1
(:mod:`.icdar2015`), and a match counts if the words are equal, whatever their case. Of the ground
truth, the first character, the last or both may be missing if they are marks. A match of another
word is used up all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from .result import ImageResult

__all__ = ["matches_that_read", "reads"]

_MARKS = frozenset("!?.:,*\"()·[]/'")


def reads(truth: str, found: str) -> bool:
    """Whether a word is read as the script demands."""
    truth, found = truth.upper(), found.upper()
    starts = (0, 1) if truth[:1] in _MARKS else (0,)
    stops = (0, 1) if truth[-1:] in _MARKS else (0,)
    return any(found == truth[a : len(truth) - b] for a in starts for b in stops)


def matches_that_read(
    result: ImageResult, gt_words: Sequence[str], det_words: Sequence[str]
) -> ImageResult:
    """Take away the matches of one image whose words differ.

    Args:
        result: by the rules of Task 1.
        gt_words: of all ground truths, in their order.
        det_words: of all detections, in theirs.
    """
    return ImageResult(
        result.num_gt,
        result.num_det,
        [m for m in result.matches if reads(gt_words[m[0]], det_words[m[1]])],
        result.ignored_gt,
        result.ignored_det,
        result.repaired_gt,
        result.repaired_det,
    )
