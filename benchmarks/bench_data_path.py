"""Images a second that one worker of the training loader makes for each detector, and its stages.

Run ``python benchmarks/bench_data_path.py``, with ICDAR2015 under DETECTRON2_DATASETS or
``--dataset rendered_quickstart_detection_train``, which needs no data. Recipes are the configs';
the same images in the same order go through each. Ratios are to the first config.
"""

import argparse
from unittest import mock

import cv2
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ColorTransform
from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile, record_function

from vlpt_d2.data import build_mapper
from vlpt_d2.data.datasets.from_config import register_from_config
from vlpt_d2.data.loader import SeededDataset, get_dataset_dicts
from vlpt_d2.data.transforms import AffineTransform, TextAugInput
from vlpt_d2.engine import load_config
from vlpt_d2.engine.profile import stage_seconds
from vlpt_d2.modeling.detection import mapper as detection_mapper

CONFIGS = (
    "detection/icdar2015/db_R_50.yaml",
    "detection/icdar2015/psenet_R_50.yaml",
    "detection/icdar2015/east_R_50.yaml",
)
# Function of the mapper's path -> what it is called in the table. A stage does not include those
# inside it, so "augment" is what is left to augmentations when warping is taken out.
STAGES = (
    (detection_mapper, "load_sample", "read"),
    (detection_mapper, "repair_texts", "polygons"),
    (TextAugInput, "transform", "polygons"),
    (AffineTransform, "apply_image", "warp"),
    (ColorTransform, "apply_image", "colours"),
    (detection_mapper, "image_to_tensor", "to tensor"),
)
ORDER = ("read", "polygons", "augment", "warp", "colours", "labels", "to tensor", "other")


def stages_of_mapper(cfg: CfgNode, dicts: list[dict], warmup: int = 5) -> dict[str, float]:
    """Mean milliseconds an image spends in each stage.

    Args:
        cfg: a detector's config.
        dicts: the images, each mapped once; the same random numbers for every config.
        warmup: images mapped once before.
    """
    mapper = build_mapper(cfg, True)
    mapper.augmentations = record_function("augment")(mapper.augmentations)
    mapper.label_function = record_function("labels")(mapper.label_function)
    samples = SeededDataset(dicts, mapper, seed=0)
    for number in range(min(warmup, len(dicts))):
        samples[number]
    patches = [
        mock.patch.object(owner, name, record_function(stage)(getattr(owner, name)))
        for owner, name, stage in STAGES
    ]
    for patch in patches:
        patch.start()
    try:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for number in range(len(dicts)):
                with record_function("other"):
                    samples[number]
    finally:
        mock.patch.stopall()
    stages = stage_seconds(profiler.events(), ORDER)
    return {name: 1e3 * seconds / len(dicts) for name, (seconds, _) in stages.items()}


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-file", nargs="+", default=CONFIGS, help="detectors' configs")
    parser.add_argument("--dataset", default="icdar2015_train", help="a registered dataset")
    parser.add_argument("--images", type=int, default=100, help="how many, spread over it")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    configs = {name: load_config(name) for name in args.config_file}
    for cfg in configs.values():
        register_from_config(cfg)
    dicts = get_dataset_dicts([args.dataset])
    dicts = dicts[:: max(1, len(dicts) // args.images)][: args.images]
    rows, first = [], None
    for name, cfg in configs.items():
        times = stages_of_mapper(cfg, dicts)
        rate = 1e3 / sum(times.values())
        first = first or rate
        rows.append([name, rate, rate / first, *(times.get(stage, 0.0) for stage in ORDER)])
    headers = ["config", "images/s", "ratio", *(f"{stage} ms" for stage in ORDER)]
    print(f"{len(dicts)} images of {args.dataset}, one core")
    print(tabulate(rows, headers=headers, floatfmt=".2f"))


if __name__ == "__main__":
    main()
