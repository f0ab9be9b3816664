"""Blocks of text: words of one font set in lines, drawn into one mask in their own plane."""

from dataclasses import dataclass

import numpy as np

from .fonts import Font, draw_word

__all__ = ["TextBlock", "set_block"]

# Gaps between words and between lines, at least, as shares of the height of a capital.
_WORD_GAP = 0.45
_LINE_GAP = 0.25


@dataclass(frozen=True)
class TextBlock:
    """Text set in one font."""

    # (h, w) uint8 coverage of all words.
    mask: np.ndarray
    # The words, line by line.
    words: tuple[str, ...]
    # (n, 4) x0, y0, x1, y1 of the words' ink in the block's plane, whose origin is the mask's
    # middle; disjoint.
    boxes: np.ndarray
    # Height of a capital in the mask, pixels.
    cap_height: float


def set_block(
    lines: list[list[str]], font: Font, cap_height: float, align: float, spacing: float
) -> TextBlock:
    """Set lines of words.

    Args:
        lines: at least one line of at least one word.
        font: the font of all words.
        cap_height: wanted height of a capital in pixels (met within the font's size steps).
        align: 0 left, 0.5 centred, 1 right.
        spacing: additional space between words and lines, as a share of the cap height.
    """
    face = font.face(cap_height)
    cap = font.cap_ratio * face.size
    word_gap = round(cap * (_WORD_GAP + 0.5 * spacing))
    line_gap = round(cap * (_LINE_GAP + spacing))
    set_lines = []
    for words in lines:
        drawn = [draw_word(face, word) for word in words]
        lefts = np.cumsum([0] + [mask.shape[1] + word_gap for mask, _, _ in drawn])
        above = min(top for _, _, top in drawn)
        below = max(top + mask.shape[0] for mask, _, top in drawn)
        set_lines.append((drawn, lefts, above, below))
    width = max(int(lefts[-1]) - word_gap for _, lefts, _, _ in set_lines)
    height = sum(below - above + line_gap for _, _, above, below in set_lines) - line_gap
    canvas = np.zeros((height, width), np.uint8)
    boxes = []
    row = 0
    for drawn, lefts, above, below in set_lines:
        indent = round(align * (width - (int(lefts[-1]) - word_gap)))
        for (mask, _, top), left in zip(drawn, lefts):
            y, x = row + top - above, indent + int(left)
            canvas[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
            boxes.append((x, y, x + mask.shape[1], y + mask.shape[0]))
        row += below - above + line_gap
    offset = np.array([width, height, width, height]) / 2
    words = tuple(word for line in lines for word in line)
    return TextBlock(canvas, words, np.array(boxes, np.float64) - offset, cap)
