"""Bulk detection by workers of Ray, one of which is killed."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from vlpt_d2.bulk import BulkDone, detect_bulk

ray = pytest.importorskip("ray")
OPTS = ("INPUT.DETECTION.TEST_SIZE", "(32, 32)", "NUM_THREADS", "1")
IMAGES, PER_SHARD = 200, 10


@pytest.fixture
def cluster(monkeypatch):
    # No report, and no token in the home folder.
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=80_000_000,
        _system_config={"enable_worker_prestart": False, "prestart_worker_first_driver": False},
    )
    yield
    ray.shutdown()


def workers():
    """Processes of Ray's workers that this process has started."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")")[-1].split()[1]
            )
            titles[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue

    def is_ours(process):
        while process in parents and process != os.getpid():
            process = parents[process]
        return process == os.getpid()

    return [p for p, title in titles.items() if title.startswith(b"ray::MapWorker") and is_ours(p)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds Ray's processes in /proc")
def test_a_killed_worker_loses_and_doubles_nothing(tmp_path, cluster):
    images, output = tmp_path / "images", tmp_path / "rows"
    images.mkdir()
    for i in range(IMAGES):
        # Each has a size of its own.
        Image.fromarray(np.full((20, 30 + i, 3), i, np.uint8)).save(images / f"{i:03}.png")
    killed = []

    def kill():
        while not killed:
            time.sleep(0.01)
            done = len(list(output.glob("*.parquet")))
            found = workers() if done >= 5 else ()
            if found:
                os.kill(found[0], signal.SIGKILL)
                killed.append(done)

    threading.Thread(target=kill, daemon=True).start()
    done = detect_bulk(
        str(images), str(output), per_shard=PER_SHARD, ray_workers=2, backend="onnx", opts=OPTS
    )
    assert killed and killed[0] < IMAGES // PER_SHARD
    assert done == BulkDone(shards=IMAGES // PER_SHARD, resumed=0, images=IMAGES, failed=0)
    rows = parquet.read_table(output).select(["image", "width"]).to_pylist()
    assert sorted(rows, key=lambda row: row["image"]) == [
        {"image": f"{i:03}.png", "width": 30 + i} for i in range(IMAGES)
    ]
    assert not list(output.glob("*.part"))
