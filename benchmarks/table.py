"""The table that the timings of the detectors print: two sides of each line, then the goals."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from vlpt_d2.utils.numbers import seconds


class Table:
    """Prints lines as they are measured, and collects the verdicts on goals."""

    def __init__(self, seconds: float, other: str):
        """
        Args:
            seconds: time for each measurement.
            other: what the side that ours is compared with is called.
        """
        self.seconds = seconds
        self._goals: list[str] = []
        print(f"{'least (median)':<44} {'ours':>21} {other:>21} {'ratio':>8}")

    def measure(self, function: Callable) -> tuple[float, float]:
        """Least and median processor milliseconds of a call, over as many as fit the time.

        The processor's time is not that of other programs that run meanwhile, but they take the
        caches: the least is what the call itself needs.
        """
        function()
        times, end = [], time.perf_counter() + self.seconds
        while time.perf_counter() < end or len(times) < 3:
            start = time.process_time()
            function()
            times.append(time.process_time() - start)
        return 1e3 * min(times), 1e3 * statistics.median(times)

    def compare(
        self, name: str, ours: Callable, other: Callable | None = None
    ) -> tuple[float, float]:
        """Print one line; return our least milliseconds and how many times faster that is."""
        mine, median = self.measure(ours)
        line, ratio = f"{name:<44} {mine:9.2f} ms {f'({median:.2f})':>8}", float("nan")
        if other is not None:
            theirs, median = self.measure(other)
            ratio = theirs / mine
            line += f" {theirs:9.2f} ms {f'({median:.2f})':>8} {ratio:7.1f}x"
        print(line, flush=True)
        return mine, ratio

    def judge(self, name: str, value: float, goal: float, unit: str = "ms") -> None:
        """Compare a value with its goal: milliseconds at most, or times faster at least."""
        met = value <= goal if unit == "ms" else value >= goal
        apart = value / goal if unit == "ms" else goal / value
        verdict = "met" if met else f"not met, by a factor of {apart:.1f}"
        self._goals.append(f"  {name}: {value:.1f} {unit}, goal {goal:g} {unit}: {verdict}")

    def early(self, name: str, decode: Callable) -> None:
        """Print one line on a map as of a network's first epochs, which may take 100 ms."""
        mine, _ = self.compare(name, decode)
        self.judge(name, mine, 100)

    def print_goals(self) -> None:
        """Print how each goal was met."""
        print("goals:", *self._goals, sep="\n")


def run(
    description: str | None,
    fill: Callable[[Table], None],
    print_round_trip: Callable[[Path], None],
    *,
    other: str = "plain",
) -> None:
    """Read the command line and print the table on one core, or the round trip that it asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=seconds, default=1.0, help="time for each measurement")
    parser.add_argument(
        "--round-trip", type=Path, metavar="FOLDER", help="folder of ICDAR2015; see above"
    )
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.round_trip:
        print_round_trip(args.round_trip)
        return
    table = Table(args.seconds, other)
    fill(table)
    table.print_goals()
