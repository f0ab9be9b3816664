"""A model's answers as bars next to the question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["plot_neighbours", "plot_reading"]

# Inches of a panel of bars, and of a bar.
_WIDTH = 3.2
_BAR = 0.28
# Characters of an answer or a title that a panel has room for; the rest is cut off.
_CHARACTERS = 28


def plot_reading(
    image: np.ndarray, panels: Sequence[tuple[str, Sequence[tuple[str, float]]]], output: str | Path
) -> None:
    """Draw an image and a panel for each question: its answers, the best on top.

    Args:
        image: (H, W, 3) uint8, RGB.
        panels: title of each, and answers with their probabilities from 0 to 1.
        output: picture to write.
    """
    height = max(2.6, 1.0 + _BAR * max((len(answers) for _, answers in panels), default=0))
    width = 0.4 + height * image.shape[1] / image.shape[0]
    size = (width + _WIDTH * len(panels), height)
    figure = Figure(figsize=size, layout="constrained")
    ratios = [width, *([_WIDTH] * len(panels))]
    first, *others = figure.subplots(1, 1 + len(panels), width_ratios=ratios, squeeze=False)[0]
    first.imshow(image)
    first.set_axis_off()
    for axes, (title, answers) in zip(others, panels):
        _bars(axes, [(text, 100 * odds) for text, odds in answers], "{:.1f} %")
        axes.set_xlim(0, 125)  # room for the numbers behind the bars
        axes.set_title(_cut(title), parse_math=False)
    figure.savefig(output, dpi=100)


def plot_neighbours(
    words: Sequence[str],
    tables: Sequence[str],
    found: Sequence[Sequence[Sequence[tuple[str, float]]]],
    output: str | Path,
) -> None:
    """Draw the neighbours of words by their cosines: a column for each word, a row for each table.

    Args:
        words: what neighbours were asked for.
        tables: names of the embedding tables.
        found: for each word, for each table, the neighbours and their cosines, the nearest first.
        output: picture to write.
    """
    most = max(len(column) for columns in found for column in columns)
    size = (_WIDTH * len(words), len(tables) * (1.0 + _BAR * most))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(tables), len(words), squeeze=False)
    for row, name in enumerate(tables):
        cosines = [cosine for columns in found for _, cosine in columns[row]]
        low, high = min(0.0, *cosines), max(0.0, *cosines)
        for axes, word, columns in zip(grid[row], words, found):
            _bars(axes, columns[row], "{:.3f}")
            # One scale for a row, with room for the numbers.
            axes.set_xlim(low * 1.3, high * 1.3 or 1.0)
            title = word if len(tables) == 1 else f"{word} ({name})"
            axes.set_title(_cut(title), parse_math=False)
    figure.savefig(output, dpi=100)


def _bars(axes: Axes, answers: Sequence[tuple[str, float]], form: str) -> None:
    """Horizontal bars, the first on top, each with its number."""
    places = range(len(answers))
    bars = axes.barh(places, [value for _, value in answers], height=0.7, color="tab:blue")
    axes.bar_label(bars, [form.format(value) for _, value in answers], padding=3, fontsize=8)
    axes.set_yticks(places, [_cut(text) for text, _ in answers], parse_math=False)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xticks([])


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
