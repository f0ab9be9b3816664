"""The whole way in small: detect with a shipped model, then train, evaluate and draw one."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from detectron2.data import DatasetCatalog
from PIL import Image
from tabulate import tabulate

from ..config import load_parts
from ..data.sample import load_sample
from ..model_zoo import get_config_file
from ..utils.environment import data_root
from ..visualization.curves import plot_pretraining, read_metrics
from ..visualization.detections import draw_results
from .defaults import ConfigError, config_faults, load_config
from .trainer import TextTrainer
from .training_run import TrainingRun

logger = logging.getLogger(__name__)

PRETRAIN_CONFIG = "quickstart/pretrain.yaml"
DETECTION_CONFIGS = {
    "icdar2015": "quickstart/db_icdar2015.yaml",
    "rendered": "quickstart/db_rendered.yaml",
}
# Images that the shipped model is shown on.
EXAMPLES = 4
# Result and name of each line of the closing table.
PRETRAIN_ROWS = (
    ("mlm_accuracy", "masked words read (MLM)"),
    ("wip_accuracy", "words distinguished from look-alikes (WIP)"),
    ("image_to_text_r1", "image to text, recall@1"),
    ("text_to_image_r1", "text to image, recall@1"),
)


def default_data() -> str:
    """Return "icdar2015" where it lies under DETECTRON2_DATASETS, else "rendered"."""
    found = (data_root() / "icdar2015" / "ch4_test_images").is_dir()
    return "icdar2015" if found else "rendered"


def training_runs(output: Path, data: str, options: list[str]) -> Iterator[TrainingRun]:
    """Yield the pre-training and the fine-tuning that starts from its trunk.

    Args:
        output: folder of all.
        data: a key of :data:`DETECTION_CONFIGS`.
        options: config options of both.
    """
    config = get_config_file(PRETRAIN_CONFIG)
    pretraining = TrainingRun("pre-training", config, output / "pretrain", tuple(options))
    yield pretraining
    weights = ("MODEL.WEIGHTS", str(pretraining.final_weights))
    config = get_config_file(DETECTION_CONFIGS[data])
    yield TrainingRun("fine-tuning DB", config, output / f"db_{data}", (*options, *weights))


def example_images(output: Path, data: str) -> list[Path]:
    """Test images for the shipped model: ICDAR2015's, or rendered ones, written to a folder."""
    if data == "icdar2015":
        return sorted((data_root() / "icdar2015" / "ch4_test_images").glob("*.jpg"))[:EXAMPLES]
    load_parts()
    folder = output / "images"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, record in enumerate(DatasetCatalog.get("rendered_quickstart_detection_val")[:EXAMPLES]):
        paths.append(folder / f"{i}.png")
        Image.fromarray(load_sample(record, "RGB")[0]).save(paths[-1])
    return paths


def run_quickstart(
    output: Path,
    data: str | None = None,
    fresh: bool = False,
    options: list[str] | None = None,
    detect: Callable[[list[Path], Path], None] | None = None,
) -> str:
    """Run all stages, draw pictures and return the closing table.

    Args:
        output: folder for everything; finished stages found there are not run again.
        data: "icdar2015" or "rendered" for the detector; None: what :func:`default_data` finds.
        fresh: remove what a former run left in ``output``.
        options: config options of both stages, as on the command line of train_net.py.
        detect: called first, with images and a folder for what a shipped model finds in them.

    Raises:
        ConfigError: the options cannot be used, or there is no such data.
        OSError: ``output`` cannot be a folder, or holds files of others.
        RuntimeError: a training failed.
    """
    data = data or default_data()
    pretraining, detection = training_runs(output, data, options or [])
    _check(data, pretraining, detection)
    output.mkdir(parents=True, exist_ok=True)
    if fresh:
        _remove(output)
    start = time.monotonic()
    if detect is not None:
        detect(example_images(output, data), output / "detected")
    pretraining.train()
    detection.train()
    curve = output / "pretraining.png"
    plot_pretraining(pretraining.folder / "metrics.json", curve, "Pre-training in small")
    report = _newest_report(detection.folder / "inference")
    pictures = output / "pictures"
    sheet = draw_results(report, pictures, count=12)
    return closing_table(pretraining, report, [curve, sheet, pictures], time.monotonic() - start)


def _check(data: str, *runs: TrainingRun) -> None:
    """Check data and options before anything is run."""
    if data == "icdar2015" and default_data() != data:
        raise ConfigError(
            f"--data icdar2015: there is no {data_root() / data / 'ch4_test_images'}; set "
            "DETECTRON2_DATASETS to the folder that holds icdar2015 (see datasets/README.md), or "
            "use --data rendered"
        )
    for run in runs:
        if "OUTPUT_DIR" in run.options[::2]:
            raise ConfigError("OUTPUT_DIR follows from --output; take it out of the options")
        cfg = load_config(run.config, run.options)
        with config_faults(cfg):
            TextTrainer.check(cfg)


def closing_table(pretraining: TrainingRun, report: Path, files: list[Path], seconds: float) -> str:
    """Return results, controls and where everything lies, as text.

    Args:
        pretraining: the finished stage.
        report: the evaluator's JSON file of the detector.
        files: pictures to name.
        seconds: time of this run.
    """
    metrics = read_metrics(pretraining.folder / "metrics.json")
    last = {name: points[-1][1] for name, points in metrics.items()}
    rows = []
    for key, label in PRETRAIN_ROWS:
        if f"pretrain/{key}" in last:
            control = last.get(f"pretrain/shuffled_{key}")
            rows.append([f"pre-training: {label}", last[f"pretrain/{key}"], control])
    results = json.loads(report.read_text("utf-8"))
    for key, value in results["percent"].items():
        rows.append([f"DB on {results['dataset']}: {key}", value, None])
    table = tabulate(
        rows, headers=["", "%", "% with shuffled images"], floatfmt=".1f", missingval=""
    )
    where = [("weights for any detector", pretraining.final_weights)]
    where += [("detector", report.parents[1] / "model_final.pth"), ("scores", report)]
    where += [("picture" if f.suffix else "pictures", f) for f in files]
    lines = "\n".join(f"{name:>26}: {path}" for name, path in where)
    return f"\n{table}\n\n{lines}\n{'time of this run':>26}: {seconds / 60:.1f} minutes\n"


def _remove(output: Path) -> None:
    """Delete a former run; anything else in the way is left and said."""
    known = {"detected", "images", "pretrain", "pictures", "pretraining.png"}
    known |= {f"db_{data}" for data in DETECTION_CONFIGS}
    strangers = sorted(p.name for p in output.iterdir() if p.name not in known)
    if strangers:
        raise FileExistsError(
            f"{output} holds {', '.join(strangers)}, which no quickstart wrote; nothing was "
            "removed. Name another folder with --output"
        )
    shutil.rmtree(output)


def _newest_report(folder: Path) -> Path:
    reports = sorted(folder.glob("text_results_*.json"), key=lambda p: p.stat().st_mtime)
    if not reports:
        raise FileNotFoundError(
            f"no text_results_*.json in {folder}: the detector was not measured. Remove "
            f"{folder.parent} and run the quickstart again"
        )
    return reports[-1]
