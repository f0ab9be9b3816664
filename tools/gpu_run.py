#!/usr/bin/env python
"""The grid "reading" in one command, for half an hour on one GPU.

Renders the corpus, makes the trunk, and runs the grid, several trainings at once. Started again, it
resumes what is unfinished. Detectors that have ended are also measured at thresholds chosen on the
validation images. The folder "results" then holds tables, records, curves, weights and what the
time went to, in files below 16 MB.

With --steps it measures single training steps of the paper's sizes instead, with one batch in
memory: VLPT R-50 at 512 px, detectors with R-50 at 640 px.
"""

import argparse
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

from vlpt_d2.comparison.gpus import share_gpus, visible_gpus
from vlpt_d2.comparison.grid import Grid, read_grid
from vlpt_d2.comparison.report import write_report
from vlpt_d2.comparison.run import GridRun, run_config, state_of
from vlpt_d2.comparison.runner import Runner
from vlpt_d2.data.datasets.builtin import DATASETS
from vlpt_d2.data.datasets.dataset import missing_files
from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.engine import load_config
from vlpt_d2.engine.models import build_model_with_weights
from vlpt_d2.engine.results import read_results
from vlpt_d2.engine.step import autocast
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.engine.thresholds import score_thresholds
from vlpt_d2.engine.trainer import TextTrainer
from vlpt_d2.utils.atomic import write_json
from vlpt_d2.utils.environment import data_root, usable_cores
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.numbers import natural, positive, seconds
from vlpt_d2.visualization.curves import read_metrics

TOOLS = Path(__file__).resolve().parent
CLI = (sys.executable, "-m", "vlpt_d2.cli.main")
#: Two large words of the whole vocabulary on plain backgrounds.
RENDERED = (
    "size=(128, 128)",
    "word_list=()",
    "words=vocabulary",
    "zipf=0.85",
)
#: Made of --trunk and --photographs, where the grid's configs look for it.
TRUNK = Path("output/photo/trunk.pth")
#: Values tried for both thresholds on the validation images.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
#: Dense bf16 TFLOP/s by the vendor's data sheets.
PEAKS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
AMP = ("SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.DTYPE", "bfloat16", "SOLVER.IMS_PER_BATCH", "16")
#: name, config, options of the steps that --steps measures.
STEPS = (
    ("VLPT R-50, 512 px", "pretrain.yaml", ("SOLVER.IMS_PER_BATCH", "100")),
    *(
        (f"{name} R-50, 640 px", f"detection/icdar2015/{config}_R_50.yaml", AMP)
        for name, config in (("DB", "db"), ("PSENet", "psenet"), ("EAST", "east"))
    ),
)
#: The dataset with all labels, which comes first.
FIRST = "ICDAR2015"
#: Arms and datasets of the weights that are packed, of the first seed.
WEIGHTS = (("VLPT", ""), ("VLPT", FIRST), ("ST", FIRST))
_WEIGHTS_FOR_HOME = 15 * 2**20


def main() -> int:
    """Parse the command line and run; return 0 where all is finished, 1 where something is left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder with icdar2015/ (default $DETECTRON2_DATASETS)")
    add("--trunk", type=Path, help="trunk trained on photographs, its norms still folded")
    add("--photographs", type=Path, help="folder of photographs without text")
    add("--output", type=Path, default=Path("output/gpu_run"), help="everything is written here")
    add("--grid", default="reading", help="a grid file that names plain_train")
    add("--images", type=positive, default=64000, help="rendered images")
    add("--jobs", type=positive, default=6, help="trainings at once")
    add("--workers", type=natural, default=0, help="processes that render (default: all cores)")
    add("--minutes", type=seconds, help="stop then and pack (default: when all is finished)")
    add("--render-only", action="store_true", help="only render the corpus")
    add("--steps", action="store_true", help="only measure single steps")
    add("--thresholds-of", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    add("opts", nargs="*", metavar="KEY VALUE", help="config options of every training")
    args = parser.parse_intermixed_args()
    if args.thresholds_of:
        measure_thresholds(args.thresholds_of)
        return 0
    if args.steps:
        measure_steps(args.output, args.opts)
        return 0
    return GpuRun(args)()


class GpuRun:
    """All of it, resumable at every point."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.output: Path = args.output
        self.grid = read_grid(args.grid, args.opts, args.output / "runs")
        self.given = args.data or data_root()
        if not args.render_only:
            self.check_data()
        self.results = self.output / "results"
        self.results.mkdir(parents=True, exist_ok=True)
        self.data = self.output.resolve() / "data"
        self.start = time.monotonic()
        self.pool = ThreadPoolExecutor(2)
        self.measured: set[Path] = set()

    def check_data(self) -> None:
        """Look for what is needed after the rendering, which takes long.

        Raises:
            FileNotFoundError: something is not there.
        """
        if missing := missing_files(DATASETS["icdar2015"], self.given):
            raise FileNotFoundError("; ".join(missing.values()) + ". Set --data")
        if not TRUNK.exists() and not (
            self.args.trunk
            and self.args.trunk.is_file()
            and self.args.photographs
            and self.args.photographs.is_dir()
        ):
            raise FileNotFoundError(
                f"there is no {TRUNK}; to make it, --trunk must name a file and --photographs a "
                f"folder, they are {self.args.trunk} and {self.args.photographs}"
            )

    def __call__(self) -> int:
        former = {n: signal.signal(n, _interrupt) for n in (signal.SIGTERM, signal.SIGALRM)}
        if self.args.minutes:
            signal.setitimer(signal.ITIMER_REAL, 60 * self.args.minutes)
        complete = False
        watch = Watch(self.results / "machine.csv")
        try:
            self.prepare()
            if not self.args.render_only:
                complete = self.run()
        except KeyboardInterrupt:
            self.say("time is up; the same command resumes")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in former.items():
                signal.signal(number, handler)
            watch.stop()
            self.pool.shutdown(wait=False, cancel_futures=True)
        if not self.args.render_only:
            self.pack()
        return 0 if complete or self.args.render_only else 1

    def say(self, line: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"[{time.monotonic() - self.start:6.0f} s] {line}", flush=True)

    def prepare(self) -> None:
        """Corpora, and a folder of data sets that holds them and links to the others."""
        self.data.mkdir(exist_ok=True)
        os.environ["DETECTRON2_DATASETS"] = str(self.data)
        self.render("train", ("--count", str(self.args.images)))
        self.render("val", ("--count", "512", "--start-index", "1000000000"))
        if self.args.render_only:
            return
        for entry in self.given.iterdir():
            link = self.data / entry.name
            if not link.exists():
                link.symlink_to(entry.resolve())
        if not TRUNK.exists():
            TRUNK.parent.mkdir(parents=True, exist_ok=True)
            names = (self.args.trunk, self.args.photographs, TRUNK)
            config = ("--config-file", "transfer/db_R_50_half.yaml", "--limit", "96")
            self.call([sys.executable, TOOLS / "reestimate_norms.py", *names, *config])

    def render(self, part: str, more: Sequence[str]) -> None:
        """One part of the corpus; nothing where it is finished."""
        folder = self.data / f"plain_{part}"
        if (folder / "coco.json").is_file() and not (folder / "progress.jsonl").is_file():
            return
        workers = self.args.workers or usable_cores()
        command = [*CLI, "render", folder, "--preset", "quickstart", "--workers", workers, *more]
        self.call([*command, *(word for s in RENDERED for word in ("--set", s))])

    def call(self, command: Sequence[object]) -> None:
        """Run a command; its last line is shown, all of it where it fails."""
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command} failed:\n{done.stdout}{done.stderr}")
        self.say(done.stdout.strip().splitlines()[-1])

    def run(self) -> bool:
        """Run the grid; return whether all of it is finished."""
        runs = in_order(self.grid)
        self.train(runs)
        self.pool.shutdown(wait=True)
        return all(run.finished for run in runs)

    def train(self, runs: Sequence[GridRun]) -> None:
        """Run what is missing of these, and measure each detector that has ended."""

        def after_run() -> None:
            for run in runs:
                folder = run.folder
                if run.dataset and run.finished and folder not in self.measured:
                    self.measured.add(folder)
                    self.pool.submit(self.choose_thresholds, folder)

        after_run()
        Runner(
            jobs=self.args.jobs,
            gpus=share_gpus(self.args.jobs, 0, visible_gpus()),
            threads=max(1, usable_cores() // self.args.jobs),
            say=self.say,
            after_run=after_run,
            interval=30.0,
        )(runs)

    def choose_thresholds(self, folder: Path) -> None:
        """In a process of its own, unless that is done."""
        if (folder / "chosen_thresholds.json").exists():
            return
        minutes = self.args.minutes
        left = minutes and 60 * minutes - (time.monotonic() - self.start)
        command = [sys.executable, __file__, "--thresholds-of", str(folder)]
        with open(folder / "thresholds.log", "w", encoding="utf-8") as log:
            try:
                subprocess.run(command, stdout=log, stderr=log, timeout=left)
            except subprocess.TimeoutExpired:
                return

    def pack(self) -> None:
        """Tables of the grid, records of all runs, some weights."""
        write_report(self.grid, self.results / self.grid.name)
        runs, every = self.grid.runs, self.output / "runs"
        texts = [machine_summary(self.results / "machine.csv"), speed_table(runs)]
        texts += [
            chosen_table(runs),
            reading_table(sorted(every.glob("pretrain/vlpt*/*/results.json"))),
        ]
        (self.results / "summary.md").write_text("\n\n".join(filter(None, texts)) + "\n")
        with tarfile.open(self.results / "records.tar.gz", "w:gz") as tar:
            for path in sorted(every.rglob("*")):
                if path.is_file() and path.suffix in (".json", ".yaml", ".txt", ".log"):
                    tar.add(path, path.relative_to(every))
        for run in runs:
            if run.seed == 1 and (run.arm, run.dataset) in WEIGHTS:
                self.halve(run)

    def halve(self, run: GridRun) -> None:
        """A model's weights in 16 bits, if they are there and small enough to carry."""
        name = "_".join(filter(None, [run.arm, run.detector])).lower()
        output = self.results / f"{name}.safetensors"
        if not run.final_weights.is_file() or output.exists():
            return
        config = ("--config-file", run.folder / "start.yaml")
        self.call([sys.executable, TOOLS / "write_weights.py", run.final_weights, output, *config])
        if output.stat().st_size > _WEIGHTS_FOR_HOME:
            output.unlink()


def in_order(grid: Grid) -> list[GridRun]:
    """The runs in the order of the plan: that of the grid's tables, but seed by seed in parts.

    First all on :data:`FIRST`, then the others; within a part pre-trainings first, so that no place
    waits for one.
    """
    arms = [arm.name for arm in grid.pretrainings]

    def key(run: GridRun) -> tuple:
        return run.dataset not in ("", FIRST), bool(run.dataset), run.seed, arms.index(run.arm)

    return sorted(grid.runs, key=key)


def measure_thresholds(folder: Path) -> None:
    """Choose a finished detector's thresholds on its validation images; measure the test images.

    Writes ``chosen_thresholds.json`` into the run's folder.
    """
    weights = str(folder / "model_final.pth")
    options = ["MODEL.WEIGHTS", weights, "NUM_THREADS", "2"]
    cfg = load_config(str(folder / "start.yaml"), options)
    register_from_config(cfg)
    set_threads(cfg)
    model = build_model_with_weights(cfg)
    *best, _, _, hmean = score_thresholds(cfg, model, cfg.DATASETS.VALIDATION[0], THRESHOLDS)[0]
    keys = model.text_head.threshold_keys
    model.text_head.decoding.update(zip(keys, best))
    scores = TextTrainer.test(cfg, model, datasets=cfg.DATASETS.TEST)["text"]
    record = {
        "thresholds": dict(zip(keys.values(), best)),
        "validation_hmean": hmean,
        "test": {name: scores[name] for name in ("precision", "recall", "hmean")},
    }
    write_json(folder / "chosen_thresholds.json", record, indent=1)


def measure_steps(output: Path, opts: Sequence[str]) -> None:
    """Time steps with one batch in memory, and write them to ``steps.md``."""
    rows = []
    for name, config, options in STEPS:
        arguments = [
            *options,
            "MODEL.WEIGHTS",
            "",
            "SOLVER.CHANNELS_LAST",
            "True",
            "SEED",
            "1",
            *opts,
        ]
        try:
            rows.append([name, *measure_step(load_config(config, arguments))])
        except (FileNotFoundError, torch.OutOfMemoryError) as error:
            print(f"{name}: left out: {error}", flush=True)
    headers = ["step", "images", "ms", "images/s", "TFLOP", "TFLOP/s", "MFU %", "peak GiB"]
    text = tabulate(rows, headers, "pipe", floatfmt=".1f")
    path = output / "results" / "steps.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    print(text, flush=True)


def measure_step(cfg: CfgNode, steps: int = 8) -> list[float | None]:
    """Images of a step, its median ms, images/s, TFLOP, TFLOP/s, MFU in percent, peak GiB."""
    register_from_config(cfg)
    set_threads(cfg)
    torch.backends.cudnn.benchmark = True
    cuda = torch.device(cfg.MODEL.DEVICE).type == "cuda"
    model = TextTrainer.build_model(cfg).train()
    optimizer = TextTrainer.build_optimizer(cfg, model)
    batch = next(iter(TextTrainer.build_train_loader(cfg)))
    wait: Callable[[], None] = torch.cuda.synchronize if cuda else lambda: None

    def step() -> float:
        wait()
        start = time.perf_counter()
        with autocast(cfg):
            losses = model(batch)
        optimizer.zero_grad(set_to_none=True)
        sum(v for k, v in losses.items() if "loss" in k).backward()
        optimizer.step()
        wait()
        return time.perf_counter() - start

    with EventStorage(0):
        with FlopCounterMode(display=False) as counter:
            step()
        for _ in range(3 if cuda else 0):
            step()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        seconds = statistics.median(step() for _ in range(steps if cuda else 1))
    flop = counter.get_total_flops() / 1e12
    peak = next((v for k, v in PEAKS.items() if cuda and k in torch.cuda.get_device_name()), None)
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
    rate = flop / seconds
    mfu = 100 * rate / peak if peak else None
    return [len(batch), 1e3 * seconds, len(batch) / seconds, flop, rate, mfu, memory]


class Watch:
    """Writes down every few seconds how busy processor and GPU are."""

    def __init__(self, path: Path, interval: float = 5.0):
        self._stop = threading.Event()
        self._path, self._interval = path, interval
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; the file is complete."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        busy, total = _processor()
        while not self._stop.wait(self._interval):
            before, (busy, total) = (busy, total), _processor()
            share = 100 * (busy - before[0]) / max(1, total - before[1])
            with open(self._path, "a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow([round(time.time(), 1), round(share, 1), *_gpu()])


def _processor() -> tuple[int, int]:
    """Busy and all ticks of all cores since the start of the system."""
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _gpu() -> list[float]:
    """Utilisation in percent, memory in MiB and power in watts; nothing without a GPU."""
    query = "--query-gpu=utilization.gpu,memory.used,power.draw"
    try:
        command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
        return [float(x) for x in done.stdout.splitlines()[0].split(",")]
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return []


def machine_summary(path: Path) -> str:
    """Means of what :class:`Watch` wrote."""
    if not path.exists():
        return ""
    rows = [list(map(float, row)) for row in csv.reader(path.open(encoding="utf-8"))]
    names = ["processor busy, %", "GPU busy, %", "GPU memory, MiB", "GPU power, W"]
    columns = [[row[i + 1] for row in rows if len(row) > i + 1] for i in range(len(names))]
    lines = [[n, statistics.fmean(c), max(c)] for n, c in zip(names, columns) if c]
    return tabulate(lines, ["machine", "mean", "most"], "pipe", floatfmt=".1f")


def speed_table(runs: Sequence[GridRun]) -> str:
    """Images a second of each finished training, and the share of its time spent on data."""
    rows = []
    for run in runs:
        state = state_of(run)
        if state.status != "finished":
            continue
        curves = read_metrics(run.folder / "metrics.json", lenient=True)
        step, data = (
            statistics.median(value for _, value in curves[key]) if curves.get(key) else None
            for key in ("time", "data_time")
        )
        cfg = run_config(run).cfg
        memory = state.results.get("gpu_memory_mib")
        rows.append(
            [
                run.name,
                state.record["seconds"],
                cfg.SOLVER.IMS_PER_BATCH / step if step else None,
                100 * data / step if step and data is not None else None,
                memory,
            ]
        )
    headers = ["training", "seconds", "images/s in steps", "of it waiting for data, %", "GPU MiB"]
    return tabulate(rows, headers, "pipe", floatfmt=".0f") if rows else ""


def chosen_table(runs: Sequence[GridRun]) -> str:
    """Results at thresholds chosen on the validation images."""
    rows = []
    for run in runs:
        path = run.folder / "chosen_thresholds.json"
        if run.dataset and path.exists():
            record = json.loads(path.read_text("utf-8"))
            scores = [record["validation_hmean"], *record["test"].values()]
            rows.append([run.arm, run.dataset, run.seed, *record["thresholds"].values(), *scores])
    headers = ["pre-training", "dataset", "seed", "first threshold", "second threshold"]
    headers += ["validation hmean", "precision", "recall", "hmean"]
    return tabulate(rows, headers, "pipe", floatfmt=".1f") if rows else ""


def reading_table(results: Sequence[Path]) -> str:
    """MLM accuracy of each VLPT, with the right and with shuffled images."""
    rows = []
    for path in results:
        scores = read_results(path.parent)
        if scores is not None:
            right, shuffled = _accuracies(scores)
            rows.append([path.parents[1].name, right, shuffled, right - shuffled])
    headers = ["pre-training", "MLM accuracy, %", "with shuffled images, %", "difference"]
    return tabulate(rows, headers, "pipe", floatfmt=".1f") if rows else ""


def _accuracies(results: dict) -> tuple[float, float]:
    scores = results["validation"]
    return scores["pretrain/mlm_accuracy"], scores["pretrain/shuffled_mlm_accuracy"]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(run_script(main))
