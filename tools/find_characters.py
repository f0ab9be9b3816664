#!/usr/bin/env python
"""Find the characters of a dataset's words with a trained CRAFT, for training it on them.

Writes annotations in COCO's format, with characters and their confidence.
"""

import argparse
import json
import os
import sys

import torch

from vlpt_d2.data.conversion import coco_content
from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.data.loader import get_dataset_dicts
from vlpt_d2.data.sample import check_places, image_to_tensor, load_sample
from vlpt_d2.engine import load_config
from vlpt_d2.engine.models import load_detector
from vlpt_d2.engine.threads import set_threads
from vlpt_d2.modeling.detection.craft.characters import find_characters
from vlpt_d2.modeling.detection.craft.decode import STRIDE
from vlpt_d2.utils.atomic import write_text
from vlpt_d2.utils.errors import run_script
from vlpt_d2.utils.progress_bar import progress_bar

EXAMPLE = """example:
  python tools/find_characters.py --config-file detection/icdar2015/craft_R_50.yaml \\
      --output characters.json MODEL.WEIGHTS output/st_craft/model_final.pth"""


def main() -> None:
    """Parse the command line, find the characters, write them and print how many there are."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config-file", required=True, help="CRAFT's config")
    add("--dataset", help="a registered dataset (default: the first of DATASETS.TRAIN)")
    add("--output", required=True, help="JSON file to write")
    add("opts", nargs="*", help="config options, with MODEL.WEIGHTS")
    args = parser.parse_intermixed_args()
    cfg = load_config(args.config_file, args.opts)
    if cfg.MODEL.TEXT_HEAD.NAME != "CRAFTHead":
        parser.error(f"{args.config_file} is no config of CRAFT")
    register_from_config(cfg)
    set_threads(cfg)
    names = [args.dataset] if args.dataset else cfg.DATASETS.TRAIN[:1]
    dicts = get_dataset_dicts(names)
    if any("render" in record or "image_bytes" in record for record in dicts):
        parser.error(f"{names[0]}: its images are no files; write them by vlpt-d2 data convert")
    model = load_detector(cfg, cfg.MODEL.WEIGHTS)

    @torch.no_grad()
    def region_of(crop):
        ((maps, size),) = model.predict_maps([{"image": image_to_tensor(crop)}])
        height, width = (-(-side // STRIDE) for side in size)
        return maps["region"][0, :height, :width].float().cpu().numpy()

    folder = os.path.commonpath([os.path.dirname(os.path.abspath(d["file_name"])) for d in dicts])
    records, words, found = [], 0, []
    for record in progress_bar(len(dicts), iterable=dicts):
        image, texts = load_sample(record, cfg.INPUT.FORMAT, cfg.DATASETS.RESTORE_SIZE)
        check_places(texts, record["file_name"])
        texts = find_characters(image, texts, region_of)
        words += len(texts.legible())
        found += [sure for sure, own in zip(texts.confidence, texts.characters) if len(own)]
        path = os.path.relpath(record["file_name"], folder)
        entry = {"file_name": path, "height": image.shape[0], "width": image.shape[1]}
        records.append({"image": entry, "annotations": texts.to_annotations()})
    write_text(args.output, json.dumps(coco_content(records), ensure_ascii=False))
    mean = sum(found) / max(len(found), 1)
    print(f"{len(found)} of {words} words have characters, with a confidence of {mean:.2f} (mean)")
    dataset = json.dumps(["characters", "coco", folder, os.path.abspath(args.output)])
    print(f"""DATASETS.FOLDERS '[{dataset}]' DATASETS.TRAIN '("characters",)'""")


if __name__ == "__main__":
    sys.exit(run_script(main))
