"""Time rendering on one core: images a second for each preset, and where the time goes.

    python benchmarks/bench_rendering.py [--images 100] [--backgrounds FOLDER]

Shares are measured with cProfile in a second pass, so that they do not slow the first down.
"""

import argparse
import cProfile
import os
import pstats
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2

from vlpt_d2.data.rendering import PRESETS, TextRenderer, resolve_settings

# The parts of the renderer: what is listed -> the function whose cumulative time it is.
_PARTS = {
    "background": "make_background",
    "setting text": "set_block",
    "pose": "draw_warp",
    "finding room": "place",
    "warping": "warp_mask",
    "panels": "paint_panel",
    "painting text": "paint_text",
    "effects": "apply_effects",
}


def _time_preset(name: str, overrides: dict, images: int) -> None:
    renderer = TextRenderer(resolve_settings(name, overrides))
    # Fonts, photographs and the noise tile are read once.
    for index in range(20):
        renderer.render(1, index)
    start, words = time.perf_counter(), 0
    cpu = time.process_time()
    for index in range(images):
        words += len(renderer.render(0, index).words)
    seconds = time.perf_counter() - start
    cpu = time.process_time() - cpu
    height, width = renderer.settings.size
    print(
        f"{name} ({height}x{width}): {images / seconds:.1f} images/s by the clock, "
        f"{images / cpu:.1f} images/s of processor time, {words / images:.1f} words an image"
    )
    profile = cProfile.Profile()
    profile.enable()
    for index in range(images):
        renderer.render(0, index)
    profile.disable()
    stats = pstats.Stats(profile)
    spent = {function: values[3] for (_, _, function), values in stats.stats.items()}
    total = spent["render"]
    for part, function in _PARTS.items():
        print(f"  {part:14s} {100 * spent.get(function, 0.0) / total:5.1f} %")


def main() -> None:
    """Time all presets, and the default one with photographs where a folder is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--backgrounds", default="", help="a folder of photographs")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for name in PRESETS:
        _time_preset(name, {}, args.images)
    if args.backgrounds:
        _time_preset("default", {"backgrounds": args.backgrounds}, args.images)


if __name__ == "__main__":
    main()
