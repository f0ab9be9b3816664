"""How many texts each shipped detector finds on perfect maps: its labels, read by its own decoding.

Run ``python benchmarks/bench_round_trip.py datasets/icdar2015``. Every config's own keys and test
size, on all training images of ICDAR2015; configs that agree in all of that share a line, and
configs for small rendered images are left out. What is found is compared with the text, or with its
smallest rectangle where the config gives boxes. ``--config NAME KEY value ...`` measures one config
with other keys.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import get_config_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers.round_trip import icdar2015_texts
from helpers.shipped_detectors import Setting, shipped_settings


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of ICDAR2015")
    parser.add_argument("--step", type=int, default=1, help="take every so many images")
    parser.add_argument("--config", nargs="+", help="measure only this config: NAME KEY value ...")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    images = icdar2015_texts(args.folder)[:: args.step]
    if args.config:
        name, *options = args.config
        settings = [(args.config, Setting(load_config(get_config_file(name), options)))]
    else:
        settings = shipped_settings()
    print("| configs | size | IoU > 0.5 | > 0.7 | mean IoU | > 0.5, texts of 12 px and more | ms |")
    print("|---|---|---|---|---|---|---|")
    for names, setting in settings:
        seconds, decode = [], setting.head.decode

        def timed(*maps, seconds=seconds, decode=decode):
            start = time.process_time()
            found = decode(*maps)
            seconds.append(time.process_time() - start)
            return found

        setting.head.decode = timed
        outcomes = setting.outcomes(images)
        ious = np.array([o.iou for o in outcomes])
        large = np.array([o.short_side >= 12 for o in outcomes])
        height, width = setting.size((720, 1280))
        print(
            f"| {', '.join(names)} | {height} x {width} | {(ious > 0.5).mean():.3f} | "
            f"{(ious > 0.7).mean():.3f} | {ious.mean():.3f} | {(ious[large] > 0.5).mean():.3f} | "
            f"{1e3 * np.mean(seconds):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
