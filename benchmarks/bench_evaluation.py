"""Timings of the evaluation protocols, compared with a plain loop over all pairs of polygons.

Run ``python benchmarks/bench_evaluation.py``. With ICDAR2015's test ground truth under
DETECTRON2_DATASETS its 500 images are evaluated, else as many random ones; then 100,000 copies of
them. Only compare figures of one run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from vlpt_d2.evaluation.analysis import analyse
from vlpt_d2.evaluation.file_evaluation import evaluate_files, evaluate_images
from vlpt_d2.evaluation.files import ImageTexts, load_set
from vlpt_d2.evaluation.protocols import image_protocols


def write_ground_truth(folder: Path, rng: np.random.Generator, images: int = 500) -> None:
    """Make up as many words as ICDAR2015's test images have: a dozen each, two thirds ###."""
    folder.mkdir()
    for image in range(1, images + 1):
        lines = []
        for _ in range(rng.integers(2, 21)):
            x, y = rng.integers(0, 1200), rng.integers(0, 680)
            w, h = rng.integers(15, 120), rng.integers(8, 40)
            text = "###" if rng.random() < 0.6 else "word"
            lines.append(f"{x},{y},{x + w},{y + 2},{x + w},{y + h},{x},{y + h - 2},{text}")
        (folder / f"gt_img_{image}.txt").write_text("\n".join(lines))


def write_results(gt: Path, path: Path, rng: np.random.Generator, times: int = 1) -> None:
    """A detector's archive: nine of ten texts, a few pixels off, and some false alarms."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(gt.glob("gt_*.txt")):
            lines = []
            for line in times * file.read_text("utf-8-sig").splitlines():
                quad = np.array(line.split(",")[:8], dtype=float)
                if rng.random() < 0.9:
                    lines.append(quad + rng.integers(-3, 4, 8))
                if rng.random() < 0.1:
                    lines.append(quad + rng.integers(-200, 201))
            text = "\r\n".join(",".join(f"{v:.0f}" for v in quad) for quad in lines)
            archive.writestr(file.name.replace("gt_", "res_"), text)


def write_copies(files: dict[str, bytes], path: Path, images: int) -> None:
    """An archive of ``images`` images, from the files of some."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(images):
            name = list(files)[number % len(files)]
            archive.writestr(f"{name.rpartition('_')[0]}_{number}.txt", files[name])


def command(gt: Path, dt: Path) -> tuple[float, float]:
    """Processor seconds and MB of ``vlpt-d2 evaluate``."""
    words = ["evaluate", "--protocol", "icdar2015", "--gt", str(gt), "--dt", str(dt)]
    # A small process starts it: a child's memory counts from that of the process that starts it.
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=-3); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    arguments = [sys.executable, "-c", code, sys.executable, "-m", "vlpt_d2.cli.main", *words]
    output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    seconds, megabytes = map(float, output.split())
    return seconds, megabytes


def plain_loops(images: list[ImageTexts]) -> int:
    """ICDAR2015's rules over all pairs, as the competition's script goes through them."""
    matched = 0
    for image in images:
        gts = [Polygon(points).buffer(0) for points in image.gt_polygons]
        dets = [Polygon(points).buffer(0) for points in image.det_polygons]
        ignored = {
            j
            for j, det in enumerate(dets)
            for gt, dont_care in zip(gts, image.gt_ignore)
            if dont_care and det.area > 0 and gt.intersection(det).area / det.area > 0.5
        }
        overlaps = np.zeros((len(gts), len(dets)))
        for i, gt in enumerate(gts):
            for j, det in enumerate(dets):
                shared = gt.intersection(det).area
                union = gt.area + det.area - shared
                overlaps[i, j] = shared / union if union > 0 else 0
        used = set()
        for i in range(len(gts)):
            for j in range(len(dets)):
                if image.gt_ignore[i] or j in ignored or j in used or overlaps[i, j] <= 0.5:
                    continue
                used.add(j)
                matched += 1
                break
    return matched


def measure(function: Callable, repeats: int) -> tuple[list[float], Any]:
    """Processor seconds of calls, least first, and what the last returned."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return sorted(times), result


def spread(seconds: list[float]) -> str:
    """The least of some times, and the median in brackets."""
    return f"{seconds[0]:7.2f} s ({statistics.median(seconds):.2f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="calls, of which the best counts")
    parser.add_argument("--many", type=int, default=100_000, help="images of the largest set")
    args = parser.parse_args()
    repeats = args.repeats
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        root = Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()
        gt = root / "icdar2015" / "Challenge4_Test_Task1_GT"
        made_up = not gt.is_dir()
        if made_up:
            gt = Path(folder) / "gt"
            write_ground_truth(gt, rng)
        dt = Path(folder) / "res.zip"
        write_results(gt, dt, rng)
        commands = sorted(command(gt, dt) for _ in range(repeats))
        whole, evaluation = measure(lambda: evaluate_files(gt, dt, "icdar2015"), repeats)
        images, _ = load_set(gt, dt, "icdar2015")
        write_results(gt, Path(folder) / "ten.zip", rng, 10)
        ten, _ = measure(lambda: evaluate_files(gt, Path(folder) / "ten.zip", "icdar2015"), repeats)
        paths = Path(folder) / "many_gt.zip", Path(folder) / "many_dt.zip"
        truth = {file.name: file.read_bytes() for file in sorted(gt.glob("gt_*.txt"))}
        with zipfile.ZipFile(dt) as archive:
            results = {name: archive.read(name) for name in archive.namelist()}
        for files, path in zip((truth, results), paths):
            write_copies(files, path, args.many)
        many = sorted(command(*paths) for _ in range(repeats))
    texts = sum(len(i.gt_polygons) for i in images)
    found = sum(len(i.det_polygons) for i in images)
    source = " (random)" if made_up else ""
    print(f"{len(images)} images{source}, {texts} texts, {found} detections")
    print("processor seconds on one core: least (median)")
    for name, runs in (
        ("icdar2015, the whole command", commands),
        (f"the whole command, {args.many} images", many),
    ):
        print(f"{name:<44} {spread([seconds for seconds, _ in runs])}   {runs[0][1]:.0f} MB")
    print(f"{'from files to the score':<44} {spread(whole)}")
    print(f"{'the same with ten times the detections':<44} {spread(ten)}")
    plain, matched = measure(lambda: plain_loops(images), repeats)
    for name in image_protocols():
        seconds, result = measure(lambda n=name: evaluate_images(images, n), repeats)
        line = f"{name + ', matching':<44} {spread(seconds)}"
        if name == "icdar2015":
            assert result.totals.num_matches == matched
            line += f"   plain loop {spread(plain)}: {plain[0] / seconds[0]:5.1f}x"
        print(line)
    seconds, _ = measure(lambda: analyse(evaluation), repeats)
    print(f"{'why it failed, recall by kind':<44} {spread(seconds)}")


if __name__ == "__main__":
    main()
