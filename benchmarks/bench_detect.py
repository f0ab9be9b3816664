#!/usr/bin/env python
"""Milliseconds by stage and hmean of detectors on ICDAR2015's test images, on the CPU.

The zoo's words detectors through torch, onnxruntime and OpenVINO, next to the detectors of RapidOCR
(rapidocr 3.10 with PP-OCRv6 small, rapidocr-onnxruntime 1.4.4 with PP-OCRv4), which find lines and
score low where words are counted. All resize the short side to 736 pixels and take one image at a
time. What is not installed is left out. Then the time from the start of a process to its JSON file.

int8 networks are calibrated on training images.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tabulate import tabulate

from vlpt_d2 import TextPredictor
from vlpt_d2.cli.main import main as vlpt_d2
from vlpt_d2.data.image_io import read_image
from vlpt_d2.evaluation.file_evaluation import evaluate_files
from vlpt_d2.evaluation.submission import format_detections
from vlpt_d2.export.detector import Detector, open_onnx

MODELS = ("db_mobile", "db_R_50_half")
STAGES = ("resize", "network", "decode")
Found = tuple[list[np.ndarray], list[float]]
#: From an RGB image to the milliseconds of its stages, and its texts.
Run = Callable[[np.ndarray], tuple[list[float], Found]]


def clock() -> float:
    """Milliseconds: of the processor where one thread computes, which other work changes less."""
    return 1e3 * (time.process_time() if cv2.getNumThreads() == 1 else time.perf_counter())


def staged(detector: Detector) -> Run:
    """The stages of one of our detectors."""

    def run(image: np.ndarray) -> tuple[list[float], Found]:
        times = [clock()]
        resized = detector.resized(image)
        times.append(clock())
        (maps,) = detector.maps([resized])
        times.append(clock())
        size = resized.shape[:2]
        texts = detector.decode(maps, size).resized(size, image.shape[:2])
        times.append(clock())
        return list(np.diff(times)), (texts.polygons, texts.scores.tolist())

    return run


def rapidocr(detector: Any, network: Any, order: Callable[[Any, np.ndarray], Any]) -> Run:
    """The stages of a detector of RapidOCR."""

    def run(image: np.ndarray) -> tuple[list[float], Found]:
        image = np.ascontiguousarray(image[..., ::-1])
        times = [clock()]
        arguments = [] if network is detector.__dict__.get("session") else [max(image.shape[:2])]
        pixels = detector.get_preprocess(*arguments)(image)
        times.append(clock())
        maps = network(pixels)
        times.append(clock())
        boxes, scores = order(maps, image)
        times.append(clock())
        return list(np.diff(times)), ([np.float32(b) for b in boxes], list(map(float, scores)))

    return run


def export(model: str, folder: Path, end: str = "", options: Sequence[str] = ()) -> Path:
    """Write <model><end>.onnx to a folder unless it is there."""
    path = folder / f"{model}{end}.onnx"
    if not path.exists():
        vlpt_d2(["export", "--model", model, "--output", str(path), *options])
    return path


def candidates(
    threads: int, folder: Path, training: Path, networks: Sequence[str]
) -> Iterator[tuple[str, Run]]:
    """Names and runs of all that is installed.

    Args:
        threads: of each.
        folder: for exported files.
        training: folder of the images that int8 is calibrated on.
        networks: parts of the names to take; none: all.
    """
    options = ["NUM_THREADS", str(threads)]

    def wanted(name: str) -> bool:
        return not networks or any(word in name for word in networks)

    for model in MODELS:
        for precision in ("fp32", "bf16"):
            name = f"{model}, torch {precision}"
            if not wanted(name):
                continue
            if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
                print(f"{name}: left out, this CPU has no instructions for it", file=sys.stderr)
                continue
            torch.set_num_threads(threads)
            cast = str(precision == "bf16")
            opts = [*options, "TEST.AMP_ENABLED", cast, "SOLVER.AMP.DTYPE", "bfloat16"]
            yield name, staged(TextPredictor(model, opts=opts, device="cpu").detector)
        if wanted(name := f"{model}, onnxruntime fp32"):
            yield name, staged(TextPredictor(model, opts=options, backend="onnx").detector)
        if wanted(name := f"{model}, onnxruntime int8"):
            path = export(model, folder, "_int8", ["--int8", str(training)])
            yield name, staged(open_onnx(str(path), threads))
        if wanted(name := f"{model}, OpenVINO fp32"):
            with suppress(ImportError):
                yield name, staged(openvino(export(model, folder), threads))
    with suppress(ImportError):
        from rapidocr import RapidOCR

        if wanted(name := "PP-OCRv6 small, RapidOCR 3.10"):
            key = "EngineConfig.onnxruntime.intra_op_num_threads"
            engine = RapidOCR(params={key: threads, "Global.log_level": "error"})
            # The first use loads the detector.
            engine(np.zeros((64, 64, 3), np.uint8), use_cls=False, use_rec=False)
            found: Any = engine.text_det

            def grown(maps: Any, image: np.ndarray) -> Any:
                return found.postprocess_op(maps, image.shape[:2])

            yield name, rapidocr(found, found.session, grown)
    with suppress(ImportError):
        from rapidocr_onnxruntime import RapidOCR as Older

        if wanted(name := "PP-OCRv4, RapidOCR 1.4.4"):
            older = Older(intra_op_num_threads=threads).text_det

            def order(maps: Any, image: np.ndarray) -> Any:
                boxes, scores = older.postprocess_op(maps[0], image.shape[:2])
                return older.filter_tag_det_res(boxes, image.shape[:2]), scores

            yield name, rapidocr(older, older.infer, order)


def openvino(path: Path, threads: int) -> Detector:
    """An exported file on OpenVINO."""
    from openvino import Core

    settings = open_onnx(str(path), threads).settings
    config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    network = Core().compile_model(str(path), "CPU", {**config, "INFERENCE_PRECISION_HINT": "f32"})
    return Detector(lambda images: list(network([images]).values()), settings)


def measure(run: Run, images: dict[str, np.ndarray], gt: Path) -> list[Any]:
    """Median milliseconds of the stages and in all, and hmean in percent."""
    run(next(iter(images.values())))
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for stem, image in images.items():
            stages, (polygons, scores) = run(image)
            times.append([*stages, sum(stages)])
            text = format_detections(polygons, scores)
            (Path(folder) / f"res_{stem}.txt").write_text(text)
        hmean = 100 * evaluate_files(gt, folder, "icdar2015").totals.hmean
    return [*np.median(times, axis=0), hmean]


def cold_start(image: Path, threads: int, repeats: int) -> tuple[float, float]:
    """Median wall and processor seconds from the start of a process to its JSON file."""
    walls, processors = [], []
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    for _ in range(repeats + 1):  # the first fills the disk's cache
        with tempfile.TemporaryDirectory() as folder:
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            command = [sys.executable, "-m", "vlpt_d2.cli.main", "detect", str(image)]
            command += ["--backend", "onnx", "--format", "json", "--output", folder]
            subprocess.run(command, check=True, capture_output=True, env=environment)
            walls.append(time.perf_counter() - start)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            processors.append(sum(after[:2]) - sum(before[:2]))
    return statistics.median(walls[1:]), statistics.median(processors[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()
    parser.add_argument("--data", type=Path, default=root / "icdar2015", help="ICDAR2015's folder")
    parser.add_argument("--images", type=int, default=40, help="test images, evenly spread")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", default=[], help="parts of the names of detectors")
    parser.add_argument("--exported", type=Path, help="keep the ONNX files here, or take them")
    args = parser.parse_args()
    logging.disable(logging.INFO)  # of exports, which print their models
    files = sorted((args.data / "ch4_test_images").glob("*.jpg"), key=lambda p: int(p.stem[4:]))
    files = files[:: max(1, len(files) // args.images)][: args.images]
    images = {path.stem: read_image(path, str(path)) for path in files}
    with tempfile.TemporaryDirectory() as folder:
        exported = args.exported or Path(folder)
        gt = Path(folder) / "gt"
        gt.mkdir()
        for stem in images:
            shutil.copy(args.data / "Challenge4_Test_Task1_GT" / f"gt_{stem}.txt", gt)
        for threads in args.threads:
            cv2.setNumThreads(threads)
            rows = []
            for name, run in candidates(
                threads, exported, args.data / "ch4_training_images", args.only
            ):
                rows.append([name, *measure(run, images, gt)])
                print(f"{name}: {rows[-1][-2]:.0f} ms", file=sys.stderr, flush=True)
            print(f"\n{len(images)} images, {threads} threads")
            headers = ["", *STAGES, "ms", "hmean"]
            print(tabulate(rows, headers, floatfmt=("", *(".0f",) * 4, ".1f")))
            if not args.only:
                wall, processor = cold_start(files[0], threads, 5)
                print(f"cold start: {wall:.2f} s, {processor:.2f} s of the processor", flush=True)


if __name__ == "__main__":
    main()
