"""Shared fixtures: real data where it is at hand, few threads, fixed seeds."""

import functools
import gc
import importlib.util
import logging
import multiprocessing
import os
import random
from pathlib import Path

# Before numpy and torch load their BLAS: more threads than free cores slow tests down tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest
import torch

from vlpt_d2.data.datasets import icdar2015

# Processes of tests are forked from a server that has these modules: a process of pytest itself
# may have threads, with which torch refuses to compute gradients in a fork.
multiprocessing.set_forkserver_preload(["torch", "vlpt_d2.modeling.pretraining"])

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

_READ_ONCE = functools.cache(icdar2015.read_icdar2015)

torch.set_num_threads(1)
cv2.setNumThreads(1)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what modules hold, 600,000 objects that stay to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def pytest_sessionfinish() -> None:
    """Libraries of C++ report what is not freed at the end."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _seeds():
    """The same seeds for every test, and threads, which some set: both decide the last digits."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


@pytest.fixture
def usual_logging():
    """Undoes what a training or an export sets up for its log."""
    loggers = [logging.getLogger(name) for name in ("fvcore", "detectron2", "vlpt_d2")]
    before = [(log, log.level, log.propagate, list(log.handlers)) for log in loggers]
    yield
    for log, level, propagate, handlers in before:
        log.setLevel(level)
        log.propagate, log.handlers[:] = propagate, handlers


def _need(path: Path, what: str) -> Path:
    """Return the path; without it skip the test, or fail it where the data is promised."""
    if path.exists():
        return path
    message = f"{what} not found at {path}; set DETECTRON2_DATASETS to the folder that holds it"
    if os.environ.get("VLPT_REQUIRE_DATA") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of all datasets: DETECTRON2_DATASETS, else shared/data beside the repository."""
    return Path(os.environ.get("DETECTRON2_DATASETS", SHARED / "data"))


@pytest.fixture(scope="session")
def icdar2015_root(data_root: Path) -> Path:
    """The folder that holds ch4_training_images and its three sisters."""
    root = data_root / "icdar2015"
    _need(root / "ch4_test_images", "ICDAR2015")
    return root


@pytest.fixture
def real_icdar2015(icdar2015_root: Path, monkeypatch) -> Path:
    """As icdar2015_root, with the real data registered; a process reads each split once."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(icdar2015_root.parent))
    monkeypatch.setattr(icdar2015, "read_icdar2015", _READ_ONCE)
    return icdar2015_root


@pytest.fixture(scope="session")
def msra_td500_root(data_root: Path) -> Path:
    """The folder that holds the train folder of MSRA-TD500."""
    root = data_root / "msra_td500"
    _need(root / "train", "MSRA-TD500")
    return root


@pytest.fixture(scope="session")
def backgrounds_root(data_root: Path) -> Path:
    """A folder of photographs almost free of text."""
    return _need(data_root / "backgrounds", "background photographs")


@pytest.fixture(scope="session")
def ppocr_weights() -> Path:
    """PP-OCRv6's small text detector: in VLPT_WEIGHTS, or of an installed rapidocr."""
    name = "PP-OCRv6_det_small.onnx"
    path = Path(os.environ.get("VLPT_WEIGHTS", SHARED / "weights")) / name
    package = importlib.util.find_spec("rapidocr")
    if not path.exists() and package is not None:
        path = Path(package.origin).parent / "models" / name
    return _need(path, "PP-OCRv6's small text detector")


@pytest.fixture(scope="session")
def half_r50_weights() -> Path:
    """The checkpoint of a trained half-width ResNet-50, in detectron2's key names."""
    root = Path(os.environ.get("VLPT_WEIGHTS", SHARED / "weights"))
    return _need(root / "R-50-half-opennsfw.pth", "half-width R-50 weights")
