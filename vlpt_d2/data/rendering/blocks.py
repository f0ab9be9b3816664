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
    # For each word the boxes of its characters, (C, 4) alike: side by side, as high as the word.
    characters: tuple[np.ndarray, ...]
    # Height of a capital of the largest line in the mask, pixels.
    cap_height: float


def set_block(
    lines: list[list[str]], font: Font, cap_heights: np.ndarray, align: float, spacing: float
) -> TextBlock:
    """Set lines of words.

    Args:
        lines: at least one line of at least one word.
        font: the font of all words.
        cap_heights: wanted height of a capital of each line, pixels (met within the font's size
            steps).
        align: 0 left, 0.5 centred, 1 right.
        spacing: additional space between words and lines, as a share of the cap height.
    """
    largest = font.cap_ratio * font.face(max(cap_heights)).size
    line_gap = max(round(largest * (_LINE_GAP + spacing)), 1)
    set_lines = []
    for words, cap_height in zip(lines, cap_heights):
        face = font.face(cap_height)
        word_gap = max(round(font.cap_ratio * face.size * (_WORD_GAP + 0.5 * spacing)), 1)
        drawn = []
        for word in words:
            mask, left, top = draw_word(face, word)
            # Between characters where the pen is; the first and the last reach as far as the ink.
            pen = [face.getlength(word[:count]) - left for count in range(1, len(word))]
            edges = np.clip([0, *pen, mask.shape[1]], 0, mask.shape[1])
            drawn.append((mask, edges, top))
        lefts = np.cumsum([0] + [mask.shape[1] + word_gap for mask, _, _ in drawn])
        above = min(top for _, _, top in drawn)
        below = max(top + mask.shape[0] for mask, _, top in drawn)
        set_lines.append((drawn, lefts, int(lefts[-1]) - word_gap, above, below))
    width = max(length for _, _, length, _, _ in set_lines)
    height = sum(below - above + line_gap for *_, above, below in set_lines) - line_gap
    canvas = np.zeros((height, width), np.uint8)
    boxes, characters = [], []
    row = 0
    for drawn, lefts, length, above, below in set_lines:
        indent = round(align * (width - length))
        for (mask, edges, top), left in zip(drawn, lefts):
            y, x = row + top - above, indent + int(left)
            canvas[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
            boxes.append((x, y, x + mask.shape[1], y + mask.shape[0]))
            low, high = np.full(len(edges) - 1, y), np.full(len(edges) - 1, y + mask.shape[0])
            characters.append(np.stack([x + edges[:-1], low, x + edges[1:], high], axis=1))
        row += below - above + line_gap
    offset = np.array([width, height, width, height]) / 2
    joined = tuple(word for line in lines for word in line)
    return TextBlock(
        canvas,
        joined,
        np.array(boxes, np.float64) - offset,
        tuple(each - offset for each in characters),
        largest,
    )
