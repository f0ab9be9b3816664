"""Pictures of detections and ground truth, from an evaluator's report."""

import json
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog

from ..data.sample import load_sample
from ..utils.names import UniqueNames
from .polygons import contact_sheet, draw_polygons, write_picture

# Colours in RGB: ground truth that counts, don't-care regions, detections.
TRUTH, IGNORED, DETECTED = (30, 110, 255), (150, 150, 150), (0, 210, 60)


def draw_results(report: str | Path, folder: str | Path, count: int = 12) -> Path:
    """Draw images of an evaluation with ground truth (blue; grey: don't care) and detections.

    Images are taken evenly over the dataset, so that the choice does not depend on the results.

    Args:
        report: a ``text_results_<dataset>.json`` of
            :class:`~vlpt_d2.evaluation.text_evaluator.TextEvaluator`; the dataset must be
            registered.
        folder: gets one picture for each image, named like it (with a number where images share a
            name), and ``sheet.jpg`` with all of them.
        count: number of images.

    Returns:
        The path of the sheet.
    """
    results = json.loads(Path(report).read_text("utf-8"))
    rows = {row["image_id"]: row for row in results["images"]}
    dicts = [d for d in DatasetCatalog.get(results["dataset"]) if d["image_id"] in rows]
    chosen = np.linspace(0, len(dicts) - 1, min(count, len(dicts))).round().astype(int)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures, titles, names = [], [], UniqueNames(["sheet"])
    for number, index in enumerate(chosen, 1):
        dataset_dict = dicts[index]
        image, texts = load_sample(dataset_dict, "RGB")
        row = rows[dataset_dict["image_id"]]
        for chosen, colour in ((texts.ignore, IGNORED), (~texts.ignore, TRUTH)):
            image = draw_polygons(image, texts[chosen].polygons, colour)
        found = [np.reshape(p, (-1, 2)) for p in row["polygons"]]
        image = draw_polygons(image, found, DETECTED, scores=row["scores"])
        name = names(Path(dataset_dict["file_name"]).stem, number)
        write_picture(folder / f"{name}.jpg", image)
        pictures.append(image)
        titles.append(f"{name}: hmean {100 * row['hmean']:.0f}")
    sheet = folder / "sheet.jpg"
    page = contact_sheet(pictures, columns=3, titles=titles, cell=(270, 480))
    write_picture(sheet, page)
    return sheet
