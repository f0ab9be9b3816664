"""Fine-tuning of a detector from the model zoo on the user's own photographs."""

from __future__ import annotations

import base64
import json
import logging
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from ..checkpoint import describe_trunk, save_weights
from ..config import get_cfg, with_values
from ..data.conversion import convert_dataset
from ..data.datasets.formats import guess_format, read_folder
from ..data.datasets.from_config import register_from_config
from ..data.loader import build_test_loader
from ..data.statistics import format_statistics, measure_dataset
from ..evaluation.analysis import analyse, to_page
from ..evaluation.file_evaluation import Evaluation, evaluate_images, to_report
from ..evaluation.files import ImageTexts
from ..export import ExportError, export_detector
from ..model_zoo.models import PREFIX, get_checkpoint, get_detector
from ..modeling.detection import TextDetector
from ..utils.atomic import write_json, write_text
from ..utils.environment import usable_cores
from ..utils.locks import lock_folder
from ..utils.names import counted
from ..utils.provenance import provenance
from ..visualization.curves import plot_training
from .arguments import argument_parser
from .defaults import load_config
from .launch import run
from .models import build_model_with_weights
from .progress import LoggedProgress
from .threads import set_threads
from .thresholds import score_thresholds

__all__ = ["MIN_IMAGES", "RESULTS", "finetune", "schedule", "split"]

logger = logging.getLogger(__name__)

#: Least number of images with text to learn.
MIN_IMAGES = 10
#: The file that a fine-tuning writes last.
RESULTS = "results.json"
_REQUEST = "request.json"
_SPLIT = "data/split.json"
_PROTOCOL = "icdar2015"
_SCORES = ("precision", "recall", "hmean")
_PARTS = ("train", "validation")
# Held-out images: their share, and their least and greatest number.
_SHARE, _FEWEST, _MOST = 0.2, 2, 50
# Thresholds within so many percent of the best hmean count as equal.
_TIE = 0.5


def split(texts: Sequence[int], seed: int) -> tuple[list[int], list[int]]:
    """Hold out a fifth of the images with text, at least 2 and at most 50, at random.

    Args:
        texts: for each image, the number of texts to learn.
        seed: of the draw.

    Returns:
        Indices of the images to train on and of those held out, each in ascending order.

    Raises:
        ValueError: fewer than 10 images have text.
    """
    useful = [index for index, number in enumerate(texts) if number]
    if len(useful) < MIN_IMAGES:
        raise ValueError(
            f"{len(useful)} of {len(texts)} images have text to learn; at least {MIN_IMAGES} are "
            "needed. Label more images"
        )
    count = min(max(round(_SHARE * len(useful)), _FEWEST), _MOST)
    held_out = set(random.Random(seed).sample(useful, count))
    return [i for i in range(len(texts)) if i not in held_out], sorted(held_out)


def schedule(images: int, on_gpu: bool) -> list[str]:
    """Choose steps, batch, crop size and evaluations for a number of training images.

    Returns:
        "KEY value" pairs.
    """
    steps = min(max(15 * images, 200), 3000)
    # A detector without norms, such as db_mobile, breaks at rates around 0.001.
    options: dict[str, Any] = {
        "SOLVER.EPOCHS": 0,
        "SOLVER.MAX_ITER": steps,
        "SOLVER.BASE_LR": 0.0002,
        "SOLVER.OPTIMIZER": "AdamW",
        "SOLVER.WARMUP_ITERS": steps // 10,
        "SOLVER.EMA": 0.99,
        "SOLVER.CHECKPOINT_PERIOD": max(steps // 20, 1),
        "SOLVER.CHECKPOINTS_KEPT": 1,
        "TEST.EVAL_PERIOD": max(steps // 10, 1),
        "TEST.BEST_METRIC": "text/hmean",
        "TEST.PATIENCE": 4,
        "DATALOADER.NUM_WORKERS": min(usable_cores() // 2, 8),
    }
    if not on_gpu:
        options |= {"SOLVER.IMS_PER_BATCH": 4, "INPUT.DETECTION.TRAIN_SIZE": (480, 480)}
    return [str(word) for pair in options.items() for word in pair]


def finetune(
    images: Path,
    labels: Path,
    output: Path,
    form: str | None = None,
    model: str = "db_mobile",
    seed: int = 0,
    opts: Sequence[str] = (),
) -> dict[str, Any]:
    """Fine-tune a model on labelled images, and write the detector and a report to a folder.

    An interrupted fine-tuning resumes; a finished one is not repeated.

    Args:
        images: folder of the images.
        labels: folder of the label files, or the JSON file (COCO).
        output: gets ``data`` (the split, as COCO), ``training`` (checkpoints, log), the weights
            ``model.safetensors``, ``config.yaml``, ``model.onnx``, ``training.png``,
            ``report.html`` and, last, ``results.json``.
        form: a format of :data:`~vlpt_d2.data.datasets.formats.FORMATS`; guessed if not given.
        model: a name of the zoo.
        seed: of the split and the training.
        opts: "KEY value" pairs on top of the model's config and the schedule.

    Returns:
        The content of ``results.json``: scores ``before`` and ``after`` on the held-out images, in
        percent, the thresholds, the numbers of images, the steps, and the provenance.

    Raises:
        ValueError: there is no such model, format or config key, there are too few images or some
            cannot be read, or the folder holds another fine-tuning or other files.
        OSError, GroundTruthError, CorruptImageError: files cannot be read or written.
        FolderInUseError: another process writes to the folder.
    """
    start = time.monotonic()
    config = get_detector(model).config
    get_checkpoint(model)
    load_config(config, opts)  # before anything is written
    request: dict[str, Any] = {
        "images": str(images.resolve()),
        "labels": str(labels.resolve()),
        "format": form or guess_format(labels),
        "model": model,
        "seed": seed,
        "opts": list(opts),
    }
    output = output.resolve()
    with lock_folder(output):
        _hold_request(output, request)
        if (output / RESULTS).is_file():
            logger.info("%s is finished already: nothing to train", output)
            return json.loads((output / RESULTS).read_text("utf-8"))
        counts = _prepare_data(images, labels, str(request["format"]), seed, output)
        options = _options(output, model, seed, counts["train"], opts)
        command = ["--config-file", config, "--resume", *options]
        run(argument_parser().parse_args(command))
        results = _finish(output, load_config(config, options), model)
        minutes = round((time.monotonic() - start) / 60, 1)
        results |= {"images": counts, "minutes": minutes, "request": request}
        write_json(output / RESULTS, results, indent=1)
    return results


def _hold_request(output: Path, request: dict[str, Any]) -> None:
    """Refuse to mix two fine-tunings in one folder."""
    path = output / _REQUEST
    if not (output / _SPLIT).is_file():  # nothing that could be mixed
        if not path.is_file() and any(not p.name.startswith(".") for p in output.iterdir()):
            raise ValueError(f"{output} holds other files: name a new folder with --output")
        write_json(path, request, indent=1)
        return
    before = json.loads(path.read_text("utf-8"))
    changes = [
        f"{key} was {before.get(key)}, is {value}"
        for key, value in request.items()
        if value != before.get(key)
    ]
    if changes:
        raise ValueError(
            f"{output} holds another fine-tuning ({'; '.join(changes)}): name another folder, or "
            "remove this one"
        )


def _prepare_data(images: Path, labels: Path, form: str, seed: int, output: Path) -> dict[str, int]:
    """Check and split the images, into COCO files; return the number of images of each part."""
    folder = output / "data"
    record = output / _SPLIT
    if not record.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # of an interrupted run
        name = images.resolve().name
        dicts, report = read_folder(form, images, labels, name)
        statistics = measure_dataset(dicts, decode=True)
        text = format_statistics(name, statistics, [report])
        write_text(output / "data.txt", text + "\n")
        print(text.split("\n\n")[0], flush=True)
        if statistics.broken:
            broken = counted(statistics.counts["images that cannot be read"], "image")
            raise ValueError(f"{broken} cannot be read, such as {statistics.broken[0]}")
        texts = [sum(not a["iscrowd"] for a in d.get("annotations", ())) for d in dicts]
        parts = dict(zip(_PARTS, split(texts, seed)))
        for part, chosen in parts.items():
            convert_dataset([dicts[i] for i in chosen], folder / part, "coco", "link")
        names = {k: [Path(dicts[i]["file_name"]).name for i in v] for k, v in parts.items()}
        write_json(record, {"seed": seed, **names}, indent=1)
    content = json.loads(record.read_text("utf-8"))
    return {part: len(content[part]) for part in _PARTS}


def _options(output: Path, model: str, seed: int, images: int, opts: Sequence[str]) -> list[str]:
    """Return the "KEY value" pairs of the training."""
    folders = [
        [
            f"{output.name}_{part}",
            "coco",
            f"{output}/data/{part}/images",
            f"{output}/data/{part}/labels.json",
        ]
        for part in _PARTS
    ]
    train, validation = (entry[0] for entry in folders)
    return [
        *schedule(images, torch.cuda.is_available()),
        *("MODEL.WEIGHTS", f"{PREFIX}{model}", "SEED", str(seed)),
        *("DATASETS.FOLDERS", str(folders), "DATASETS.TRAIN", str((train,))),
        *("DATASETS.VALIDATION", str((validation,)), "DATASETS.TEST", "()"),
        *("OUTPUT_DIR", str(output / "training"), *opts),
    ]


def _finish(output: Path, cfg: CfgNode, model: str) -> dict[str, Any]:
    """Choose thresholds, write weights, config, ONNX, curves and page; return the results."""
    register_from_config(cfg)
    set_threads(cfg)
    (validation,) = cfg.DATASETS.VALIDATION
    training = output / "training"
    best = training / "model_best.pth"
    # There is no best checkpoint if no evaluation found any text.
    weights = best if best.is_file() else training / "model_final.pth"
    detector = build_model_with_weights(cfg, str(weights), needed="text_head.")
    thresholds = _choose_thresholds(cfg, detector, validation)
    final = with_values(cfg, {**thresholds, "MODEL.WEIGHTS": ""})
    path = output / "model.safetensors"
    save_weights(detector.state_dict(), describe_trunk(final), path)
    shared = with_values(final, {"MODEL.DEVICE": get_cfg().MODEL.DEVICE})  # not this machine's
    write_text(output / "config.yaml", shared.dump())
    detector = build_model_with_weights(final, str(path))
    after = _evaluate(final, detector, validation)
    before = _evaluate(cfg, build_model_with_weights(cfg, f"{PREFIX}{model}"), validation)
    try:
        export_detector(final, detector.to("cpu"), output / "model.onnx", "onnx")
    except ExportError as error:
        logger.warning("model.onnx is not written: %s", error)
    curves = output / "training.png"
    plot_training(training / "metrics.json", curves, "text/hmean", "hmean on held-out images")
    scores = {
        when: {key: round(100 * getattr(evaluation.totals, key), 1) for key in _SCORES}
        for when, evaluation in (("before", before), ("after", after))
    }
    report = to_report(after)
    report["analysis"] = analyse(after)
    page = to_page(
        after,
        report,
        output / "data" / "validation" / "images",
        "finetune.html",
        scores=scores,
        curves=base64.b64encode(curves.read_bytes()).decode(),
    )
    write_text(output / "report.html", page)
    steps = json.loads((training / RESULTS).read_text("utf-8"))["iteration"] + 1
    origin = provenance(final, str(path))
    return {**scores, "thresholds": thresholds, "steps": steps, "origin": origin}


def _choose_thresholds(cfg: CfgNode, detector: TextDetector, dataset: str) -> dict[str, float]:
    """Choose the thresholds of the best hmean; among equal ones, those nearest to the config's."""
    head = detector.text_head
    now = [head.decoding[name] for name in head.threshold_keys]
    rows = score_thresholds(cfg, detector, dataset)
    equal = [row[: len(now)] for row in rows if row[-1] >= rows[0][-1] - _TIE]
    chosen = min(equal, key=lambda values: sum(abs(a - b) for a, b in zip(values, now)))
    return dict(zip(head.threshold_keys.values(), chosen))


@torch.no_grad()
def _evaluate(cfg: CfgNode, detector: TextDetector, dataset: str) -> Evaluation:
    images = []
    for batch in LoggedProgress(build_test_loader(cfg, dataset), dataset):
        outputs: list[dict] = detector(batch)
        for sample, output in zip(batch, outputs):
            found, texts = output["instances"].to("cpu"), sample["texts"]
            images.append(
                ImageTexts(
                    name=Path(sample["file_name"]).stem,
                    gt_polygons=list(texts.polygons),
                    gt_ignore=texts.ignore.tolist(),
                    gt_texts=list(texts.words),
                    det_polygons=list(found.pred_polygons),
                    scores=found.scores.tolist(),
                    has_result=True,
                )
            )
    return evaluate_images(images, _PROTOCOL)
