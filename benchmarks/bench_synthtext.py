"""Memory and speed of SynthText's index: generated annotations of the full count, forked workers.

    python benchmarks/bench_synthtext.py [--count 858750] [--workers 8]

Reports the time to write the index, the time of one random access, and the unique set size (the
private pages, from /proc/PID/smaps_rollup) of each loader worker once every record was read in
random order. For comparison: the same workers over an empty dataset, and, at a twentieth of the
count, over a plain list of dicts and over detectron2's serialized list.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.data.common import DatasetFromList
from torch.utils.data import DataLoader, Dataset

from vlpt_d2.data.memmap_dicts import MemmapDicts, MemmapWriter


class _Walk(Dataset):
    """Reads a record and hands back its number of texts, and the reader's unique set size."""

    def __init__(self, dicts: Sequence[dict], order: np.ndarray):
        self.dicts, self.order = dicts, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> tuple[int, int, int]:
        texts = len(self.dicts[int(self.order[number])]["annotations"]) if len(self.dicts) else 0
        size = unique_set_size() if number >= len(self.order) - 4000 and number % 50 == 0 else 0
        return texts, os.getpid(), size


def unique_set_size() -> int:
    """Private bytes of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def write(folder: Path, count: int) -> tuple[float, int]:
    """Write an index of generated annotations; return seconds and words."""
    rng = np.random.default_rng(0)
    vocabulary = ["".join(rng.choice(list("abcdefgh"), n)) for n in rng.integers(1, 9, 5000)]
    start, total = time.perf_counter(), 0
    with MemmapWriter(folder) as writer:
        for number in range(count):
            words = int(rng.integers(1, 17))  # 8.5 on average, as SynthText has
            rings = rng.uniform(0, 600, (words, 4, 2)).astype(np.float32)
            texts = [vocabulary[i] for i in rng.integers(0, 5000, words)]
            name = f"{number % 200 + 1}/image_{number}_{number % 7}.jpg"
            writer.add(name, number + 1, (450, 600), list(rings), texts, [False] * words)
            total += words
        writer.finish({})
    return time.perf_counter() - start, total


def measure(dicts: Sequence[dict], order: np.ndarray, workers: int) -> tuple[list[int], int, float]:
    """Unique set size of each worker at the end, texts read, and records a second."""
    loader = DataLoader(
        _Walk(dicts, order), batch_size=64, num_workers=workers, collate_fn=list, prefetch_factor=4
    )
    sizes: dict[int, int] = {}
    texts, start = 0, time.perf_counter()
    for batch in loader:
        for number, pid, size in batch:
            texts += number
            if size:
                sizes[pid] = max(size, sizes.get(pid, 0))
    return sorted(sizes.values()), texts, len(order) / (time.perf_counter() - start)


def _show(name: str, result: tuple[list[int], int, float]) -> None:
    sizes, texts, speed = result
    megabytes = ", ".join(f"{size / 2**20:.0f}" for size in sizes)
    print(f"{name}: unique set size {megabytes} MiB; {texts} texts, {speed:.0f} records/s")


def _access(dicts: Sequence[dict], places: Sequence[int]) -> None:
    """Time random accesses by the clock, and by the processor where others use it too."""
    walls, processor = [], time.process_time()
    for place in places:
        start = time.perf_counter()
        dicts[place]
        walls.append(1e6 * (time.perf_counter() - start))
    processor = 1e6 * (time.process_time() - processor) / len(places)
    middle, high = np.percentile(walls, [50, 99])
    print(
        f"random access: median {middle:.0f} us, 99th percentile {high:.0f} us by the clock, "
        f"{processor:.0f} us of processor time on average"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=858_750, help="images")
    parser.add_argument("--workers", type=int, default=8, help="forked loader workers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        seconds, words = write(index, args.count)
        size = sum(path.stat().st_size for path in index.iterdir())
        print(f"{args.count} images, {words} words: {size / 2**20:.0f} MiB in {seconds:.0f} s")

        start = time.perf_counter()
        dicts = MemmapDicts(index, folder)
        print(f"opened in {1e3 * (time.perf_counter() - start):.1f} ms")
        _access(dicts, [random.Random(0).randrange(args.count) for _ in range(20_000)])

        order = np.random.default_rng(1).permutation(args.count)
        _show("no dataset ", measure([], order[: args.count // 20], args.workers))
        _show("index      ", measure(dicts, order, args.workers))
        part = [dicts[i] for i in range(args.count // 20)]
        order = np.random.default_rng(1).permutation(len(part))
        _show("1/20, list ", measure(part, order, args.workers))
        _show("1/20, bytes", measure(DatasetFromList(part, copy=False), order, args.workers))


if __name__ == "__main__":
    main()
