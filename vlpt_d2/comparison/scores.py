"""The numbers of a comparison: means and ranges over seeds, and what they allow to say."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from .grid import Grid
from .run import GridRun, RunState

__all__ = [
    "NO_CONCLUSION",
    "SCORES",
    "ArmScores",
    "SeedValues",
    "chance_of_separation",
    "compare",
    "conclusion",
    "detector_cells",
]

SCORES = ("precision", "recall", "hmean")
NO_CONCLUSION = "no conclusion"


@dataclass(frozen=True)
class SeedValues:
    """One number over the seeds.

    Attributes:
        values: one a seed; at least one.
        mean, low, high: of them.
        std: their standard deviation, with n - 1; None for a single one.
    """

    values: tuple[float, ...]
    mean: float = field(init=False)
    low: float = field(init=False)
    high: float = field(init=False)
    std: float | None = field(init=False)

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "SeedValues | None":
        """Those of the values that are there; None where none is."""
        found = tuple(v for v in values if v is not None and not math.isnan(v))
        return cls(found) if found else None

    def __post_init__(self) -> None:
        several = len(self.values) > 1
        for name, value in (
            ("mean", statistics.fmean(self.values)),
            ("low", min(self.values)),
            ("high", max(self.values)),
            ("std", statistics.stdev(self.values) if several else None),
        ):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True)
class ArmScores:
    """One detector on one dataset from one pre-training, over the seeds.

    Attributes:
        detector, dataset, arm: their names.
        states: each of its runs and its state.
        scores: a name of :data:`SCORES` to its spread on the test images, in percent.
    """

    detector: str
    dataset: str
    arm: str
    states: Mapping[GridRun, RunState]
    scores: Mapping[str, SeedValues]

    @property
    def hmean(self) -> SeedValues | None:
        """What arms are compared by."""
        return self.scores.get("hmean")

    @property
    def seeds(self) -> str:
        """How many seeds are finished, and what the others are."""
        return count_states(self.states.values())


def detector_cells(
    grid: Grid, states: Mapping[GridRun, RunState]
) -> dict[tuple[str, str], list[ArmScores]]:
    """Group the fine-tunings by detector and dataset, in the order of the grid.

    Args:
        grid: the comparison.
        states: the state of each of its runs; only finished ones count.
    """
    cells: dict[tuple[str, str], list[ArmScores]] = {}
    for detector, datasets in grid.detectors.items():
        for dataset in datasets:
            row = cells[detector, dataset] = []
            for arm in grid.pretrainings:
                key = (detector, dataset, arm.name)
                runs = [r for r in grid.runs if (r.detector, r.dataset, r.arm) == key]
                if not runs:
                    continue
                tests = [states[r].results.get("test", {}) for r in runs]
                spreads = {s: SeedValues.of(t.get(f"text/{s}") for t in tests) for s in SCORES}
                scores = {name: spread for name, spread in spreads.items() if spread}
                row.append(ArmScores(*key, {r: states[r] for r in runs}, scores))
    return cells


def compare(one: SeedValues | None, other: SeedValues | None) -> str:
    """Say how far one lies above another: its difference, or that there is no conclusion.

    There is one only where both have two seeds or more and their ranges do not overlap.

    Returns:
        Such as "+3.2"; :data:`NO_CONCLUSION`; "" where one is missing.
    """
    if one is None or other is None:
        return ""
    if min(len(one.values), len(other.values)) < 2:
        return NO_CONCLUSION
    if one.low <= other.high and other.low <= one.high:
        return NO_CONCLUSION
    return f"{one.mean - other.mean:+.1f}"


def best_of(cells: Sequence[ArmScores]) -> ArmScores | None:
    """The cell of the highest mean hmean; None before anything is measured."""
    measured = [(cell.hmean.mean, cell) for cell in cells if cell.hmean is not None]
    return max(measured, key=itemgetter(0), default=(0.0, None))[1]


def conclusion(cells: Sequence[ArmScores]) -> str:
    """Put into words what one detector on one dataset allows to say."""
    best = best_of(cells)
    if best is None:
        return "Nothing is measured yet."
    others = [cell for cell in cells if cell is not best and cell.hmean is not None]
    if not others:
        return f"Only {best.arm} is measured yet."
    verdicts = {cell.arm: compare(best.hmean, cell.hmean) for cell in others}
    apart = [f"{arm} ({text})" for arm, text in verdicts.items() if text != NO_CONCLUSION]
    open_ones = [arm for arm, text in verdicts.items() if text == NO_CONCLUSION]
    text = f"The highest mean hmean is {best.arm}'s."
    if apart:
        text += f" It lies above {', '.join(apart)}."
    if open_ones:
        text += f" No conclusion against {', '.join(open_ones)}."
    return text


def chance_of_separation(seeds: int) -> float:
    """How often the ranges of two equal arms do not overlap by chance alone, in [0, 1].

    All orders of the 2 n numbers are equally likely, and in two all of one arm come first.

    Args:
        seeds: of each arm, n >= 2.
    """
    return 2 / math.comb(2 * seeds, seeds)


def count_states(states: Iterable[RunState]) -> str:
    """Such as "2", or "1 of 2 (1 not run)"."""
    statuses = [state.status for state in states]
    finished = statuses.count("finished")
    if finished == len(statuses):
        return str(finished)
    rest = [s for s in dict.fromkeys(statuses) if s != "finished"]
    listed = ", ".join(f"{statuses.count(status)} {status}" for status in rest)
    return f"{finished} of {len(statuses)} ({listed})"
