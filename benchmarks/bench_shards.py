"""Reading shards: time relative to decoding, memory of the shuffle buffer, cost of an epoch.

    python benchmarks/bench_shards.py [--images 4000] [--buffer 1000]

Images are JPEG noise of about the size that SynthText's have. Times are of one process, from a
warm cache, and mean something as ratios of one run; the epoch's plan is that of SynthText's 858,750
images in shards of 1,000 for 8 workers.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench_synthtext import unique_set_size
from PIL import Image

from vlpt_d2.data.sample import load_sample
from vlpt_d2.data.shards import ShardedDicts, ShardStreams, StreamSplit, open_shards, write_shards
from vlpt_d2.data.shards.dataset import Shard


def write_images(folder: Path, count: int) -> list[dict]:
    """Files of about 48 KiB, and their dicts of eight words each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (60, 80, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    pixels = pixels + rng.integers(0, 12, pixels.shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50)
    ring = [10.5, 20.5, 50.5, 20.5, 50.5, 40.5, 10.5, 40.5]
    text = {"bbox": [10, 20, 50, 40], "bbox_mode": 0, "category_id": 0, "iscrowd": 0, "text": "Joy"}
    dicts = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        path.write_bytes(buffer.getvalue())
        annotations = [{**text, "segmentation": [ring]} for _ in range(8)]
        record = {"file_name": str(path), "height": 480, "width": 640, "image_id": number}
        dicts.append({**record, "annotations": annotations})
    print(f"{count} images of {len(buffer.getvalue()) / 1024:.0f} KiB")
    return dicts


def seconds(read: Callable[[int], object], count: int) -> float:
    """Processor seconds of an image."""
    start = time.process_time()
    for number in range(count):
        read(number)
    return (time.process_time() - start) / count


def plan_seconds() -> tuple[float, float]:
    """Seconds to plan a worker's epoch of SynthText, and to find one sample number's turn."""
    shards = [Shard(f"{i}.tar", 1000, range(1000)) for i in range(859)]
    split = StreamSplit(800, 1, 1, 8)
    streams = ShardStreams(ShardedDicts(shards), split, 0, 1000)
    start = time.process_time()
    for epoch in range(5):
        streams._make_plan(epoch, 3)
    planned = (time.process_time() - start) / 5
    start = time.process_time()
    for number in range(1000):
        split.before(1_000_003 + number)
    return planned, (time.process_time() - start) / 1000


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--buffer", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dicts = write_images(folder / "images", args.images)
        start = time.process_time()
        write_shards(dicts, folder / "shards", "bench")
        print(f"writing  {1e3 * (time.process_time() - start) / args.images:.2f} ms an image")
        before = unique_set_size()
        streams = ShardStreams(open_shards(str(folder / "shards")), StreamSplit(1), 0, args.buffer)
        # Half-way the buffer is as full as it is on average.
        reading = seconds(lambda n: streams[n], args.images // 2)
        held = (unique_set_size() - before) / 2**20
        decoding = seconds(lambda n: load_sample(dict(dicts[n]), "RGB"), min(args.images, 200))
        print(
            f"reading  {1e3 * reading:.2f} ms an image, {100 * reading / decoding:.0f} % of the "
            f"{1e3 * decoding:.2f} ms that decoding takes"
        )
        print(f"memory of a buffer of {args.buffer}: {held:.0f} MiB")
    planned, turn = plan_seconds()
    print(
        f"SynthText, 8 workers: an epoch's plan {1e3 * planned:.0f} ms, a turn {1e6 * turn:.0f} us"
    )


if __name__ == "__main__":
    main()
